"""``python -m agentic verify`` and ``audit``: is a log what was written, and what gets an auditor of it?"""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from agentic._cli_agent import opened_copy
from agentic._files import check_paths, create_secret, write_whole, written_whole
from agentic._terminal import FAILED, Bar, complain, is_watched
from agentic.errors import ConfigurationError, ProofError

if TYPE_CHECKING:
    from agentic._agent import Agent
    from agentic._integrity import Checked
    from agentic.provenance import DurableLog, Signer, Verifier

KEYS: Final = "AGENTIC_AUDIT_KEYS"
"""The environment variable that holds keys, one a line."""

_MOST: Final = 1 << 24  # bytes of a file of keys, a note or a bundle
_SECRET: Final = "PRIVATE+KEY+"  # noqa: S105 - what a secret begins with


def add(add_parser: Callable[..., argparse.ArgumentParser], /) -> None:
    """Add both commands."""
    verify = add_parser(
        "verify",
        help="recompute a database file from its bytes and say whether it is what was written",
        description="Read a whole database file, of a running agent too, and recompute everything in it:"
        " digests, commitments, the tree, checkpoints, records, policies. Changes nothing. Exit code 1 when"
        " anything is wrong.",
    )
    option = verify.add_argument
    option("database", metavar="agent.db", help="the file")
    _key_option(verify, "keys whose signatures on checkpoints are checked")
    option("--since", default=None, metavar="NOTE", help="file with a checkpoint kept from before")
    option(
        "--agent",
        default=None,
        metavar="MODULE:FACTORY",
        help="decide and learn everything again, too, with the agent that this function of yours opens",
    )
    option("--json", action="store_true", help="print one JSON document instead")
    verify.set_defaults(do=_verify)
    audit = add_parser(
        "audit",
        help="write the audit bundle of a decision, sign a checkpoint, print the verifier",
        description="What an auditor gets: the bundle that proves one decision, signed checkpoints, and the"
        " program that checks them without anything of ours.",
    )
    option = audit.add_argument
    option("database", nargs="?", default=None, metavar="agent.db", help="the file")
    option("decision", nargs="?", default=None, metavar="DECISION", help="id of the decision to prove")
    option("--out", default=None, metavar="FILE", help="write into this file instead of printing")
    option("--without-payload", action="store_true", help="hold the personal values back")
    _key_option(audit, "keys to sign or check with")
    what = audit.add_mutually_exclusive_group()
    what.add_argument("--checkpoint", action="store_true", help="sign the log and print the checkpoint")
    what.add_argument("--check", default=None, metavar="BUNDLE", help="accept or refuse this bundle")
    what.add_argument("--verifier", action="store_true", help="print the verifier, one file of Python")
    what.add_argument("--new-key", default=None, metavar="NAME", help="make a secret key, into --out")
    option("--origin", default=None, metavar="NAME", help="the log's own name, with the first --checkpoint")
    audit.set_defaults(do=_audit)


def _key_option(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--key", default=None, metavar="FILE", help=f"{what}, one a line; by default those in ${KEYS}"
    )


def _verify(asked: argparse.Namespace) -> int:
    from agentic._integrity import check
    from agentic._onlooker import Onlooker

    keys = [_verifier(text) for text in _keys(asked.key)]
    since = None if asked.since is None else _read(asked.since)
    bar = None if asked.json or not is_watched() else Bar(sys.stderr)
    try:
        with closing(Onlooker(asked.database)) as database:
            found = check(database, keys, since, None if bar is None else bar.show)
        again = None
        if asked.agent is not None and found.ok:
            with opened_copy(asked.agent, asked.database) as agent:
                again = _again(agent)
    finally:
        if bar is not None:
            bar.clear()
    good = found.ok and (again is None or again[0])
    told = _told(asked.database, found, again, keys_given=bool(keys))
    if asked.json:
        print(json.dumps(_facts(found, again), indent=2))
    else:
        print("\n".join(told))
    return 0 if good else FAILED


