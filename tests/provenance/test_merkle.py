"""The tree of RFC 9162: published probes, the definition in the text, and hostile proofs."""

import base64
import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import DamagedError, ProofError
from agentic.provenance._merkle import (
    EMPTY,
    LARGEST,
    Frontier,
    complete_levels,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from shared_data import shared


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(8, "big")) for number in range(count)]


def split(count: int) -> int:
    half = 1
    while 2 * half < count:
        half *= 2
    return half


def naive_root(hashes: list[bytes]) -> bytes:
    """MTH of section 2.1.1, over leaves that are hashed already."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    half = split(len(hashes))
    return sha256(b"\x01" + naive_root(hashes[:half]) + naive_root(hashes[half:])).digest()


def naive_path(index: int, hashes: list[bytes]) -> list[bytes]:
    """PATH of section 2.1.3.1."""
    if len(hashes) == 1:
        return []
    half = split(len(hashes))
    if index < half:
        return [*naive_path(index, hashes[:half]), naive_root(hashes[half:])]
    return [*naive_path(index - half, hashes[half:]), naive_root(hashes[:half])]


def naive_proof(old: int, hashes: list[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF of section 2.1.4.1."""
    if old == len(hashes):
        return [] if whole else [naive_root(hashes)]
    half = split(len(hashes))
    if old <= half:
        return [*naive_proof(old, hashes[:half], whole), naive_root(hashes[half:])]
    return [*naive_proof(old - half, hashes[half:], False), naive_root(hashes[:half])]


class Tree:
    """Answers for complete subtrees, and refuses any that reaches past the leaves."""

    def __init__(self, hashes: list[bytes]) -> None:
        self.levels = complete_levels(hashes)
        self.asked = 0

    def __call__(self, level: int, index: int) -> bytes:
        self.asked += 1
        return self.levels[level][index]


class TestVectors:
    def test_probes(self) -> None:
        """Every published probe is accepted or refused as its authors say."""
        kept = {True: 0, False: 0}
        for file in sorted(shared("vectors", "merkle").rglob("*.json")):
            probe = json.loads(file.read_bytes())

            def read(text: str | None) -> bytes:
                return base64.b64decode(text or "", validate=True)

            path = [read(text) for text in probe["proof"] or []]
            try:
                if "leafIdx" in probe:
                    verify_inclusion(
                        read(probe["leafHash"]),
                        probe["leafIdx"],
                        probe["treeSize"],
                        path,
                        read(probe["root"]),
                    )
                else:
                    verify_consistency(
                        probe["size1"], probe["size2"], path, read(probe["root1"]), read(probe["root2"])
                    )
                refused = False
            except ProofError:
                refused = True
            assert refused is probe["wantErr"], file
            kept[refused] += 1
        assert sum(kept.values()) >= 184
        assert kept[False] >= 9

    def test_reference_tree(self) -> None:
        """Leaves, nodes and the roots of the eight-leaf tree are those of Certificate Transparency."""
        known = json.loads(shared("vectors", "ct", "rfc6962_roots.json").read_bytes())
        assert bytes.fromhex(known["sha256_empty"]) == EMPTY
        for case in known["leaf_hash"]:
            assert leaf_hash(bytes.fromhex(case["data"])).hex() == case["hash"]
        for case in known["node_hash"]:
            assert node_hash(bytes.fromhex(case["left"]), bytes.fromhex(case["right"])).hex() == case["hash"]
        hashes = [leaf_hash(bytes.fromhex(leaf)) for leaf in known["leaves_hex"]]
        frontier = Frontier()
        for size, expected in enumerate(known["roots_by_size"], 1):
            frontier = frontier.extend([hashes[size - 1]])
            assert frontier.root().hex() == root_of(hashes[:size]).hex() == expected


