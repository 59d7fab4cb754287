"""Files come whole or not at all, and a path that cannot be written to is refused before the work."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from agentic._files import check_paths, create_secret, write_whole, written_whole
from agentic.errors import AgenticError, ConfigurationError


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    """New or in place of another, with nothing left beside it, and for others to read as the mask says."""
    path = tmp_path / "report \N{SNOWMAN}.svg"
    for text in ("first", "\N{SNOWMAN}\n" * 1000):
        write_whole(str(path), text)
        assert path.read_text(encoding="utf-8") == text
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_what_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full half-way, or Ctrl-C: the file is as it was, and nothing lies beside it."""
    path = tmp_path / "report.json"
    path.write_text("before")
    for error, raised in (
        (OSError(28, "No space left on device"), AgenticError),
        (KeyboardInterrupt(), None),
    ):

        def full(self: Path, target: Path, error: BaseException = error) -> Path:
            raise error

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(raised or KeyboardInterrupt) as caught:
            write_whole(str(path), "after")
        if raised is not None:
            assert "No space left" in str(caught.value)
            assert str(path) in str(caught.value)
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["report.json"]


def test_a_link_goes_on_pointing_where_it_did(tmp_path: Path) -> None:
    """The file behind the link is replaced, not the link."""
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    write_whole(str(tmp_path / "link"), "after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "after"


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    """What is no regular file is not replaced by one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reader.start()
    check_paths([str(pipe)])
    write_whole(str(pipe), "through")
    reader.join()
    assert heard == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_reader_that_went_away_is_the_commands_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken pipe is passed on as it is."""

    def gone(self: Path, text: str, encoding: str) -> int:
        raise BrokenPipeError

    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(Path, "write_text", gone)
    with pytest.raises(BrokenPipeError):
        write_whole(str(tmp_path / "pipe"), "text")


def test_paths_that_cannot_be_written_to_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, no folder, nothing at all, what may not be written to, and two documents in one file."""
    for path in (tmp_path, tmp_path / "none" / "a.svg", ""):
        with pytest.raises(ConfigurationError, match="expected the path of a file"):
            check_paths([str(path)])
    one, same = str(tmp_path / "a"), str(tmp_path / "." / "a")
    check_paths([one, str(tmp_path / "b")])
    with pytest.raises(ConfigurationError, match="two documents"):
        check_paths([one, same])
    monkeypatch.setattr(os, "access", lambda path, how: False)  # root may write anywhere
    with pytest.raises(ConfigurationError, match="may not be written to"):
        check_paths([one])


def test_what_is_no_path_is_refused_at_once(tmp_path: Path) -> None:
    """A name too long, links in a circle or to nowhere, a NUL: before the work, and again at the write."""
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "nowhere").symlink_to(tmp_path / "none" / "file")
    (tmp_path / "file").write_text("before")
    for name, told in (
        ("n" * 300, "File name too long"),
        ("circle", "symbolic links"),
        ("nowhere", "expected the path of a file"),
        ("a\0b", "null byte"),
        ("file/below", "expected the path of a file"),
    ):
        path = str(tmp_path / name)
        with pytest.raises(ConfigurationError, match=told):
            check_paths([path])
        with pytest.raises(AgenticError, match="cannot write"):
            write_whole(path, "text")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["circle", "file", "nowhere"]


def test_a_long_name_that_the_system_takes_is_written(tmp_path: Path) -> None:
    """What lies beside it meanwhile has a shorter one."""
    for name in ("n" * 255, "\N{SNOWMAN}" * 85):
        path = tmp_path / name
        check_paths([str(path)])
        write_whole(str(path), "text")
        assert path.read_text() == "text"


def test_a_link_to_a_file_that_is_not_there_yet_makes_it(tmp_path: Path) -> None:
    """If its folder is there."""
    (tmp_path / "link").symlink_to("real")
    check_paths([str(tmp_path / "link")])
    write_whole(str(tmp_path / "link"), "text")
    assert (tmp_path / "real").read_text() == "text"
    with pytest.raises(ConfigurationError, match="two documents"):
        check_paths([str(tmp_path / "link"), str(tmp_path / "real")])


def test_a_file_in_a_closed_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new file is made in the folder, so writing to the old one is not enough; a pipe is enough."""
    (tmp_path / "file").write_text("before")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "access", lambda path, how: Path(path) != tmp_path)  # root may write anywhere
    for name in ("file", "new"):
        with pytest.raises(ConfigurationError, match="may not be written to"):
            check_paths([str(tmp_path / name)])
    check_paths([str(tmp_path / "pipe")])


def test_a_secret_stays_one(tmp_path: Path) -> None:
    """Who could read the file before can read it after, and nobody else."""
    path = tmp_path / "secret"
    for mode in (0o600, 0o640, 0o664):
        path.touch()
        path.chmod(mode)
        write_whole(str(path), "text")
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_what_streams_comes_whole_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written in parts, seen at the end; what fails in between leaves what was there."""
    path = tmp_path / "log.jsonl"
    with written_whole(str(path)) as stream:
        stream.write(b"one\n")
        assert not path.exists()
        stream.write(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(KeyboardInterrupt), written_whole(str(path)) as stream:
        stream.write(b"three")
        raise KeyboardInterrupt
    with pytest.raises(AgenticError, match="No space"), written_whole(str(path)) as stream:
        raise OSError(28, "No space left on device")
    assert path.read_bytes() == b"one\ntwo\n"
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_what_streams_follows_no_links(tmp_path: Path) -> None:
    """A link, a folder and a path that is none are refused before anything is written."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder", "no/such", "a\0b", "n" * 5000):
        with pytest.raises(ConfigurationError, match="cannot write"), written_whole(str(tmp_path / name)):
            pass
    assert not (tmp_path / "target").exists()


def test_a_secret_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For its owner only, over nothing, and not by half."""
    path = tmp_path / "key"
    create_secret(str(path), "text\n")
    assert path.read_bytes() == b"text\n"
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for taken in (path, tmp_path, tmp_path / "link"):
        with pytest.raises(ConfigurationError, match="not overwritten"):
            create_secret(str(taken), "other")
    for odd in ("no/such", "a\0b"):
        with pytest.raises(ConfigurationError, match="cannot write"):
            create_secret(str(tmp_path / odd), "other")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AgenticError, match="No space"):
        create_secret(str(tmp_path / "new"), "text")
    assert not (tmp_path / "new").exists()
    assert path.read_bytes() == b"text\n"
