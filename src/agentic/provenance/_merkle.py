"""How do few hashes prove that a record is in a log, and that the log only grew?

The tree of RFC 9162 (Certificate Transparency 2.0), section 2.1, over SHA-256. A hash is 32 bytes; a leaf
hash covers one record, a node hash two subtrees. All of it is pure: nothing here reads or keeps anything.

Source: Laurie, Messeri and Stradling, 2021, RFC 9162, sections 2.1.1 to 2.1.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final, Self, TypeAlias

import attrs

from agentic.errors import DamagedError, ProofError

HASH: Final = 32
"""The length of a hash in bytes."""

EMPTY: Final = sha256(b"").digest()
"""The root of a tree without leaves."""

LARGEST: Final = (1 << 63) - 1
"""The largest tree: its size fits 64 bits with a sign."""

Subtree: TypeAlias = Callable[[int, int], bytes]
"""``subtree(level, index)``: the hash over the leaves ``index << level`` to ``(index + 1) << level``."""


def leaf_hash(data: bytes, /) -> bytes:
    """Hash one record as a leaf: ``SHA-256(0x00 || data)``."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes, /) -> bytes:
    """Hash two subtrees into the one above them: ``SHA-256(0x01 || left || right)``."""
    return sha256(b"\x01" + left + right).digest()


def paired(hashes: Iterable[bytes], /) -> list[bytes]:
    """Hash neighbours, two by two, into the level above; the last of an odd number is left out."""
    two = iter(hashes)
    # Written out: this line is what a leaf costs.
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(two, two, strict=False)]


def complete_levels(leaf_hashes: Sequence[bytes], /) -> list[list[bytes]]:
    """Return the hashes of all complete subtrees: at ``[level][index]`` that of ``2**level`` leaves.

    Args:
        leaf_hashes: The first leaves of a tree, or those of an aligned part of one.
    """
    levels = [list(leaf_hashes)]
    while len(levels[-1]) > 1:
        levels.append(paired(levels[-1]))
    return levels


def root_of(leaf_hashes: Sequence[bytes], /) -> bytes:
    """Return the root of the tree over these leaves; ``EMPTY`` over none."""
    return Frontier().extend(leaf_hashes).root()


@attrs.frozen
class Frontier:
    """All that is needed of a tree to let it grow: at most 63 hashes.

    It is a value: ``extend`` returns the next one, so a transaction that is rolled back needs no undoing.

    Attributes:
        size: The number of leaves.
        roots: The roots of the complete subtrees that the leaves fall into, from the first leaf on: one
            for each bit set in ``size``, the highest first.
    """

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.size <= LARGEST:
            raise ProofError(f"a tree has 0 to 2**63 - 1 leaves, got {self.size}", value=self.size)
        if len(self.roots) != self.size.bit_count() or any([len(root) != HASH for root in self.roots]):  # noqa: C419 - it is short
            raise ProofError(
                f"a tree of {self.size} leaves has {self.size.bit_count()} complete subtrees with a root of"
                f" {HASH} bytes each, got roots of {[len(root) for root in self.roots]} bytes",
                value=len(self.roots),
                expected=self.size.bit_count(),
            )

    def extend(self, leaf_hashes: Iterable[bytes], /) -> Self:
        """Return the tree with these leaves added.

        Args:
            leaf_hashes: Hashes of 32 bytes, in the order of the records.

        Raises:
            ProofError: A hash is not 32 bytes long.
        """
        level = list(leaf_hashes)
        if not level:
            return self
        if set(map(len, level)) != {HASH}:
            wrong = next(length for length in map(len, level) if length != HASH)
            raise ProofError(f"a leaf hash has {HASH} bytes, got one of {wrong}", value=wrong, expected=HASH)
        size, roots, after = self.size + len(level), list(self.roots), []
        bit = 1
        while level:
            if self.size & bit:
                level.insert(0, roots.pop())
            if size & bit:
                # An odd number stands at this level exactly where the new size has its bit.
                after.append(level[-1])
            level = paired(level)
            bit <<= 1
        return type(self)(size, (*roots, *reversed(after)))

    def root(self) -> bytes:
        """Return the root over all leaves; ``EMPTY`` over none."""
        if not self.roots:
            return EMPTY
        *left, root = self.roots
        for subtree in reversed(left):
            root = node_hash(subtree, root)
        return root

    def to_bytes(self) -> bytes:
        """Return the size (8 bytes, big-endian), the roots, and the SHA-256 of both."""
        body = self.size.to_bytes(8, "big") + b"".join(self.roots)
        return body + sha256(body).digest()

    @classmethod
    def from_bytes(cls, stored: bytes, /) -> Self:
        """Read what ``to_bytes`` wrote.

        Raises:
            DamagedError: These are not bytes that ``to_bytes`` wrote.
        """
        body, check = stored[:-HASH], stored[-HASH:]
        if len(body) < 8 or sha256(body).digest() != check:
            raise DamagedError(
                f"the {len(stored)} stored bytes of a log's frontier do not match their check: rebuild it"
                " from the records, and compare it with the last signed checkpoint"
            )
        try:
            return cls(
                int.from_bytes(body[:8], "big"),
                tuple(body[start : start + HASH] for start in range(8, len(body), HASH)),
            )
        except ProofError as error:
            raise DamagedError(f"the stored frontier of a log is none: {error}") from error