def _again(agent: Agent) -> tuple[bool, str, str | None]:
    """Whether all comes out the same; what deciding again says, and learning again if there are goals."""
    replayed = agent.replay()
    if agent.goals is None:
        return replayed.identical, str(replayed), None
    relearned = agent.relearn()
    told = (
        f"{relearned.versions:,} learned versions, {relearned.same:,} learned again and the same,"
        f" {len(relearned.differ):,} otherwise, {relearned.missing + relearned.recalled:,} cannot be"
    )
    return replayed.identical and relearned.identical, str(replayed), told


def _told(
    path: str, found: Checked, again: tuple[bool, str, str | None] | None, *, keys_given: bool
) -> list[str]:
    log, state = found.log, found.state
    lines = [f"{path}: {'all of it is what was written' if found.ok else 'NOT what was written'}"]
    lines += [f"  problem: {problem}" for problem in found.problems]
    lines.append(
        f"  records: {log.records:,} read, {log.erased:,} erased, {log.dropped:,} dropped,"
        f" {max(0, found.unsealed):,} not sealed yet"
    )
    lines.append(f"  root over {log.size:,}: {log.root.hex()}")
    lines.append(
        f"  state: {state.journal:,} journal rows, {state.pages:,} pages, {state.layouts:,} layouts,"
        f" {state.policies:,} policy versions, {state.notes:,} notes"
    )
    known = [each.size for each in found.checkpoints if each.known]
    if not found.checkpoints:
        lines.append("  checkpoints: none, so nobody vouches for this log")
    elif keys_given:
        latest = f", the latest over {known[-1]:,} records" if known else ""
        lines.append(
            f"  checkpoints: {len(found.checkpoints):,} of {found.origin}, {len(known):,} signed with a key"
            f" given{latest}"
        )
    else:
        lines.append(
            f"  checkpoints: {len(found.checkpoints):,} of {found.origin}, signatures not checked: give --key"
        )
    if found.since is not None:
        lines.append(f"  since: it begins with the {found.since.size:,} records of the checkpoint kept")
    if again is not None:
        lines.append(f"  decided again: {'the same' if again[0] else 'NOT the same'}")
        lines += [f"    {line}" for line in again[1].splitlines()]
        if again[2] is not None:
            lines.append(f"    {again[2]}")
    return lines


def _facts(found: Checked, again: tuple[bool, str, str | None] | None) -> dict[str, Any]:  # JSON
    log, state = attrs.asdict(found.log), attrs.asdict(found.state)
    log["root"] = found.log.root.hex()
    for part in (log, state):
        del part["problem"]
    return {
        "ok": found.ok and (again is None or again[0]),
        "problems": list(found.problems),
        "log": {**log, "unsealed": found.unsealed, "origin": found.origin},
        "state": state,
        "checkpoints": [attrs.asdict(each) for each in found.checkpoints],
        "since": None if found.since is None else found.since.size,
        "again": None if again is None else {"same": again[0], "decisions": again[1], "learned": again[2]},
    }


def _audit(asked: argparse.Namespace) -> int:
    if asked.out is not None and asked.new_key is None:
        check_paths([asked.out])
    if asked.verifier:
        from agentic.provenance import verifier_source

        return _give(asked, verifier_source())
    if asked.new_key is not None:
        return _new_key(asked)
    if asked.check is not None:
        from agentic.provenance import check_bundle

        print(
            "ACCEPTED:", check_bundle(_read(asked.check), [_verifier(text) for text in _keys(asked.key, 1)])
        )
        return 0
    if asked.database is None or (asked.decision is None) is not asked.checkpoint:
        raise ConfigurationError(
            "audit needs a database and the id of a decision, or a database and --checkpoint, or one of"
            " --check, --verifier and --new-key"
        )
    if asked.checkpoint:
        return _checkpoint(asked)
    return _bundle(asked)


def _new_key(asked: argparse.Namespace) -> int:
    from agentic.provenance import HmacKey

    if asked.out is None:
        raise ConfigurationError("--new-key needs --out FILE: a secret is not printed")
    key = HmacKey.generate(asked.new_key)
    create_secret(asked.out, f"{key.text()}\n")
    print(
        f"{asked.out}: a new secret key of {key.name}, id {key.id.hex()}; keep a copy, and not with the log"
    )
    return 0


