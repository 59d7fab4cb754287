"""Audit bundles: what a log's evidence is written as, and what the published verifier makes of it."""

from __future__ import annotations

import json
import math
import runpy
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import agentic.provenance
from agentic._database import Database
from agentic.arrays import Block
from agentic.errors import ProofError
from agentic.ext import Ed25519Key
from agentic.provenance import (
    Checkpoint,
    DurableLog,
    Evidence,
    HmacKey,
    check_bundle,
    check_growth,
    open_checkpoint,
    verifier_source,
    verify_inclusion,
)

ORIGIN = "shop.example/win-back"
SECRET = HmacKey(ORIGIN, bytes(range(32)))
PAIR = Ed25519Key(ORIGIN, bytes(range(32)))
VERIFIER = Path(agentic.provenance.__file__).with_name("_verifier.py")
VERIFY: Any = runpy.run_path(str(VERIFIER))["verify"]  # without the package, as an auditor runs it
GOLDEN = Path(__file__).parents[1] / "golden"
DECISION, POLICY, OUTCOME = 3, 7, 5


def decisions() -> Block:
    texts = np.empty(5, dtype=object)
    texts[:] = ["customer-1", "ग्राहक 2", 'three "[[{{\\', "", "five\0\n"]
    columns = {
        "at": np.arange(5) + 1_790_000_000_000_000,
        "action": np.array([1, 2, 3, 300, 4]),
        "probability": np.array([0.1, 0.25, np.nan, 1 / 3, np.inf]),
        "explored": np.array([True, False, True, True, False]),
        "cost": np.full(5, 0.12),
        "subject": texts,
        "zone": np.array(["Asia/Kolkata"] * 5),
        "values": np.arange(15.0).reshape(5, 3),
        "nothing": np.zeros((5, 0)),
        "day": np.array(["2026-11-23"] * 5, dtype="M8[D]"),
        "raw": np.array([b"ab", b"cd", b"", b"ef", b"g"]),
    }
    return Block("decision", columns, {"agent": "win-back"})


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DurableLog]:
    database = Database(tmp_path / "shop.db", durability="memory")
    log = DurableLog(database)
    log.append(decisions())
    log.append(Block("outcome", {"decision": np.array([1, 3]), "value": np.array([2.5, 0.0])}, {}))
    log.append(Block("policy", {"version": np.array(["v1"], dtype=object)}, {}))
    log.seal()
    yield log
    database.close()


def signed(log: DurableLog, *keys: Any) -> str:
    return Checkpoint(ORIGIN, log.size, log.root()).signed(keys or [SECRET])


def evidence(log: DurableLog, position: int, *keys: Any) -> Evidence:
    return Evidence.of(log.leaf(position), log.prove(position).path, signed(log, *keys))


def refused(text: str, keys: str) -> bool:
    try:
        VERIFY(text, keys)
    except Exception:  # noqa: BLE001 - whatever is wrong
        return True
    return False


