"""``python -m agentic replay``: does the agent of an application still decide as the file says?"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentic._files import check_paths, write_whole
from agentic._terminal import FAILED
from agentic.errors import ConfigurationError, reason

if TYPE_CHECKING:
    from agentic._agent import Agent
    from agentic._verdicts import Replayed

_FACTORY: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def add(add_parser: Callable[..., argparse.ArgumentParser], /) -> None:
    """Add the command."""
    replay = add_parser(
        "replay",
        help="decide again from a database file what was decided",
        description="Decide again what was decided, with the policy versions in the file and the agent"
        " that a function of your application opens. Exit code 1 when anything comes out otherwise.",
    )
    option = replay.add_argument
    add_source(replay)
    option("--decision", default=None, metavar="ID", help="only this one")
    option("--policy", default=None, metavar="NAME", help="say what another policy would have changed")
    option("--as-test", default=None, metavar="OUT.py", help="write the decision as a test")
    option("--json", action="store_true", help="print one JSON document instead")
    replay.set_defaults(do=_replay)


def add_source(parser: argparse.ArgumentParser, /) -> None:
    """Add what says of which file and of which agent a command is to speak."""
    option = parser.add_argument
    option("database", metavar="agent.db", help="the file")
    option(
        "--agent",
        default=None,
        metavar="MODULE:FACTORY",
        help="function of your application that opens the agent; if it takes an argument, it is given the"
        " path of a copy, and the file itself is left alone",
    )


def check_named(agent: str | None, command: str, /) -> None:
    """Refuse to go on without the application.

    Raises:
        ConfigurationError: No agent is named.
    """
    if agent is None:
        raise ConfigurationError(
            f"{command} needs your application: actions, features and rules are code, and not in the file;"
            " give --agent package.module:function, which returns the agent as Agent.open makes it"
        )


def _replay(asked: argparse.Namespace) -> int:
    check_named(asked.agent, "replay")
    if asked.as_test is not None:
        if asked.decision is None or asked.policy is not None:
            raise ConfigurationError("--as-test needs --decision ID, and no --policy")
        check_paths([asked.as_test])
        if not _takes(_found(asked.agent)):
            raise ConfigurationError(
                f"a test calls {asked.agent} without arguments: have it return the agent in memory then"
            )
    policy = None
    if asked.policy is not None:
        from agentic._demo import policy_named

        policy = policy_named(asked.policy)
    with opened_copy(asked.agent, asked.database) as agent:
        if asked.as_test is not None:
            write_whole(asked.as_test, agent.as_test(asked.decision, asked.agent))
            print(f"{asked.as_test}: a test of decision {asked.decision}")
            return 0
        found = agent.replay(asked.decision, policy=policy)
    print(json.dumps(_facts(found), indent=2) if asked.json else found)
    return 0 if policy is not None or found.identical else FAILED


def _facts(found: Replayed) -> dict[str, Any]:  # JSON
    from agentic._codec import converter

    return {
        "decisions": found.decisions,
        "same": found.same,
        "identical": found.identical,
        "verdicts": {str(verdict): count for verdict, count in found.verdicts.items()},
        "disagreeing": dict(found.disagreeing),
        "settings": dict(found.settings),
        "before": dict(found.before),
        "after": dict(found.after),
        "findings": [
            {"decision": each.decision_id, "verdict": str(each.verdict), "details": list(each.details)}
            for each in found.findings
        ],
        "worth": None if found.worth is None else converter().unstructure(found.worth),
    }


@contextmanager
def opened_copy(factory: str, path: str, /) -> Iterator[Agent]:
    """The agent that a function of the application opens.

    Opening an agent writes: what is passed and was not in charge is put in charge. So a function that takes
    an argument is given the path of a copy, in a folder of its own that only this user can read and that is
    gone afterwards. One that takes none opens what it opens, which has to be the file that is asked about.

    Raises:
        ConfigurationError: There is no such function, it failed, or it does not return that agent.
    """
    from agentic._folding import database_of
    from agentic._onlooker import Onlooker

    make = _found(factory)
    with closing(Onlooker(path)) as source, tempfile.TemporaryDirectory(prefix="agentic-") as folder:
        given = _takes(make, "agent.db")
        place = Path(folder) / "agent.db" if given else Path(source.path)
        if given:
            with source.reading() as connection:
                _copy(connection, place)
            if (beside := Path(f"{source.path}.erased")).is_file():
                shutil.copyfile(beside, f"{place}.erased")
        else:
            source.close()
        agent = _made(factory, make, (str(place),) if given else ())
        with agent:
            database: Any = database_of(agent.log)
            opened = getattr(database, "path", None)
            if opened is None or not place.samefile(opened):
                raise ConfigurationError(
                    f"{factory} opened {opened!r} and not {path!r}: have it take the path as its argument",
                    value=opened,
                )
            yield agent


def _copy(connection: Any, place: Path) -> None:  # sqlite3 only where there is a file
    import sqlite3

    os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with closing(sqlite3.connect(place)) as target:
        connection.backup(target)


def _found(factory: str) -> Callable[..., Any]:  # application code
    make = named("--agent", factory)
    if not callable(make):
        raise ConfigurationError(f"{factory!r} is no function that opens an agent", value=factory)
    found: Callable[..., Any] = make
    return found


def named(option: str, place: str, /) -> Any:  # application code
    """What an application calls by this name, given as ``package.module:name``.

    Raises:
        ConfigurationError: The name is not written like that, or there is nothing of that name.
    """
    if not _FACTORY.fullmatch(place):
        raise ConfigurationError(
            f"{option} names a function as package.module:function, got {place!r}", value=place
        )
    module, _, name = place.partition(":")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)  # as `python -m` has it
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # application code: whatever is wrong with it
        told = str(error) if isinstance(error, ImportError | AttributeError) else reason(error)
        raise ConfigurationError(
            f"cannot import {place!r}: {told}; run this where your application is", value=place
        ) from error


def _takes(make: Callable[..., Any], *arguments: str) -> bool:
    try:
        inspect.signature(make).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True


def _made(factory: str, make: Callable[..., Any], arguments: tuple[str, ...]) -> Agent:
    from agentic._agent import Agent

    try:
        agent = make(*arguments)
    except Exception as error:  # application code
        raise ConfigurationError(f"{factory} failed: {reason(error)}", value=factory) from error
    if not isinstance(agent, Agent):
        raise ConfigurationError(
            f"{factory} returned a {type(agent).__name__}, expected an open Agent", value=factory
        )
    return agent