def inclusion_path(index: int, size: int, subtree: Subtree, /) -> list[bytes]:
    """Return the hashes that lead from one leaf to the root, from the bottom up.

    Args:
        index: The number of the leaf, from 0.
        size: The number of leaves of the tree to prove it in.
        subtree: Asked for the hashes of complete, aligned subtrees, about ``log2(size)`` to
            ``2 * log2(size)`` of them; never for one that the leaf is in.

    Raises:
        ProofError: There is no such leaf in a tree of that size.

    Source: RFC 9162, section 2.1.3.1, ``PATH(m, D[n])``.
    """
    _check_index(index, size)
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_over(middle, end, subtree))
            end = middle
        else:
            path.append(_over(start, middle, subtree))
            start = middle
    return path[::-1]


def consistency_path(old: int, new: int, subtree: Subtree, /) -> list[bytes]:
    """Return the hashes that show a tree of ``new`` leaves to begin with the tree of ``old`` leaves.

    Args:
        old: The size of the earlier tree, at least 1.
        new: The size of the later one, at least ``old``.
        subtree: Asked for the hashes of complete, aligned subtrees.

    Raises:
        ProofError: The sizes are in the wrong order, or the earlier tree is empty, of which nothing can be
            proved.

    Source: RFC 9162, section 2.1.4.1, ``PROOF(m, D[n])``.
    """
    _check_growth(old, new)
    if old == new:
        return []
    path: list[bytes] = []
    start, end = 0, new
    whole = True  # whether the earlier tree fills what is looked at from its first leaf on
    while end > old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_over(middle, end, subtree))
            end = middle
        else:
            path.append(_over(start, middle, subtree))
            start, whole = middle, False
    if not whole:
        path.append(_over(start, end, subtree))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes, /) -> None:
    """Accept a leaf hash as number ``index`` of the tree of ``size`` leaves with that root, or raise.

    Raises:
        ProofError: Which says what was wrong: number, length of the path, or the root it leads to.

    Source: RFC 9162, section 2.1.3.2.
    """
    _check_index(index, size)
    _check_hashes(leaf, root, *path)
    last, found = size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ProofError(
                f"the path of record {index} in a tree of {size} goes on past the root: {len(path)} hashes",
                value=len(path),
            )
        if index & 1 or index == last:
            found = node_hash(sibling, found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        index, last = index >> 1, last >> 1
    if last:
        raise ProofError(
            f"the path ends before the root of a tree of {size}: {len(path)} hashes", value=len(path)
        )
    if found != root:
        raise ProofError(
            f"the path leads to root {found.hex()}, not to {root.hex()}: the record, its number or the tree"
            " is another",
            value=found.hex(),
            expected=root.hex(),
        )


def verify_consistency(
    old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes, /
) -> None:
    """Accept that the tree of ``new`` leaves begins with the tree of ``old`` leaves, or raise.

    Nothing is consistent with an empty tree: whoever accepts that accepts everything.

    Raises:
        ProofError: Which says what was wrong: sizes, length of the path, or which root it leads past.

    Source: RFC 9162, section 2.1.4.2.
    """
    _check_growth(old, new)
    if old == new:
        if path:
            raise ProofError(
                f"two trees of {old} leaves need no path, got {len(path)} hashes", value=len(path)
            )
        if old_root != new_root:
            raise ProofError(
                f"two trees of {old} leaves have the roots {old_root.hex()} and {new_root.hex()}: the log was"
                " rewritten",
                value=new_root.hex(),
                expected=old_root.hex(),
            )
        return
    _check_hashes(old_root, new_root, *path)
    hashes = list(path)
    if not old & (old - 1):
        hashes.insert(0, old_root)  # a power of two: the earlier root is a subtree of the later tree
    if not hashes:
        raise ProofError(f"a path from {old} to {new} leaves cannot be empty", value=0)
    index, last = old - 1, new - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    earlier = later = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofError(
                f"the path from {old} to {new} leaves goes on past the root: {len(path)} hashes",
                value=len(path),
            )
        if index & 1 or index == last:
            earlier, later = node_hash(sibling, earlier), node_hash(sibling, later)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            later = node_hash(later, sibling)
        index, last = index >> 1, last >> 1
    if last:
        raise ProofError(
            f"the path from {old} to {new} leaves ends before the root: {len(path)} hashes", value=len(path)
        )
    for size, found, expected in ((old, earlier, old_root), (new, later, new_root)):
        if found != expected:
            raise ProofError(
                f"the path leads to root {found.hex()} at size {size}, not to {expected.hex()}: one of the"
                " trees is not the beginning of the other",
                value=found.hex(),
                expected=expected.hex(),
            )


def _split(count: int) -> int:
    """Return the largest power of two below ``count``, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def _over(start: int, end: int, subtree: Subtree) -> bytes:
    """Return the hash over the leaves ``start`` to ``end``, a node of the tree that ends there."""
    hashes = []
    while start < end:
        # From the first leaf on each complete subtree is the largest that fits, and aligned.
        level = (end - start).bit_length() - 1
        hashes.append(subtree(level, start >> level))
        start += 1 << level
    found = hashes.pop()
    while hashes:
        found = node_hash(hashes.pop(), found)
    return found


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size <= LARGEST:
        raise ProofError(
            f"there is no record {index} in a tree of {size}: numbers go from 0 to the size less 1",
            value=index,
            expected=size,
        )


def _check_growth(old: int, new: int) -> None:
    if not 0 < old <= new <= LARGEST:
        raise ProofError(
            f"a tree grows from at least 1 leaf to as many or more, got {old} to {new}", value=(old, new)
        )


def _check_hashes(*hashes: bytes) -> None:
    for found in hashes:
        if len(found) != HASH:
            raise ProofError(
                f"a hash has {HASH} bytes, got one of {len(found)}", value=len(found), expected=HASH
            )