def written(bundle: Any) -> str:
    return json.dumps(bundle, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


class TestEvidence:
    def test_record(self, log: DurableLog) -> None:
        """A record reads as its columns: numbers, texts, flat lists, other bytes in hex."""
        columns = decisions().columns
        for position in range(5):
            found = evidence(log, position).record()
            assert found["subject"] == columns["subject"][position]
            assert found["at"] == columns["at"][position]
            assert found["action"] == columns["action"][position]
            assert found["explored"] is bool(columns["explored"][position])
            assert found["values"] == columns["values"][position].tolist()
            assert found["nothing"] == []
            assert (found["zone"], found["cost"]) == ("Asia/Kolkata", 0.12)
            assert found["day"] == columns["day"][position].astype(int)
            assert bytes.fromhex(found["raw"]).rstrip(b"\0") == columns["raw"][position]
            if math.isfinite(columns["probability"][position]):
                assert found["probability"] == columns["probability"][position]
            else:
                assert found["probability"] == str(columns["probability"][position])
            assert set(found) == set(columns)

    def test_leaf(self, log: DurableLog) -> None:
        """The leaf hash is the log's own."""
        for position in range(log.size):
            proof = log.prove(position)
            assert evidence(log, position).leaf() == proof.leaf
            verify_inclusion(proof.leaf, position, proof.size, proof.path, proof.root)

    def test_one_reading(self, log: DurableLog) -> None:
        """A header that two readers could read differently proves nothing, whoever signed it."""
        whole = evidence(log, DECISION)
        text = whole.header.decode()
        assert text.startswith('{"columns":')
        twice = f'{{"columns":[],{text[1:]}'.encode()
        lone = attrs.evolve(whole, position=0, path=(), header=twice)
        honest = attrs.evolve(whole, position=0, path=())
        for told, good in ((lone, False), (honest, True)):
            note = Checkpoint(ORIGIN, 1, told.leaf()).signed([SECRET])
            bundle = json.loads(whole.to_json())
            bundle |= {"header": told.header.decode(), "checkpoint": note, "path": [], "position": 0}
            assert refused(written(bundle), SECRET.text()) is not good

    def test_same_text(self, log: DurableLog) -> None:
        """The same evidence is the same file, byte by byte."""
        assert evidence(log, DECISION).to_json() == evidence(log, DECISION).to_json()

    def test_withheld(self, log: DurableLog) -> None:
        """Held back, the personal part is nowhere in the file, and the proof still holds."""
        whole = evidence(log, 1)
        text = whole.withheld().to_json()
        assert "ग्राहक" in whole.to_json()
        assert "ग्राहक" not in text
        bundle = json.loads(text)
        assert bundle["payload"] is bundle["salt"] is None
        assert set(bundle["record"]) == {"at", "action", "probability", "explored", "cost"}
        assert check_bundle(text, [SECRET]).endswith("erased or left out")

    def test_quiet(self, log: DurableLog) -> None:
        """A repr shows the number and nothing of the record."""
        assert repr(evidence(log, 0)) == "Evidence(position=0)"

    def test_parts_that_do_not_fit(self, log: DurableLog) -> None:
        """Parts of other records, sizes or logs are not written."""
        whole = evidence(log, DECISION)
        other = log.leaf(1)
        for change in (
            {"salt": None},
            {"payload": None},
            {"commitment": b""},
            {"salt": other.salt},
            {"payload": other.payload},
            {"salt": bytes(15), "payload": b""},
            {"position": 2},
            {"row": other.row},
            {"fixed": b""},
            {"header": b"{}"},
            {"path": whole.path[:-1]},
            {"checkpoint": Checkpoint(ORIGIN, 3, bytes(32)).signed([SECRET])},
            {"checkpoint": Checkpoint(ORIGIN, 8, bytes(32)).signed([SECRET])},
            {"checkpoint": "nothing"},
        ):
            changed: Any = change
            with pytest.raises(ProofError):
                attrs.evolve(whole, **changed).to_json()

    def test_bytes_the_header_does_not_know(self) -> None:
        """A record whose bytes are not what its header says cannot be read."""
        for header in (b"", b"[]", b'{"columns":[["a","<i8","<i8",[],"rows","C"]]}', b"\xff"):
            lone = Evidence(
                position=0,
                header=header,
                fixed=b"",
                row=bytes(7),
                commitment=bytes(32),
                path=(),
                checkpoint=Checkpoint(ORIGIN, 1, bytes(32)).signed([SECRET]),
            )
            with pytest.raises(ProofError, match="not what its header says"):
                lone.record()

    def test_too_large(self) -> None:
        """What no verifier would read is not written."""
        header = json.dumps(
            {"columns": [["a", "|O", "text:4194304", [], "rows", "C"]], "kind": "x", "meta": {}, "v": 1}
        ).encode()
        row = (4).to_bytes(4, "little") + b"four".ljust(1 << 22, b"\0")
        lone = Evidence(
            position=0,
            header=header,
            fixed=b"",
            row=row,
            commitment=bytes(32),
            path=(),
            checkpoint=Checkpoint(ORIGIN, 1, bytes(32)).signed([SECRET]),
        )
        point = Checkpoint(ORIGIN, 1, lone.leaf())
        assert lone.record() == {"a": "four"}
        with pytest.raises(ProofError, match="a verifier reads"):
            attrs.evolve(lone, checkpoint=point.signed([SECRET])).to_json()


class TestVerifier:
    def test_small(self) -> None:
        """It has fewer than 100 lines, none too long to print, and imports the standard library only."""
        lines = VERIFIER.read_text(encoding="utf-8").splitlines()
        assert len(lines) < 100
        assert max(map(len, lines)) <= 110
        imports = [line for line in lines if line.startswith(("import ", "from "))]
        names = {name.strip(" ,") for line in imports for name in line.split()[1].split(",") if name}
        for line in imports:
            if line.startswith("import "):
                names |= {name.strip() for name in line.removeprefix("import ").split(",")}
        assert names <= set(sys.stdlib_module_names)

    def test_accepts(self, log: DurableLog) -> None:
        """It accepts every record of a log, by either key, with and without personal values."""
        for position in range(log.size):
            for key, public in ((SECRET, SECRET.text()), (PAIR, PAIR.public().text())):
                whole = evidence(log, position, key)
                for text in (whole.to_json(), whole.withheld().to_json()):
                    told = VERIFY(text, public)
                    assert told.startswith(f"record {position} of 8 in {ORIGIN}, root {log.root().hex()}")
                    assert f"signed by {ORIGIN}" in told

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("deadbeef", id="like-an-id"),
            pytest.param("witness1", id="eight-letters"),
            pytest.param("KEY", id="like-a-prefix"),
            pytest.param("दुकान/लॉग", id="another-script"),
            pytest.param("—", id="dash"),
        ],
    )
    def test_names_of_keys(self, log: DurableLog, name: str) -> None:
        """A key may have any name that can stand in a note, also among others."""
        keys = HmacKey(name, bytes(range(16))), Ed25519Key(name, bytes(range(32)))
        for key, text in zip(keys, (keys[0].text(), keys[1].public().text()), strict=True):
            bundle = evidence(log, POLICY, key).to_json()
            assert VERIFY(bundle, f"{SECRET.text()}\n{text}\n{PAIR.public().text()}\n")
            assert refused(bundle, f"{SECRET.text()}\n{PAIR.public().text()}\n")

    def test_a_log_of_one(self, tmp_path: Path) -> None:
        """A tree of one leaf has no path."""
        database = Database(tmp_path / "one.db", durability="memory")
        log = DurableLog(database)
        log.append(Block("policy", {"version": np.array(["v1"], dtype=object)}, {}))
        log.seal()
        text = evidence(log, 0).to_json()
        assert json.loads(text)["path"] == []
        assert VERIFY(text, SECRET.text()).startswith("record 0 of 1")
        database.close()

    def test_many_signatures(self, log: DurableLog) -> None:
        """It asks for one signature by a key given, and for no false one among them."""
        witness = HmacKey("witness.example", bytes(range(16)))
        text = evidence(log, DECISION, witness, PAIR, SECRET).to_json()
        for keys in ([SECRET.text()], [PAIR.public().text()], [witness.text(), SECRET.text()]):
            assert VERIFY(text, "\n".join(keys)).count(" and ") == len(keys) - 1
        assert refused(text, HmacKey("witness.example", bytes(16)).text())
        assert refused(text, "")
        bundle = json.loads(text)
        first, gap, rest = bundle["checkpoint"].partition("— witness.example ")
        bundle["checkpoint"] = first + gap + ("A" if rest[10] != "A" else "B").join((rest[:10], rest[11:]))
        assert not refused(written(bundle), SECRET.text())
        assert refused(written(bundle), f"{SECRET.text()}\n{witness.text()}")

    @pytest.mark.parametrize(
        ("key", "keys"),
        [
            pytest.param(SECRET, SECRET.text(), id="hmac"),
            pytest.param(PAIR, PAIR.public().text(), id="ed25519"),
        ],
    )
    @pytest.mark.parametrize("position", [DECISION, OUTCOME, POLICY])
    def test_every_byte_of_the_file(self, log: DurableLog, position: int, key: Any, keys: str) -> None:
        """No byte of a bundle can be another, left out, or doubled."""
        data = evidence(log, position, key).to_json().encode()
        assert not refused(data.decode(), keys)
        step = 1 if key is SECRET else 41  # one Ed25519 verification takes 40 ms
        for place in range(0, len(data), step):
            for wrong in (
                data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :],
                data[:place] + bytes([data[place] ^ 32]) + data[place + 1 :],
                data[:place] + data[place + 1 :],
                data[:place] + b" " + data[place:],
            ):
                assert refused(wrong.decode(errors="replace"), keys), (place, wrong[place - 20 : place + 20])

    @pytest.mark.parametrize("position", [DECISION, OUTCOME, POLICY])
    def test_every_byte_of_every_value(self, log: DurableLog, position: int) -> None:
        """No bit of what is written in base64 can be another, and none can be shorter or longer."""
        bundle = json.loads(evidence(log, position).to_json())
        paths = [(name,) for name in ("commitment", "payload", "public", "salt") if bundle[name] is not None]
        places: list[tuple[Any, ...]] = [*paths, *(("path", index) for index in range(len(bundle["path"])))]
        for place in places:
            home = bundle
            for part in place[:-1]:
                home = home[part]
            text = home[place[-1]]
            data = b64decode(text)
            wrongs = [data[:-1], data + b"\0", b"\0" + data, data[1:]]
            for bit in range(len(data) * 8):
                flipped = bytearray(data)
                flipped[bit // 8] ^= 1 << bit % 8
                wrongs.append(bytes(flipped))
            for wrong in wrongs:
                home[place[-1]] = b64encode(wrong).decode()
                assert refused(written(bundle), SECRET.text()), place
            home[place[-1]] = text
        assert not refused(written(bundle), SECRET.text())

    @pytest.mark.parametrize("position", [DECISION, OUTCOME, POLICY])
    def test_every_field(self, log: DurableLog, position: int) -> None:
        """No field can be missing, null, of another type, or another record's; none can be added."""
        bundle = json.loads(evidence(log, position).to_json())
        other = json.loads(evidence(log, 1).to_json())
        forged = Checkpoint(ORIGIN, 8, bytes(32)).signed([SECRET])
        for name, value in bundle.items():
            others = [None, True, 1, 1.0, "", "x", [], {}, [value], {"a": value}, other[name], str(value)]
            if name == "position":
                others += [position + 1, position - 1, -1, 2**70, float(position), bool(position)]
            if name == "checkpoint":
                others += [forged, value[:-1], value + "\n", value.replace("\n8\n", "\n9\n"), "\n\n"]
                others += [value.replace(ORIGIN, "other", 1), value.replace("— ", "- "), value * 2]
            if name == "path":
                others += [value[:-1], value[1:], [*value, value[0]], value[::-1], [None]]
            if name == "header":
                others += [value.replace('"v":1', '"v":2'), value + " ", value.replace("C", "F", 1)]
            if name == "format":
                others += [value.replace("1", "2"), value.upper()]
            for wrong in others:
                if type(wrong) is type(value) and wrong == value:
                    continue
                assert refused(written({**bundle, name: wrong}), SECRET.text()), (name, wrong)
            short = {key: part for key, part in bundle.items() if key != name}
            assert refused(written(short), SECRET.text())
        assert refused(written({**bundle, "more": None}), SECRET.text())
        assert not refused(written(bundle), SECRET.text())

    @pytest.mark.parametrize("position", [DECISION, OUTCOME, POLICY])
    def test_every_value_of_the_readable_record(self, log: DurableLog, position: int) -> None:
        """What people read cannot differ from what was hashed, not even in type."""
        bundle = json.loads(evidence(log, position).to_json())
        record = bundle["record"]
        for name, value in record.items():
            for wrong in (None, "", [], [value], not value, str(value), f"{value} ", 0, 1.0, 7, True, False):
                if type(wrong) is type(value) and wrong == value:
                    continue
                changed = {**record, name: wrong}
                assert refused(written({**bundle, "record": changed}), SECRET.text()), (name, wrong)
            short = {key: part for key, part in record.items() if key != name}
            assert refused(written({**bundle, "record": short}), SECRET.text())
        assert refused(written({**bundle, "record": {**record, "more": 1}}), SECRET.text())

    def test_a_path_of_another_record(self, log: DurableLog) -> None:
        """Every record has one number: no path and number of another one fits it."""
        bundle = json.loads(evidence(log, DECISION).to_json())
        for position in range(log.size):
            path = json.loads(evidence(log, position).to_json())["path"]
            wrong = {**bundle, "position": position, "path": path}
            assert refused(written(wrong), SECRET.text()) is (position != DECISION)

    def test_a_rewritten_log(self, log: DurableLog) -> None:
        """A bundle of a log that was written again fits no checkpoint of the old one."""
        old, text = signed(log), evidence(log, POLICY).to_json()
        log.append(decisions())
        log.seal()
        new = json.loads(evidence(log, POLICY).to_json())
        assert not refused(written(new), SECRET.text())
        assert refused(written({**new, "checkpoint": old}), SECRET.text())
        assert refused(written({**json.loads(text), "checkpoint": new["checkpoint"]}), SECRET.text())

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="nothing"),
            pytest.param("null\n", id="null"),
            pytest.param("[" * 100_000, id="deep"),
            pytest.param('{"a":' * 100_000, id="deep-objects"),
            pytest.param(
                '["]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",' * 1000, id="deep-hidden-by-text"
            ),
            pytest.param(
                '["\\"]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",' * 1000, id="and-by-quotes"
            ),
            pytest.param('["\\\\",' * 1000, id="and-by-backslashes"),
            pytest.param(" " * ((1 << 22) + 1), id="large"),
            pytest.param("NaN\n", id="nan"),
            pytest.param("1" * 10_000, id="a-long-number"),
            pytest.param('{"a": 1, "a": 1}\n', id="twice"),
            pytest.param('"\\ud800"\n', id="surrogate"),
        ],
    )
    def test_hostile(self, text: str) -> None:
        """What is no bundle is refused before much is done with it."""
        assert refused(text, SECRET.text())
        with pytest.raises(ProofError, match="the audit bundle is refused"):
            check_bundle(text, [SECRET])

    def test_brackets_in_text(self, log: DurableLog) -> None:
        """Brackets within texts are no depth."""
        subject = np.array(["[{" * 100 + '\\"'], dtype=object)
        log.append(Block("fact", {"subject": subject}, {}))
        log.seal()
        text = evidence(log, log.size - 1).to_json()
        assert json.loads(text)["record"]["subject"] == subject[0]
        assert not refused(text, SECRET.text())


