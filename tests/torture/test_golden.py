"""Files of every version that was released are opened, checked and replayed by this one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from agentic._sqlite import VERSION
from golden import make

GOLDEN = Path(make.__file__).parent
VERSIONS = sorted(path.name.removesuffix(".db.gz") for path in GOLDEN.glob("database-*.db.gz"))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_of_a_released_version_holds_what_it_held(version: str, tmp_path: Path) -> None:
    """Log, records, windows, budget, requests, tree and policy are what they were when it was made."""
    path = tmp_path / "golden.db"
    path.write_bytes(gzip.decompress((GOLDEN / f"{version}.db.gz").read_bytes()))
    assert make.told(path) == json.loads((GOLDEN / f"{version}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("version", VERSIONS)
def test_an_agent_goes_on_with_a_file_of_a_released_version(version: str, tmp_path: Path) -> None:
    """It decides, learns and is opened again."""
    path = tmp_path / "golden.db"
    path.write_bytes(gzip.decompress((GOLDEN / f"{version}.db.gz").read_bytes()))
    with make.opened(path) as agent:
        records = len(agent.log)
        agent.decide_many(make.SUBJECTS)
        assert agent.learn(now=make.NOW + 9 * make.DAY).changed
        learned = agent.policy_version
    with make.opened(path) as agent:
        assert agent.policy_version == learned
        assert len(agent.log) > records
        assert agent.replay().identical
        assert agent.log.verify().problem is None


def test_every_version_has_a_golden_file() -> None:
    """A new schema brings a new golden file along: tests/golden/make.py says how."""
    assert f"database-{VERSION}" in VERSIONS