def _checkpoint(asked: argparse.Namespace) -> int:
    from agentic._database import Database
    from agentic._onlooker import Onlooker
    from agentic.provenance import DurableLog

    signers = [_signer(text) for text in _keys(asked.key, 1)]
    Onlooker(asked.database).close()  # one that is not there is not made
    with closing(Database(asked.database, durability="power")) as database:
        note = DurableLog(database).checkpoint(*signers, at=time.time_ns() // 1000, origin=asked.origin)
    return _give(asked, note)


def _bundle(asked: argparse.Namespace) -> int:
    from agentic._onlooker import Onlooker
    from agentic._records import read_ids, unknown_decision
    from agentic.provenance import DurableLog

    with closing(Onlooker(asked.database)) as database:
        log = DurableLog(database)
        tags, positions = read_ids([asked.decision])
        position = int(positions[0])
        if position < 0 or position >= len(log) or _tag(log, position) not in (0, int(tags[0])):
            raise unknown_decision(asked.decision)
        evidence = log.evidence(position)
    if asked.without_payload:
        evidence = evidence.withheld()
    text = evidence.to_json()
    if asked.out is None:
        print(text, end="")
        return 0
    with written_whole(asked.out) as stream:  # for its owner only
        stream.write(text.encode())
    return 0


def _tag(log: DurableLog, position: int) -> int | None:
    """What the id of a decision begins with: 0 for one that was erased, ``None`` for what is no decision."""
    for receipt, block in log.read(position):
        row = position - receipt.first
        if block.kind != "decision" or not 0 <= row < receipt.count or "tag" not in block.columns:
            return None
        return int(block.columns["tag"][row])
    return None


def _give(asked: argparse.Namespace, text: str) -> int:
    if asked.out is None:
        print(text, end="")
    else:
        write_whole(asked.out, text)
    return 0


def _keys(path: str | None, least: int = 0) -> list[str]:
    """Texts of keys, from a file or from the environment."""
    if path is not None and path.startswith(_SECRET):
        raise ConfigurationError("others can read a command line: put the key into a file, and give that")
    text = os.environ.get(KEYS, "") if path is None else _read(path)
    found = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(found) < least or (path is not None and not found):
        raise ConfigurationError(
            f"there is no key: give --key FILE, or set {KEYS} to the text of one; `agentic audit --new-key"
            " NAME --out FILE` makes one"
        )
    if path is not None and os.name == "posix" and any(line.startswith(_SECRET) for line in found):
        mode = Path(path).stat().st_mode
        if stat.S_ISREG(mode) and mode & 0o077:
            complain(f"agentic: others may read the secret key in {path!r}: chmod 600")
    return found


def _verifier(text: str) -> Verifier:
    from agentic.provenance import Ed25519Public

    if not text.startswith(_SECRET):
        return Ed25519Public.parse(text)
    signer: Any = _signer(text)  # a HmacKey verifies as well, of an Ed25519Key the public half does
    found: Verifier = signer.public() if hasattr(signer, "public") else signer
    return found


def _signer(text: str) -> Signer:
    from agentic.provenance import HmacKey

    if not text.startswith(_SECRET):
        raise ProofError("to sign, a secret key is needed: this one is public")
    if not text.removeprefix(_SECRET).partition("+")[2].partition("+")[2].startswith("A"):
        return HmacKey.parse(text)
    from agentic.ext import Ed25519Key  # its type is the byte 1, which is an A in base64

    return Ed25519Key.parse(text)


def _read(path: str) -> str:
    """The text of a file that somebody handed over.

    Raises:
        ConfigurationError: It cannot be read, is too large, or is no text.
    """
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else Path(path).open("rb") as stream:
            data = stream.read(_MOST + 1)
        if len(data) > _MOST:
            raise ConfigurationError(f"{path!r} has more than {_MOST} bytes: it is no key, note or bundle")
        return data.decode()
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        told = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise ConfigurationError(f"cannot read {path!r}: {told}", value=path) from error