class TestGolden:
    @pytest.mark.parametrize("key", ["hmac", "ed25519"])
    def test_version_1(self, key: str) -> None:
        """A bundle that an earlier version wrote is accepted by every later one."""
        keys = {"hmac": SECRET.text(), "ed25519": PAIR.public().text()}
        text = (GOLDEN / "audit-bundle-1.json").read_bytes().decode()
        assert VERIFY(text, keys[key]).startswith(f"record 2 of 8 in {ORIGIN}, root 1c61445e")
        assert json.loads(text)["record"]["subject"] == decisions().columns["subject"][2]


class TestCommand:
    @staticmethod
    def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Run the verifier where nothing of ours is, and nothing else either."""
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-X", "utf8", "verifier.py", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    @pytest.fixture
    def folder(self, tmp_path: Path, log: DurableLog) -> Path:
        home = tmp_path / "auditor"
        home.mkdir()
        (home / "verifier.py").write_bytes(verifier_source().encode())
        both = evidence(log, DECISION, SECRET, PAIR)
        (home / "bundle.json").write_bytes(both.to_json().encode())
        (home / "held.json").write_bytes(both.withheld().to_json().encode())
        (home / "secret.txt").write_text(SECRET.text() + "\n", encoding="utf-8")
        return home

    def test_accepted(self, folder: Path, log: DurableLog) -> None:
        """It says what is proved and exits with 0: with a public key, a file of keys, or the environment."""
        right = f"ACCEPTED: record {DECISION} of 8 in {ORIGIN}, root {log.root().hex()}, signed by {ORIGIN};"
        for arguments, environment in (
            (["--key", PAIR.public().text()], {}),
            (["--key", "secret.txt"], {}),
            ([], {"AGENTIC_AUDIT_KEYS": SECRET.text()}),
            ([], {"AGENTIC_AUDIT_KEYS": "secret.txt"}),
        ):
            code, out, err = self.run(folder, "bundle.json", *arguments, **environment)
            assert (code, out, err) == (0, f"{right} all of it is shown\n", "")
        code, out, _ = self.run(folder, "held.json", "--key", PAIR.public().text())
        assert (code, out) == (0, f"{right} its personal part is erased or left out\n")

    def test_main(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It runs the same within a process that has all sorts of things loaded."""
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["verifier.py", "bundle.json", "--key", "secret.txt"])
        runpy.run_path(str(VERIFIER), run_name="__main__")
        monkeypatch.setattr(sys, "argv", ["verifier.py", "bundle.json", "--key", "nothing.txt"])
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(str(VERIFIER), run_name="__main__")
        assert caught.value.code == 1
        accepted, refused = capsys.readouterr().out.splitlines()
        assert accepted.startswith("ACCEPTED: record 3 of 8")
        assert refused.startswith("REFUSED: no checkpoint")

    def test_refused(self, folder: Path) -> None:
        """It says why and exits with 1."""
        bundle = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        changes: dict[str, Any] = {
            "checkpoint": bundle["checkpoint"].replace("\n8\n", "\n9\n"),
            "commitment": b64encode(bytes(32)).decode(),
            "format": "agentic audit bundle 2",
            "header": bundle["header"].replace("win-back", "win-more"),
            "kind": "outcome",
            "path": bundle["path"][:-1],
            "payload": bundle["public"],
            "position": DECISION + 1,
            "public": bundle["payload"],
            "record": {**bundle["record"], "action": 301},
            "salt": b64encode(bytes(16)).decode(),
        }
        assert set(changes) == set(bundle)
        for name, wrong in changes.items():
            (folder / "wrong.json").write_text(written({**bundle, name: wrong}), encoding="utf-8")
            code, out, err = self.run(folder, "wrong.json", "--key", PAIR.public().text())
            assert (code, out[:9], err) == (1, "REFUSED: ", ""), name
            assert len(out) > 15

    def test_usage(self, folder: Path) -> None:
        """No key, no file, another's key, or a secret where others can read it: refused, with a reason."""
        other = Ed25519Key(ORIGIN, bytes(32)).public().text()
        for arguments, why in (
            (["bundle.json"], "a key that was given"),
            (["bundle.json", "--key", other], "a key that was given"),
            (["bundle.json", "--key", "nothing.txt"], "a key that was given"),
            (["nothing.json", "--key", other], "No such file"),
            (["bundle.json", "--key", SECRET.text()], "secrets do not belong on a command line"),
            ([], "out of range"),
        ):
            code, out, _ = self.run(folder, *arguments)
            assert (code, out[:9]) == (1, "REFUSED: ")
            assert why in out


