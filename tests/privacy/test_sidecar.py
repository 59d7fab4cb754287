"""The list of erasures beside a database: what a crash, a stranger or a full disk does to it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import DamagedError, DatabaseError
from agentic.privacy import Erasure, ErasureList

words = st.integers(0, 2**64 - 1)
times = st.integers(-(10**17), 10**17)
erasures = st.builds(
    Erasure,
    st.sampled_from(["held", "erased", "lifted"]),
    st.tuples(words, words),
    times,
    times,
    st.sampled_from(["eu-gdpr", "in-dpdp", "none"]),
    st.sampled_from([1, 2]),
)
ONE = Erasure("erased", (1, 2), 3, 4, "eu-gdpr", 5)


def test_what_was_added_is_read(tmp_path: Path) -> None:
    """The last line about a surrogate, of the agent that asks."""
    listed = ErasureList(tmp_path / "list")

    @given(st.lists(erasures, max_size=8))
    def check(added: list[Erasure]) -> None:
        listed.path.unlink(missing_ok=True)
        for one in added:
            listed.add([one])
        for agent in (1, 2):
            assert listed.read(agent) == {one.surrogate: one for one in added if one.agent == agent}

    check()


def test_no_file_is_an_empty_list(tmp_path: Path) -> None:
    """And nothing to add makes none."""
    listed = ErasureList(tmp_path / "list")
    listed.add([])
    assert listed.read(5) == {}
    assert not listed.path.exists()


def test_a_line_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    """At every byte of it: nothing was promised. The next line stands on its own."""
    listed = ErasureList(tmp_path / "list")
    listed.add([ONE])
    whole = listed.path.read_bytes()
    two = Erasure("held", (7, 8), 3, 4, "in-dpdp", 5)
    for cut in range(len(whole)):
        listed.path.write_bytes(whole + whole[:cut])
        assert listed.read(5) == {ONE.surrogate: ONE}
        listed.add([two])
        assert listed.read(5) == {ONE.surrogate: ONE, two.surrogate: two}
        listed.path.write_bytes(whole[:cut])
        assert listed.read(5) == {}


def test_a_line_that_is_none_of_ours_is_told(tmp_path: Path) -> None:
    """By its number, and not by what it says."""
    listed = ErasureList(tmp_path / "list")
    listed.add([ONE])
    for wrong in (
        b"canary\n",
        b"\n",
        b"\xff\n",
        b"erased " + b"0" * 31 + b" 1 1 eu-gdpr " + b"0" * 16 + b"\n",
    ):
        listed.path.write_bytes(listed.path.read_bytes().splitlines(keepends=True)[0] + wrong)
        with pytest.raises(DamagedError, match="line 2") as caught:
            listed.read(5)
        assert "canary" not in str(caught.value)


def test_only_the_owner_reads_it_and_links_are_refused(tmp_path: Path) -> None:
    """Nobody leads us elsewhere."""
    listed = ErasureList(tmp_path / "list")
    listed.add([ONE])
    assert stat.S_IMODE(listed.path.stat().st_mode) == 0o600
    link = ErasureList(tmp_path / "link")
    link.path.symlink_to(listed.path)
    with pytest.raises(DatabaseError, match="cannot be written"):
        link.add([ONE])
    with pytest.raises(DatabaseError, match="cannot be read"):
        link.read(5)
    with pytest.raises(DatabaseError, match="nothing was erased"):
        ErasureList(tmp_path / "none" / "list").add([ONE])