class TestDefinition:
    @given(st.integers(0, 300))
    def test_root(self, size: int) -> None:
        """A root is what the recursion of the RFC gives."""
        assert root_of(leaves(size)) == naive_root(leaves(size))

    @given(st.data())
    def test_paths(self, data: st.DataObject) -> None:
        """Paths are those of the RFC, hash for hash, and both verify."""
        size = data.draw(st.integers(1, 200), "size")
        index = data.draw(st.integers(0, size - 1), "index")
        old = data.draw(st.integers(1, size), "old")
        hashes = leaves(size)
        tree = Tree(hashes)
        path = inclusion_path(index, size, tree)
        assert path == naive_path(index, hashes)
        verify_inclusion(hashes[index], index, size, path, root_of(hashes))
        proof = consistency_path(old, size, tree)
        assert proof == naive_proof(old, hashes)
        verify_consistency(old, size, proof, root_of(hashes[:old]), root_of(hashes))

    def test_every_small_tree(self) -> None:
        """In all trees of up to 33 leaves every record and every earlier size is proved."""
        for size in range(1, 34):
            hashes = leaves(size)
            tree, root = Tree(hashes), root_of(hashes)
            for place in range(size):
                verify_inclusion(hashes[place], place, size, inclusion_path(place, size, tree), root)
                path = consistency_path(place + 1, size, tree)
                verify_consistency(place + 1, size, path, root_of(hashes[: place + 1]), root)

    def test_questions(self) -> None:
        """A path asks for at most two hashes a level of the tree."""
        tree = Tree(leaves(4095))
        inclusion_path(0, 4095, tree)
        assert tree.asked <= 2 * 12


class TestFrontier:
    @given(st.lists(st.integers(0, 70), max_size=8))
    def test_pieces(self, counts: list[int]) -> None:
        """A tree grows to the same frontier in any pieces, and through bytes."""
        hashes = leaves(sum(counts))
        frontier, done = Frontier(), 0
        for count in counts:
            frontier = frontier.extend(hashes[done : done + count])
            done += count
            frontier = Frontier.from_bytes(frontier.to_bytes())
            assert frontier == Frontier().extend(hashes[:done])
            assert frontier.size == done
            assert frontier.root() == naive_root(hashes[:done])

    def test_value(self) -> None:
        """What is extended stays as it was."""
        before = Frontier().extend(leaves(7))
        root = before.root()
        after = before.extend(iter(leaves(9)))
        assert (before.size, before.root(), after.size) == (7, root, 16)
        assert len(after.roots) == 1
        assert before.extend([]) is before

    def test_damage(self) -> None:
        """Every flipped bit and every cut of a stored frontier is found."""
        stored = Frontier().extend(leaves(5)).to_bytes()
        for place in range(len(stored) * 8):
            bad = bytearray(stored)
            bad[place // 8] ^= 1 << place % 8
            with pytest.raises(DamagedError, match="do not match their check"):
                Frontier.from_bytes(bytes(bad))
        for length in range(len(stored)):
            with pytest.raises(DamagedError):
                Frontier.from_bytes(stored[:length])
        with pytest.raises(DamagedError):
            Frontier.from_bytes(stored + b"\0")

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param((5).to_bytes(8, "big") + bytes(32), id="too-few-roots"),
            pytest.param((4).to_bytes(8, "big") + bytes(31), id="a-short-root"),
            pytest.param((1 << 63).to_bytes(8, "big") + bytes(32), id="too-large"),
        ],
    )
    def test_nonsense(self, body: bytes) -> None:
        """A frontier with a good check is still refused when size and roots do not fit."""
        with pytest.raises(DamagedError, match="is none"):
            Frontier.from_bytes(body + sha256(body).digest())

    def test_refuses(self) -> None:
        """Sizes, roots and leaves of the wrong number or length are refused."""
        with pytest.raises(ProofError, match="0 to 2"):
            Frontier(-1)
        with pytest.raises(ProofError, match="complete subtrees"):
            Frontier(3, (bytes(32),))
        with pytest.raises(ProofError, match="got one of 31"):
            Frontier().extend([bytes(32), bytes(31)])