class TestErasure:
    def test_before_and_after(self, log: DurableLog) -> None:
        """After an erasure the same leaf is proved without its personal part, and others as before."""
        note = signed(log)
        before = [Evidence.of(log.leaf(n), log.prove(n, 8).path, note) for n in range(8)]
        assert log.erase_records([1]) == 2  # the decision, and the outcome that names it
        after = [Evidence.of(log.leaf(n), log.prove(n, 8).path, note) for n in range(8)]
        gone = {n for n in range(8) if after[n] != before[n]}
        assert gone == {1, OUTCOME}
        for n in range(8):
            assert after[n] == (before[n].withheld() if n in gone else before[n])
            told = VERIFY(after[n].to_json(), SECRET.text())
            assert told.endswith("erased or left out") is (n in gone)
        assert "ग्राहक" in before[1].to_json()
        assert "ग्राहक" not in after[1].to_json()

    def test_an_auditors_copy(self, log: DurableLog) -> None:
        """A bundle that was handed out before stays true: erasing cannot reach it."""
        text = evidence(log, DECISION).to_json()
        log.erase_records([DECISION])
        assert VERIFY(text, SECRET.text()).endswith("all of it is shown")


class TestDropping:
    def test_signed_boundary(self, tmp_path: Path) -> None:
        """What is left after a drop is proved, and the log to have grown from the signed boundary."""

        def note(size: int, root: bytes) -> str:
            return Checkpoint(ORIGIN, size, root).signed([SECRET])

        database = Database(tmp_path / "shop.db", durability="memory")
        log = DurableLog(database)
        log.append(Block("fact", {"at": np.arange(9000), "subject": np.array(["a"] * 9000)}, {}))
        log.seal()
        kept = note(4096, log.root(4096))
        assert log.drop(4096, at=0, note=note) == 4096
        newer = signed(log)
        assert check_growth(kept, newer, log.prove_growth(4096).path, [SECRET]).size == 9000
        for position in (4096, 8999):
            assert not refused(evidence(log, position).to_json(), SECRET.text())
        with pytest.raises(ProofError):
            evidence(log, 4095)
        with database.reading() as connection:
            ((stored,),) = connection.execute("SELECT note FROM checkpoints WHERE size = 4096").fetchall()
        assert stored == kept
        database.close()


