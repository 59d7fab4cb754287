"""Is a record what it says, and in the log it says? Run ``python verifier.py bundle.json --key KEYS``.

Standard library only: keep a copy, and read it. KEYS is the text of a public key, or a file of keys, one a
line; or AGENTIC_AUDIT_KEYS is. Prints ACCEPTED and what that proves, or REFUSED and why; exits with 0 or 1.
"""
import base64, hashlib, hmac, itertools, json, math, os, pathlib, re, struct, sys
from typing import Any
MOST, DEEPEST, FORMAT, HMAC = 1 << 22, 40, "agentic audit bundle 1", b"\xffagentic/hmac-sha256"
FIELDS = "checkpoint commitment format header kind path payload position public record salt".split()
PLACES, KINDS = ("fixed", "rows", "shared", "personal"), "u1 u2 u4 u8 i1 i2 i4 i8 f2 f4 f8".split()
P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493  # of the curve of RFC 8032
D = -121665 * pow(121666, -1, P) % P
written = json.JSONEncoder(allow_nan=False, ensure_ascii=False, indent=1, sort_keys=True).encode
def require(true: object, why: str) -> None:
    if not true: raise ValueError(why)
def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()
def unbase(text: str) -> bytes:
    require(base64.b64encode(base64.b64decode(text)).decode() == text, "base64 is not written as it is")
    return base64.b64decode(text)
def point(data: bytes) -> tuple[int, int]:  # RFC 8032, section 5.1.3
    sign, y = divmod(int.from_bytes(data, "little"), 1 << 255)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    require(len(data) == 32 and y < P and x * x % P == square and (x or not sign), "these bytes are no point")
    return (x if x & 1 == sign else P - x), y
def add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    t, x, y = D * a[0] * b[0] * a[1] * b[1], a[0] * b[1] + b[0] * a[1], a[1] * b[1] + a[0] * b[0]
    return x * pow(1 + t, -1, P) % P, y * pow(1 - t, -1, P) % P
def times(count: int, base: tuple[int, int]) -> tuple[int, int]:
    half = times(count >> 1, add(base, base)) if count else (0, 1)
    return add(half, base) if count & 1 else half
def ed25519(public: bytes, data: bytes, signature: bytes) -> bool:  # section 5.1.7, without the cofactor
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(r + public + data).digest(), "little") % ORDER
    base = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    return len(signature) == 64 and s < ORDER and times(s, base) == add(point(r), times(k, point(public)))
def opened(note: str, keys: str) -> tuple[str, int, bytes, str]:  # C2SP signed-note and tlog-checkpoint
    ring = {(name, id): unbase(key) for name, id, key in re.findall(r"([^\s+]+)\+(\w{8})\+([A/]\S+)", keys)}
    (text, _, lines), by = note.rpartition("\n\n"), []
    form, data = re.fullmatch(r"(.+)\n(0|[1-9][0-9]{0,18})\n(.+)", text), f"{text}\n".encode()
    for line in lines.split("\n")[:-1]:
        dash, name, blob = line.split(" ")
        key, signature = ring.get((name, unbase(blob)[:4].hex())), unbase(blob)[4:]
        if key is not None:  # signatures of others are left to those who know them
            mac = hmac.digest(key.removeprefix(HMAC), data, "sha256") if key.startswith(HMAC) else b""
            good = hmac.compare_digest(mac, signature) if mac else ed25519(key[1:], data, signature)
            require(dash == "—" and good, f"the checkpoint's signature by {name} is false")
            by.append(name)
    if not (form and by and lines[-1] == "\n"): raise ValueError("no checkpoint by a key that was given")
    return form[1], int(form[2]), unbase(form[3]), " and ".join(by)
def climb(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:  # RFC 9162, section 2.1.3.1
    require(type(index) is int and 0 <= index < size and bool(path) == (size > 1), "no such record or path")
    half = 1 << ((size - 1).bit_length() - 1) if size > 1 else 0
    if index < half: return sha256(b"\1", climb(leaf, index, half, path[:-1]), path[-1])
    return sha256(b"\1", path[-1], climb(leaf, index - half, size - half, path[:-1])) if half else leaf
def value(dtype: str, cell: Any, text: bytes | None = None) -> Any:  # a number, a text, other bytes in hex
    if text is not None or isinstance(cell, bytes): return text[:cell].decode() if text else bytes(cell).hex()
    return bool(cell) if dtype == "|b1" else cell if math.isfinite(cell) else str(cell)
def read(columns: list[Any], data: bytes) -> dict[str, Any]:  # one column after the other
    record, at = {}, 0
    for name, dtype, stored, shape, *_ in columns:
        width, head = int(re.sub(r".*\D", "", stored)), stored.startswith("text:")
        code = "BHIQbhiqefd"[KINDS.index(stored[1:])] if stored[1:] in KINDS else f"{width}s"
        form = struct.Struct("<" + ("H" if width < 1 << 16 else "I") * head + code)
        found = [value(dtype, *form.unpack_from(data, at + i * form.size)) for i in range(math.prod(shape))]
        record[name], at = found if shape else found[0], at + len(found) * form.size
    require(at == len(data), "there are more bytes than the header says")
    return record
def verify(text: str, keys: str) -> str:  # what is proved; raises when nothing is
    outside = "".join(text.replace("\\\\", "").replace('\\"', "").split('"')[::2])  # of strings
    depths = itertools.accumulate((letter in "[{") - (letter in "]}") for letter in outside)
    require(len(text) <= MOST and max(depths, default=0) <= DEEPEST, "larger or deeper than a bundle is")
    bundle = json.loads(text)
    require(written(bundle) + "\n" == text and list(bundle) == FIELDS, "no bundle, or not as it was written")
    header, opens, shut = json.loads(bundle["header"]), bundle["salt"] is not None, bundle["payload"] is None
    salt, payload, public = (unbase(bundle[name] or "") for name in ("salt", "payload", "public"))
    commitment, (origin, size, root, by) = unbase(bundle["commitment"]), opened(bundle["checkpoint"], keys)
    leaf = sha256(b"\0", sha256(bundle["header"].encode()), public, commitment)
    plain = json.dumps(header, allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    require(plain == bundle["header"] and bundle["format"] == FORMAT, "the header is not as it was written")
    same = climb(leaf, bundle["position"], size, [unbase(step) for step in bundle["path"]]) == root
    require(same, "these bytes are not in this place of the signed log")
    fits = len(salt) == 16 and sha256(salt, payload) == commitment
    require(opens != shut and opens == fits, "salt and payload are not those of the record")
    columns = [c for place in PLACES[: 4 if opens else 2] for c in header["columns"] if c[4] == place]
    found = written([header["kind"], read(columns, public + payload)])
    require(found == written([bundle["kind"], bundle["record"]]), "the record is not what its bytes say")
    rest = "all of it is shown" if opens or not any(commitment) else "its personal part is erased or left out"
    return f"record {bundle['position']} of {size} in {origin}, root {root.hex()}, signed by {by}; {rest}"
if __name__ == "__main__":
    try:
        keys = sys.argv[3] if sys.argv[2:3] == ["--key"] else os.environ.get("AGENTIC_AUDIT_KEYS", "")
        require("PRIVATE+KEY" not in sys.argv[-1], "secrets do not belong on a command line: give a file")
        keys = pathlib.Path(keys).read_text("utf-8") if os.path.isfile(keys) else keys
        with open(sys.argv[1], "rb") as file: print("ACCEPTED:", verify(file.read(MOST + 1).decode(), keys))
    except Exception as error:  # whatever is wrong with it, it is not accepted
        sys.exit(print(f"REFUSED: {error}") or 1)