class TestRefusals:
    def test_empty_beginning(self) -> None:
        """Nothing is consistent with an empty tree, with or without a path."""
        root = root_of(leaves(3))
        for new in (0, 1, 3):
            with pytest.raises(ProofError, match="at least 1 leaf"):
                verify_consistency(0, new, [], EMPTY, root if new else EMPTY)
            with pytest.raises(ProofError, match="at least 1 leaf"):
                consistency_path(0, new, Tree(leaves(3)))

    @given(st.data())
    def test_inclusion_mutations(self, data: st.DataObject) -> None:
        """A changed leaf, root or hash, another number, a path cut or made longer: all refused."""
        size = data.draw(st.integers(1, 130), "size")
        index = data.draw(st.integers(0, size - 1), "index")
        hashes = leaves(size)
        path, root = inclusion_path(index, size, Tree(hashes)), root_of(hashes)
        parts = [hashes[index], *path, root]
        place = data.draw(st.integers(0, len(parts) - 1), "part")
        bit = data.draw(st.integers(0, 255), "bit")
        changed = bytearray(parts[place])
        changed[bit // 8] ^= 1 << bit % 8
        parts[place] = bytes(changed)
        with pytest.raises(ProofError):
            verify_inclusion(parts[0], index, size, parts[1:-1], parts[-1])
        other = data.draw(st.integers(0, 300).filter(lambda number: number != index), "other")
        with pytest.raises(ProofError):
            verify_inclusion(hashes[index], other, size, path, root)
        for wrong in (
            path[:-1] if path else [root],
            path[1:] if path else [root],
            [*path, root],
            [root, *path],
        ):
            with pytest.raises(ProofError):
                verify_inclusion(hashes[index], index, size, wrong, root)

    @given(st.data())
    def test_consistency_mutations(self, data: st.DataObject) -> None:
        """A changed root or hash, another size, a path cut or made longer: all refused."""
        size = data.draw(st.integers(2, 130), "size")
        old = data.draw(st.integers(1, size - 1), "old")
        hashes = leaves(size)
        path = consistency_path(old, size, Tree(hashes))
        parts = [root_of(hashes[:old]), *path, root_of(hashes)]
        for wrong in (path[:-1], path[1:], [*path, parts[0]], [parts[0], *path]):
            with pytest.raises(ProofError):
                verify_consistency(old, size, wrong, parts[0], parts[-1])
        place = data.draw(st.integers(0, len(parts) - 1), "part")
        bit = data.draw(st.integers(0, 255), "bit")
        changed = bytearray(parts[place])
        changed[bit // 8] ^= 1 << bit % 8
        parts[place] = bytes(changed)
        with pytest.raises(ProofError):
            verify_consistency(old, size, parts[1:-1], parts[0], parts[-1])

    def test_same_size(self) -> None:
        """Two trees of one size need equal roots and no path."""
        root = root_of(leaves(5))
        verify_consistency(5, 5, [], root, root)
        with pytest.raises(ProofError, match="need no path"):
            verify_consistency(5, 5, [root], root, root)
        with pytest.raises(ProofError, match="rewritten"):
            verify_consistency(5, 5, [], root, root_of(leaves(6)))

    def test_numbers(self) -> None:
        """Numbers and sizes outside a tree are refused before any hash is made."""
        root = root_of(leaves(5))
        for index, size in ((5, 5), (-1, 5), (0, 0), (0, LARGEST + 1)):
            with pytest.raises(ProofError, match="there is no record"):
                verify_inclusion(root, index, size, [], root)
            with pytest.raises(ProofError, match="there is no record"):
                inclusion_path(index, size, Tree(leaves(5)))
        for old, new in ((6, 5), (-1, 5), (1, LARGEST + 1)):
            with pytest.raises(ProofError, match="a tree grows"):
                verify_consistency(old, new, [], root, root)

    def test_short_hash(self) -> None:
        """A hash of another length is no hash."""
        root = root_of(leaves(2))
        with pytest.raises(ProofError, match="got one of 31"):
            verify_inclusion(root, 0, 2, [bytes(31)], root)
        with pytest.raises(ProofError, match="got one of 33"):
            verify_consistency(1, 2, [bytes(33)], root, root)

    def test_largest(self) -> None:
        """A path in the largest tree is 63 hashes, found without a loop over leaves."""
        path = inclusion_path(LARGEST - 1, LARGEST, lambda level, index: bytes(32))
        assert len(path) == 62
        assert len(inclusion_path(0, LARGEST, lambda level, index: bytes(32))) == 63