class TestGrowth:
    def test_grown(self, log: DurableLog) -> None:
        """Who kept an old checkpoint can tell that the log only grew."""
        old = signed(log)
        log.append(decisions())
        log.seal()
        new = signed(log, PAIR)
        keys = [SECRET, PAIR.public()]
        path = log.prove_growth(8, log.size).path
        assert check_growth(old, new, path, keys) == open_checkpoint(new, keys)
        assert check_growth(new, new, [], keys).size == log.size

    def test_not_grown(self, log: DurableLog, tmp_path: Path) -> None:
        """A rewritten, shortened or forked log, another one, and unsigned checkpoints are refused."""
        old = signed(log)
        database = Database(tmp_path / "other.db", durability="memory")
        other = DurableLog(database)
        for _ in range(3):
            other.append(decisions())
        other.seal()
        fork = signed(other)
        with pytest.raises(ProofError, match="leads to root"):
            check_growth(old, fork, other.prove_growth(8).path, [SECRET])
        with pytest.raises(ProofError, match="a tree grows"):
            check_growth(fork, old, [], [SECRET])
        with pytest.raises(ProofError, match="rewritten"):
            check_growth(old, Checkpoint(ORIGIN, 8, other.root(8)).signed([SECRET]), [], [SECRET])
        with pytest.raises(ProofError, match="two logs"):
            check_growth(old, Checkpoint("elsewhere", 15, other.root()).signed([SECRET]), [], [SECRET])
        with pytest.raises(ProofError, match="none of the 1 keys"):
            check_growth(old, fork, [], [PAIR.public()])
        database.close()

    def test_from_nothing(self, log: DurableLog) -> None:
        """A checkpoint on an empty log proves nothing about what came later."""
        empty = Checkpoint(ORIGIN, 0, bytes(32)).signed([SECRET])
        with pytest.raises(ProofError, match="at least 1 leaf"):
            check_growth(empty, signed(log), [], [SECRET])
