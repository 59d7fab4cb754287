"""Make a golden file: a database as this version writes it, for every later version to open.

Run ``python tests/golden/make.py``. It writes ``database-<schema>.db.gz``, and what that holds beside it as JSON, and
refuses to replace a file: what was released once stays as it is.

When the schema gets a new version:

1. make the file of the old version first, if it is not here, with the code that wrote it;
2. raise ``VERSION`` in ``agentic._sqlite``, and let ``create`` bring an old file up to date;
3. run this; commit both files. The test takes in whatever lies here.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from agentic import Action, Agent, ConsentGranted
from agentic.features import Category, Number
from agentic.guardrails import Budget, Consent, FrequencyCap, Suppression
from agentic.policies import LinearThompson
from agentic.rewards import Goals

HERE = Path(__file__).parent
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)
NOW = NOON + 10 * DAY
SUBJECTS = ["ada", "bob", "cleo", "dora", "\u00dcmit"]


def opened(path: Path) -> Agent:
    """The agent of all golden files."""
    return Agent.open(
        path,
        "golden",
        [
            Action("sms", channel="sms", cost=0.12),
            Action("push", channel="push"),
            Action("email", channel="email", cost=0.01),
        ],
        features=[Number("age", low=0, high=120), Category("tier", ["free", "gold"])],
        policy=LinearThompson(),
        guardrails=[
            Consent("marketing"),
            Suppression(),
            FrequencyCap(2, per=7 * DAY),
            Budget(100.0, lease=1.0),
        ],
        goals=Goals({"purchase": 1.0, "unsubscribe": -5.0}, window=3 * DAY),
        seed=7,
        clock=lambda: NOW,
    )


def fill(path: Path) -> None:
    """Some of everything: facts, decisions, named ones, outcomes, lessons, an erasure, sealed and not."""
    context = {"age": [20, 30, 40, 50, None], "tier": ["free", "gold", "free", "gold", "silver"]}
    with opened(path) as agent:
        agent.tell_many(SUBJECTS, ConsentGranted("marketing"), now=NOON)
        first = agent.decide_many(SUBJECTS, context, now=NOON)
        agent.record_many(first.ids[:3], "purchase", [1.0, 20.0, 3.0], at=NOON + DAY)
        agent.learn(now=NOON + 4 * DAY)
        agent.decide_many(SUBJECTS, context, request_ids=list("abcde"), now=NOON + 4 * DAY)
        agent.privacy.suppress("cleo", NOON + 30 * DAY)
        agent.privacy.erase("dora")
        agent.store.compact()
        agent.log.seal()
        last = agent.decide_many(SUBJECTS[:2], now=NOON + 9 * DAY)
        agent.record(last.ids[0], "unsubscribe", at=NOON + 9 * DAY)


def told(path: Path) -> dict[str, Any]:
    """What a file holds, as it was told when it was made."""
    with opened(path) as agent:
        checked, replayed = agent.log.verify(), agent.replay()
        rows = agent.store.load(SUBJECTS, agent.plan.layout).rows
        return {
            "records": len(agent.log),
            "kinds": sorted({block.kind for _, block in agent.log.read()}),
            "subjects": agent.store.subjects(),
            "decided": rows["agentic.decisions"].tolist(),
            "sent": rows["frequency_cap.sent"].tolist(),
            "suppressed until": rows["suppression.until"].tolist(),
            "policy": agent.policy_version,
            "pending": agent.pending,
            "budget": agent.budgets["budget"],
            "answered": agent.decide("ada", request_id="a").id,
            "verified": [checked.records, checked.erased, checked.size, checked.root.hex(), checked.problem],
            "replayed": [replayed.decisions, replayed.same, replayed.erased],
        }


def main() -> None:
    from agentic._sqlite import VERSION

    packed, facts = HERE / f"database-{VERSION}.db.gz", HERE / f"database-{VERSION}.json"
    if packed.exists() and "--before-release" not in sys.argv:
        sys.exit(f"{packed} is there: a golden file is never made again once its version was released")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "golden.db"
        fill(path)
        raw = path.read_bytes()
        packed.write_bytes(gzip.compress(raw, mtime=0))
        facts.write_text(json.dumps(told(path), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{packed}: {packed.stat().st_size:,} bytes, {len(raw):,} unpacked")


if __name__ == "__main__":
    main()
