"""``verify`` and ``audit``: what they print, what they refuse, and with which exit code."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import shops
from agentic import _cli
from agentic.ext import Ed25519Key
from agentic.provenance import HmacKey, open_checkpoint, verifier_source
from durable import opened, rewards

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    path = tmp_path_factory.mktemp("shop") / "agent.db"
    return path, shops.filled(path)


@pytest.fixture
def path(left: tuple[Path, list[str]], tmp_path: Path) -> str:
    """A copy of one's own."""
    return str(shutil.copy(left[0], tmp_path / "agent.db"))


@pytest.fixture
def key(tmp_path: Path) -> str:
    file = tmp_path / "key.txt"
    file.write_text(f"# ours\n\n{shops.KEY.text()}\n", encoding="utf-8")
    file.chmod(0o600)
    return str(file)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("AGENTIC_AUDIT_KEYS", raising=False)

    def called(*words: str) -> tuple[int, str, str]:
        code = _cli.main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return called


def damage(path: str, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


class TestVerify:
    def test_a_good_file_is_told_in_numbers(self, run: Run, path: str, key: str) -> None:
        """Records, root, state, checkpoints; and nothing in the file or beside it changes."""
        before = Path(path).read_bytes()
        code, out, err = run("verify", path, "--key", key)
        assert (code, err) == (0, "")
        assert "all of it is what was written" in out
        assert "182 read, 0 erased, 0 dropped, 40 not sealed yet" in out
        assert "1 signed with a key given, the latest over 142 records" in out
        assert Path(path).read_bytes() == before
        assert sorted(each.name for each in Path(path).parent.iterdir()) == ["agent.db", "key.txt"]

    def test_keys_come_from_the_environment_too(
        self, run: Run, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Public ones and secret ones; without any it says that nobody looked at signatures."""
        assert "signatures not checked" in run("verify", path)[1]
        monkeypatch.setenv("AGENTIC_AUDIT_KEYS", shops.KEY.text())
        assert "1 signed with a key given" in run("verify", path)[1]
        stranger = Ed25519Key("shop.example/a", bytes(32))
        for text in (stranger.text(), stranger.public().text()):
            monkeypatch.setenv("AGENTIC_AUDIT_KEYS", text)
            code, out, _ = run("verify", path)
            assert code == 1
            assert "problem: none of the 1 checkpoints" in out

    def test_json_tells_the_same(self, run: Run, path: str, key: str) -> None:
        """One document; what is wrong is in it."""
        code, out, _ = run("verify", path, "--json", "--key", key)
        told = json.loads(out)
        assert code == 0
        assert (told["ok"], told["log"]["records"], told["checkpoints"][0]["known"]) == (True, 182, True)
        damage(path, "UPDATE vault SET salts = zeroblob(16) WHERE first = 1")
        code, out, _ = run("verify", path, "--json")
        assert code == 1
        assert len(json.loads(out)["problems"]) == 1

    def test_what_is_wrong_is_one_line(self, run: Run, path: str) -> None:
        """It names the place; exit code 1."""
        damage(path, "UPDATE policies SET body = zeroblob(9)")
        code, out, err = run("verify", path)
        assert (code, err) == (1, "")
        assert out.splitlines()[0].endswith("NOT what was written")
        assert "policy version" in out.splitlines()[1]

    def test_growth_since_a_kept_checkpoint(self, run: Run, path: str, key: str, tmp_path: Path) -> None:
        """A note from a file; one that does not fit is a problem, none at all is wrong use."""
        assert run("audit", path, "--checkpoint", "--key", key, "--out", str(tmp_path / "note"))[0] == 0
        code, out, _ = run("verify", path, "--since", str(tmp_path / "note"), "--key", key)
        assert code == 0
        assert "it begins with the 182 records" in out
        old = shutil.copy(tmp_path / "note", tmp_path / "old")
        shops.filled(tmp_path / "other.db")
        assert run("verify", str(tmp_path / "other.db"), "--since", str(old))[0] == 1
        assert run("verify", path, "--since", str(tmp_path / "none"))[0] == 2

    @pytest.mark.parametrize("content", [b"", b"text " * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
    def test_a_file_of_something_else_is_an_error(self, run: Run, tmp_path: Path, content: bytes) -> None:
        """Exit code 1, one line, no traceback."""
        (tmp_path / "a.db").write_bytes(content)
        for words in (["verify"], ["audit", "--checkpoint"], ["replay", "--agent", "shops:make"], ["export"]):
            extra = ["--out", str(tmp_path / "o.jsonl")] if words[0] == "export" else []
            key = ["--key", self.key(tmp_path)] if words[0] == "audit" else []
            code, out, err = run(words[0], str(tmp_path / "a.db"), *words[1:], *extra, *key)
            assert (code, out) == (1, "")
            assert err.startswith(f"agentic {words[0]}: ")
            assert err.count("\n") == 1
            assert (tmp_path / "a.db").read_bytes() == content
        assert not (tmp_path / "o.jsonl").exists()

    @staticmethod
    def key(folder: Path) -> str:
        (folder / "k").write_text(shops.KEY.text(), encoding="utf-8")
        (folder / "k").chmod(0o600)
        return str(folder / "k")

    def test_no_file_is_an_error_and_none_is_made(self, run: Run, tmp_path: Path) -> None:
        """For whatever command."""
        key = self.key(tmp_path)
        for words in (["verify"], ["audit", "--checkpoint", "--key", key], ["audit", "0" * 32]):
            code, _, err = run(words[0], str(tmp_path / "a.db"), *words[1:])
            assert code == 1
            assert "No such file" in err
        assert not (tmp_path / "a.db").exists()

    def test_a_terminal_sees_how_far_it_is(
        self, run: Run, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And a pipe does not."""

        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        monkeypatch.setattr(sys, "stderr", screen := Terminal())
        assert run("verify", path)[0] == 0
        assert "records" in screen.getvalue()
        assert screen.getvalue().endswith("\r")

    def test_with_the_application_everything_is_done_again(self, run: Run, path: str) -> None:
        """Decisions and lessons come out the same, of a copy; another application's do not."""
        before = Path(path).read_bytes()
        code, out, _ = run("verify", path, "--agent", "shops:make")
        assert code == 0
        assert "decided again: the same" in out
        assert "1 learned versions, 1 learned again and the same" in out
        code, out, _ = run("verify", path, "--agent", "shops:other", "--json")
        assert code == 1
        assert json.loads(out)["again"]["same"] is False
        assert Path(path).read_bytes() == before

    def test_an_agent_that_learns_nothing_decides_again(self, run: Run, tmp_path: Path) -> None:
        """Without goals there is nothing to learn; without checkpoints it says that nobody vouches."""
        with shops.plain(str(tmp_path / "a.db")) as agent:
            agent.decide("anna")
        code, out, _ = run("verify", str(tmp_path / "a.db"), "--agent", "shops:plain")
        assert code == 0
        assert "learned" not in out
        assert "nobody vouches for this log" in out

    def test_as_a_process(self, path: str, key: str) -> None:
        """Output, exit codes, and a reader that goes away."""
        words = [sys.executable, "-m", "agentic", "verify", path]
        done = subprocess.run([*words, "--key", key], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        damage(path, "DELETE FROM blocks WHERE first = 1")
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "missing from the log" in done.stdout
        assert done.stderr == ""
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert (process.stderr.read(), process.wait()) == (b"", 141)

    def test_a_file_that_another_process_writes(self, run: Run, path: str, tmp_path: Path) -> None:
        """Again and again, in the middle of its work: all of it is what was written."""
        program = (
            "import sys; from pathlib import Path; import shops\n"
            "agent = shops.make(sys.argv[1])\n"
            "for number in range(20_000):\n"
            "    agent.decide(f'bert-{number}', {'age': 3.0})\n"
            "    if number == 0: print('ready', flush=True)\n"
            "    if Path(sys.argv[2]).exists(): break\n"
            "agent.close()\n"
        )
        words = [sys.executable, "-c", program, path, str(tmp_path / "stop")]
        folders = os.pathsep.join([str(Path(shops.__file__).parent), *filter(None, sys.path)])
        environment = {**os.environ, "PYTHONPATH": folders}
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == b"ready\n"
                told = [run("verify", path) for _ in range(5)]
                assert process.poll() is None
            finally:
                (tmp_path / "stop").touch()
            assert process.wait() == 0
        assert [code for code, _, _ in told] == [0] * 5
        assert run("verify", path)[0] == 0


class TestAudit:
    def test_a_bundle_is_written_and_accepted(
        self, run: Run, left: tuple[Path, list[str]], path: str, key: str, tmp_path: Path
    ) -> None:
        """For its owner only; with the personal part or without; by us and by the published verifier."""
        decision = left[1][3]
        bundle = tmp_path / "bundle.json"
        assert run("audit", path, decision, "--out", str(bundle)) == (0, "", "")
        assert "anna-3" in bundle.read_text(encoding="utf-8")
        if os.name == "posix":
            assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
        code, out, _ = run("audit", path, decision, "--without-payload")
        assert code == 0
        assert "anna" not in out
        (tmp_path / "less.json").write_text(out, encoding="utf-8", newline="\n")
        for file in (bundle, tmp_path / "less.json"):
            code, out, _ = run("audit", "--check", str(file), "--key", key)
            assert code == 0
            assert out.startswith("ACCEPTED: record ")
        code, out, err = run("audit", "--check", str(bundle), "--key", self.stranger(tmp_path))
        assert (code, out) == (1, "")
        assert "refused" in err

    @staticmethod
    def stranger(folder: Path) -> str:
        (folder / "stranger").write_text(HmacKey("x", bytes(16)).text(), encoding="utf-8")
        (folder / "stranger").chmod(0o600)
        return str(folder / "stranger")

    def test_the_verifier_is_printed(self, run: Run, tmp_path: Path) -> None:
        """As it is published, or into a file."""
        assert run("audit", "--verifier") == (0, verifier_source(), "")
        assert run("audit", "--verifier", "--out", str(tmp_path / "v.py"))[0] == 0
        assert (tmp_path / "v.py").read_text(encoding="utf-8") == verifier_source()

    def test_decisions_that_are_not_there(
        self, run: Run, left: tuple[Path, list[str]], path: str, tmp_path: Path
    ) -> None:
        """Odd ids, another's tag, what is no decision, and one that no checkpoint is on."""
        for odd in ("x", "0" * 32, "f" * 32, left[1][3][:16] + f"{0:016x}", "0" * 16 + left[1][3][16:]):
            code, out, err = run("audit", path, odd)
            assert (code, out) == (1, "")
            assert err.count("\n") == 1
        code, _, err = run("audit", path, left[1][-1])
        assert code == 1
        assert "no signed checkpoint" in err

    def test_what_was_dropped_cannot_be_proved(self, run: Run, tmp_path: Path) -> None:
        """It is told like a decision that never was: nobody can tell the difference any more."""
        database, log = opened(tmp_path / "a.db")
        log.append(rewards(list(range(4096))))
        log.drop(4096, at=1)
        database.close()
        assert run("audit", str(tmp_path / "a.db"), "0" * 31 + "1")[0] == 1

    def test_a_checkpoint_is_signed_and_kept(self, run: Run, path: str, key: str) -> None:
        """Printed, and in the file; the name of a log stays."""
        code, note, _ = run("audit", path, "--checkpoint", "--key", key)
        assert code == 0
        assert open_checkpoint(note, [shops.KEY]).size == 182
        assert run("audit", path, "--checkpoint", "--key", key, "--origin", "mine")[0] == 1
        assert "2 signed with a key given" in run("verify", path, "--key", key)[1]

    def test_both_kinds_of_keys_sign(self, run: Run, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """All that are given; a public key cannot."""
        pair = Ed25519Key("shop.example/b", bytes(range(32)))
        monkeypatch.setenv("AGENTIC_AUDIT_KEYS", f"{shops.KEY.text()}\n{pair.text()}")
        note = run("audit", path, "--checkpoint")[1]
        for one in (shops.KEY, pair.public()):
            assert open_checkpoint(note, [one]).size == 182
        monkeypatch.setenv("AGENTIC_AUDIT_KEYS", pair.public().text())
        code, _, err = run("audit", path, "--checkpoint")
        assert code == 1
        assert "a secret key is needed" in err

    def test_a_new_key_is_a_secret(self, run: Run, path: str, tmp_path: Path) -> None:
        """Its file is its owner's, is not overwritten, and its text is not printed."""
        file = str(tmp_path / "new")
        code, out, _ = run("audit", "--new-key", "shop.example/a", "--out", file)
        assert code == 0
        assert "PRIVATE" not in out
        text = Path(file).read_text(encoding="utf-8")
        assert HmacKey.parse(text).name == "shop.example/a"
        if os.name == "posix":
            assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
        code, _, err = run("audit", "--new-key", "b", "--out", file)
        assert code == 2
        assert "is not overwritten" in err
        assert Path(file).read_text(encoding="utf-8") == text
        assert run("audit", path, "--checkpoint", "--key", file)[0] == 0
        assert run("audit", "--new-key", "b")[0] == 2
        assert run("audit", "--new-key", "a b", "--out", str(tmp_path / "odd"))[0] == 1
        assert run("audit", "--new-key", "b", "--out", str(tmp_path / "no" / "such"))[0] == 2

    def test_keys_that_are_none(
        self, run: Run, path: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each is told, and no secret is shown."""
        code, _, err = run("audit", path, "--checkpoint", "--key", shops.KEY.text())
        assert code == 2
        assert "command line" in err
        assert shops.KEY.text() not in err
        assert run("audit", path, "--checkpoint")[0] == 2
        for content in (b"", b"# nothing\n", b"\xff", b"a" * (1 << 24) + b"a"):
            (tmp_path / "odd").write_bytes(content)
            code, _, err = run("audit", path, "--checkpoint", "--key", str(tmp_path / "odd"))
            assert code == 2
            assert "Traceback" not in err
        (tmp_path / "odd").write_text(shops.KEY.text()[:-9], encoding="utf-8")
        code, _, err = run("verify", path, "--key", str(tmp_path / "odd"))
        assert code == 1
        assert shops.KEY.text()[30:-9] not in err

    @pytest.mark.skipif(os.name != "posix", reason="no such rights here")
    def test_a_secret_that_others_can_read_is_told(self, run: Run, path: str, key: str) -> None:
        """It is used all the same."""
        Path(key).chmod(0o644)
        code, _, err = run("verify", path, "--key", key)
        assert code == 0
        assert "chmod 600" in err

    @pytest.mark.parametrize(
        "words",
        [
            ["audit"],
            ["audit", "a.db"],
            ["audit", "a.db", "0" * 32, "--checkpoint"],
            ["audit", "--checkpoint"],
            ["audit", "--check", "none.json"],
            ["audit", "--check", "a", "--verifier"],
            ["audit", "--verifier", "--out", "no/such/folder"],
        ],
        ids=" ".join,
    )
    def test_wrong_use_is_code_2(self, run: Run, words: list[str]) -> None:
        """With a line that says what is missing."""
        code, out, err = run(*words)
        assert (code, out) == (2, "")
        assert "Traceback" not in err

    def test_bundles_come_through_a_pipe_too(
        self, run: Run, left: tuple[Path, list[str]], path: str, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """``--check -`` reads standard input."""
        text = run("audit", path, left[1][0])[1]
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert run("audit", "--check", "-", "--key", key)[0] == 0
