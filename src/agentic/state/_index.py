"""Which slot has a subject? A hash table and the texts themselves in flat arrays, no Python object for each.

A dict from text to number takes about 140 bytes a subject: a string, a number, and the table. Here it is
the text's UTF-8, 8 bytes that say where it stands, and 8 for a place in the table, of which one to two
thirds are taken: 20 to 36 bytes and the text. Many subjects are looked up at once, by column; few of them
one by one. Two subjects are one when their texts are, whatever their hashes.

Ctrl-C or want of memory may end a change at any line. Where the texts stand is what counts, and one write
tells it; all else can be made anew from that. What is marked as being changed when the next call comes was
given up half-way, and is made anew; what only takes room is built aside and put in place whole.

Source: Knuth 1998, The Art of Computer Programming 3, section 6.4: linear probing (algorithm L) and deletion
from it (algorithm R, which leaves no tombstones).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentic.arrays import I64, U64, Bools
from agentic.errors import StoreError

Bytes = NDArray[np.uint8]

_FIRST: Final = 256
_GROWTH: Final = 1.5
# Up to here looking one by one costs less than a dozen calls of numpy.
_FEW: Final = 24
# And up to here the last of many.
_LAST: Final = 8
_STEP: Final = 1 << 18
_WORD: Final = 8
# An entry of the table is a tag, the upper half of the hash, and the slot plus one; 0 is an empty place.
_SHIFT: Final = 32
_LOW: Final = (1 << _SHIFT) - 1
_SHIFT_64, _LOW_64 = np.uint64(_SHIFT), np.uint64(_LOW)
# Where a text stands: its first byte in the arena, and in the lower 20 bits how many there are.
_SIZE: Final = 20
_MOST: Final = (1 << _SIZE) - 1
_NOWHERE: Final = -1
# For 0 to 8 bytes of a word: those bytes set.
_MASKS: Final = np.frombuffer(
    b"".join(b"\xff" * size + bytes(_WORD - size) for size in range(_WORD + 1)), dtype=np.uint64
)


class Texts:
    """Texts one after the other, as they are looked up: bytes, where each begins, and how long it is."""

    def __init__(self, texts: Sequence[str]) -> None:
        joined = "".join(texts)
        raw = joined.encode("utf-8", "surrogatepass")
        sizes = map(len, texts)
        if len(raw) != len(joined):
            sizes = map(len, [text.encode("utf-8", "surrogatepass") for text in texts])
        self.size: I64 = np.fromiter(sizes, dtype=np.int64, count=len(texts))
        self.start: I64 = np.cumsum(self.size)
        self.start -= self.size
        # A word may be read from each byte on.
        self.bytes: Bytes = np.frombuffer(raw + bytes(_WORD), dtype=np.uint8)


class Index:
    """Gives subjects slots, from 0 without gaps; slots of those removed are used again.

    Args:
        hash_of: Hashes a text to 64 bits. Python's own is keyed anew in each process, so nobody can choose
            ids that collide.
    """

    def __init__(self, hash_of: Callable[[str], int] = str.__hash__) -> None:
        self._hash = hash_of
        self._count = 0
        self._used = 0  # slots ever given
        self._free: list[int] = []
        self._dirty = False  # a change has begun and not ended
        self._set_table(np.zeros(_FIRST, dtype=np.uint64))
        self._set_texts(np.full(_FIRST, _NOWHERE, dtype=np.int64), bytearray(_FIRST * _WORD), 0, 0)

    def __len__(self) -> int:
        if self._dirty:
            self._mend()
        return self._count

    @property
    def slots(self) -> int:
        """How many slots were ever given: as many rows are needed."""
        if self._dirty:
            self._mend()
        return self._used

    @property
    def nbytes(self) -> int:
        """Bytes of the table, of where texts stand, and of the texts."""
        return self._table.nbytes + self._places.nbytes + self._arena.nbytes

    def _set_table(self, table: U64) -> None:
        self._table, self._entry, self._mask = table, table.data, len(table) - 1

    def _set_texts(self, places: I64, text: bytearray, end: int, lost: int) -> None:
        # A byte array is compared with one text in half the time that a view of an array takes.
        arena: Bytes = np.frombuffer(text, dtype=np.uint8)
        words = _words(arena)
        # One statement: nothing can come between texts and where they stand.
        self._places, self._place, self._text, self._arena, self._words, self._end, self._lost = (
            *(places, places.data, text, arena, words),
            *(end, lost),  # bytes taken, and those of them that no subject has any more
        )

    def find(self, subjects: Sequence[str], /) -> I64:
        """Slot of each, shape (n,); -1 for strangers."""
        if len(subjects) <= _FEW:
            return np.array([self.find_one(subject) for subject in subjects], dtype=np.int64)
        return self._find(subjects, Texts(subjects), self._tags(subjects))

    def find_one(self, subject: str, /) -> int:
        """Slot of one subject; -1 for a stranger."""
        at = self._seek(subject)
        return -1 if at < 0 else (self._entry[at] & _LOW) - 1

    def add(self, subjects: Sequence[str], /) -> I64:
        """Give slots to strangers, shape (n,); one who comes twice has one slot.

        Raises:
            StoreError: A text takes more than 1,048,575 bytes.
        """
        distinct = list(dict.fromkeys(subjects))
        if len(distinct) < len(subjects):
            slots = dict(zip(distinct, self.add(distinct).tolist(), strict=True))
            return np.array([slots[subject] for subject in subjects], dtype=np.int64)
        texts = Texts(subjects)
        _checked(int(texts.size.max(initial=0)))
        self._make_room(len(subjects), len(texts.bytes) - _WORD)
        tags = self._tags(subjects)
        self._dirty = True
        slots_given = self._next_slots(len(subjects))
        end = self._end + len(texts.bytes) - _WORD
        self._arena[self._end : end] = texts.bytes[:-_WORD]
        self._places[slots_given] = (texts.start + self._end) << _SIZE | texts.size
        self._end = end
        self._count += len(subjects)
        self._insert(self._table, tags << _SHIFT_64 | (slots_given + 1).astype(np.uint64))
        self._dirty = False
        return slots_given

    def add_one(self, subject: str, /) -> int:
        """Give a slot to one stranger: ``add`` of one, at a third of the price."""
        raw = subject.encode("utf-8", "surrogatepass")
        size = _checked(len(raw))
        self._make_room(1, size)
        self._dirty = True
        slot = self._free.pop() if self._free else self._used
        self._used = max(self._used, slot + 1)
        self._text[self._end : self._end + size] = raw
        self._place[slot] = self._end << _SIZE | size
        self._end += size
        self._count += 1
        tag, table, mask = self._hash(subject) >> _SHIFT & _LOW, self._entry, self._mask
        at = tag & mask
        while table[at]:
            at = at + 1 & mask
        table[at] = tag << _SHIFT | slot + 1
        self._dirty = False
        return slot

    def remove(self, subject: str, /) -> int:
        """Forget a subject and overwrite its text; return the slot it had, -1 for a stranger."""
        gap = self._seek(subject)
        if gap < 0:
            return -1
        table, mask = self._entry, self._mask
        slot = (table[gap] & _LOW) - 1
        place = self._place[slot]
        self._dirty = True
        self._place[slot] = _NOWHERE
        # Whoever was pushed on because the gap was taken moves into it.
        at = gap
        while entry := table[at := at + 1 & mask]:
            if at - (entry >> _SHIFT) & mask >= at - gap & mask:
                table[gap], gap = entry, at
        table[gap] = 0
        self._arena[place >> _SIZE : (place >> _SIZE) + (place & _MOST)] = 0
        self._free.append(slot)
        self._count -= 1
        self._lost += place & _MOST
        self._dirty = False
        if self._lost > max(self._end - self._lost, _FIRST * _WORD):
            self._close_up()
        return slot

    def texts(self, of: Bools | None = None) -> Iterator[str]:
        """Every subject there is at the time of the call, in the order of slots.

        Args:
            of: Only those in these slots; shape (slots or more,).
        """
        slots = self.slots  # mends first
        places = self._places[:slots]
        there = places != _NOWHERE
        if of is not None:
            there &= of[:slots]
        return _read(places[there], bytes(self._text[: self._end]))

    def _tags(self, subjects: Sequence[str]) -> U64:
        hashes = np.fromiter(map(self._hash, subjects), dtype=np.int64, count=len(subjects))
        return hashes.view(np.uint64) >> _SHIFT_64

    def _seek(self, subject: str) -> int:
        """Place of a subject in the table; -1 for a stranger."""
        if self._dirty:
            self._mend()
        tag, raw = self._hash(subject) >> _SHIFT & _LOW, subject.encode("utf-8", "surrogatepass")
        table, mask, size = self._entry, self._mask, len(raw)
        at = tag & mask
        while entry := table[at]:
            if entry >> _SHIFT == tag:
                place = self._place[(entry & _LOW) - 1]
                start = place >> _SIZE
                if place & _MOST == size and self._text[start : start + size] == raw:
                    return at
            at = at + 1 & mask
        return -1

    def _find(self, subjects: Sequence[str], texts: Texts, tags: U64) -> I64:
        """``find`` for many: every round looks at the next place of those who are still on their way."""
        if self._dirty:
            self._mend()
        at, mask = tags.view(np.int64) & np.int64(self._mask), np.int64(self._mask)
        found = self._table[at]
        rows = on = ((found != 0) & (found >> _SHIFT_64 != tags)).nonzero()[0]
        while len(on) > _LAST:
            tags, at = tags[on], at[on] + 1 & mask
            entries = self._table[at]
            found[rows] = entries
            on = ((entries != 0) & (entries >> _SHIFT_64 != tags)).nonzero()[0]
            rows = rows[on]
        slots: I64 = (found & _LOW_64).view(np.int64) - 1
        slots[rows] = -1
        alike = (slots >= 0).nonzero()[0]
        others = alike[~self._same(slots[alike], texts, alike)]
        # Those who have not arrived, and those who met another text of their tag: a few in a thousand.
        for row in [*rows.tolist(), *others.tolist()]:
            slots[row] = self.find_one(subjects[row])
        return slots

    def _same(self, slots: I64, texts: Texts, rows: I64) -> Bools:
        """Whether the texts of these slots are those of the rows, compared by words of 8 bytes."""
        places, sizes = self._places[slots], texts.size[rows]
        same: Bools = (places & _MOST) == sizes
        mine, theirs, words = places >> _SIZE, texts.start[rows], _words(texts.bytes)
        differs = self._words[mine] ^ words[theirs]
        differs &= _MASKS[np.minimum(sizes, _WORD)]
        same &= differs == 0
        done, longest = _WORD, int(sizes.max(initial=0))
        while done < longest:
            long = (same & (sizes > done)).nonzero()[0]
            differs = self._words[mine[long] + done] ^ words[theirs[long] + done]
            differs &= _MASKS[np.minimum(sizes[long] - done, _WORD)]
            same[long] = differs == 0
            done += _WORD
        return same

    @staticmethod
    def _insert(table: U64, entries: U64) -> None:
        """Put entries into a table; every round those who find a place empty, and win it, are done."""
        mask = np.int64(len(table) - 1)
        at = (entries >> _SHIFT_64).view(np.int64) & mask
        while len(at):
            empty = np.flatnonzero(table[at] == 0)
            table[at[empty]] = entries[empty]
            on = np.flatnonzero(table[at] != entries)
            entries, at = entries[on], at[on] + 1 & mask

    def _next_slots(self, n: int) -> I64:
        again = [self._free.pop() for _ in range(min(n, len(self._free)))]
        fresh = n - len(again)
        self._used += fresh
        return np.concatenate([np.array(again, dtype=np.int64), np.arange(self._used - fresh, self._used)])

    def _make_room(self, subjects: int, size: int) -> None:
        if self._dirty:
            self._mend()
        if 3 * (self._count + subjects) > 2 * len(self._table):
            entries, length = self._table, len(self._table)
            while 3 * (self._count + subjects) > 2 * length:
                length *= 2
            table = np.zeros(length, dtype=np.uint64)
            for lo in range(0, len(entries), _STEP):
                part = entries[lo : lo + _STEP]
                self._insert(table, part[part != 0])
            self._set_table(table)
        places, text = self._places, self._text
        need = self._used + max(subjects - len(self._free), 0)
        if need > len(places):
            places = np.full(max(need, int(len(places) * _GROWTH)), _NOWHERE, dtype=np.int64)
            places[: self._used] = self._places[: self._used]
        need = self._end + size + _WORD
        if need > len(text):
            text = bytearray(max(need, int(len(text) * _GROWTH)))
            np.frombuffer(text, dtype=np.uint8)[: self._end] = self._arena[: self._end]
        if places is not self._places or text is not self._text:
            self._set_texts(places, text, self._end, self._lost)

    def _close_up(self) -> None:
        """Move the texts together, so that what was removed takes no memory for long."""
        live = np.flatnonzero(self._places != _NOWHERE)
        sizes, end = self._places[live] & _MOST, 0
        places, text = self._places.copy(), bytearray(int(sizes.sum() * _GROWTH) + _FIRST * _WORD)
        arena = np.frombuffer(text, dtype=np.uint8)
        for lo in range(0, len(live), _STEP):
            slots, size = live[lo : lo + _STEP], sizes[lo : lo + _STEP]
            begin, start = end, end + np.cumsum(size) - size
            shift = np.repeat((places[slots] >> _SIZE) - start, size)
            end += len(shift)
            arena[begin:end] = self._arena[shift + np.arange(begin, end)]
            places[slots] = start << _SIZE | size
        self._set_texts(places, text, end, 0)

    def _mend(self) -> None:
        """Make all of it anew from where texts stand, after a change that was given up half-way.

        Whoever has a place is there, at the slot of before, and nobody else; so the change that was given
        up has happened, or has not. Done twice it is as done once.
        """
        self._close_up()  # a text whose subject lost its place may not have been overwritten
        live = np.flatnonzero(self._places != _NOWHERE)
        table = np.zeros_like(self._table)
        for lo in range(0, len(live), _STEP):
            slots = live[lo : lo + _STEP]
            tags = self._tags(list(_read(self._places[slots], self._text)))
            self._insert(table, tags << _SHIFT_64 | (slots + 1).astype(np.uint64))
        used = int(live.max(initial=-1)) + 1
        self._set_table(table)
        self._count, self._used = len(live), used
        self._free = np.flatnonzero(self._places[:used] == _NOWHERE)[::-1].tolist()
        self._dirty = False


def _checked(size: int) -> int:
    if size > _MOST:
        raise StoreError(
            f"a subject must take at most {_MOST:,} bytes, got {size:,}: hash longer ids", value=size
        )
    return size


def _read(places: I64, text: bytes | bytearray) -> Iterator[str]:
    for lo in range(0, len(places), _STEP):
        for place in places[lo : lo + _STEP].tolist():
            start = place >> _SIZE
            yield text[start : start + (place & _MOST)].decode("utf-8", "surrogatepass")


def _words(bytes_: Bytes) -> U64:
    """The 8 bytes from each byte on, as one number: a view, shape (size - 7,)."""
    return np.ndarray(len(bytes_) - _WORD + 1, dtype=np.uint64, buffer=bytes_, strides=(1,))
