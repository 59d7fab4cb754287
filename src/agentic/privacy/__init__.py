"""What people agreed to, what they may ask for, and what the law says about keeping and forgetting.

Regimes are data, with their sources. They are not legal advice.
"""

from typing import TYPE_CHECKING

from agentic._doors import door

if TYPE_CHECKING:
    from agentic.privacy._activity import Activity, touched
    from agentic.privacy._facts import fact_of, kind_of, text_of
    from agentic.privacy._ledger import CONSENT, ConsentEntry, Standing, Told, ledger, told
    from agentic.privacy._periods import Period
    from agentic.privacy._plans import ErasurePlan, Hold, plan_erasure
    from agentic.privacy._regimes import (
        Children,
        Data,
        Erasing,
        Inactivity,
        Keeping,
        Quiet,
        Regime,
        Rule,
        Source,
    )
    from agentic.privacy._restrictions import Restrictions
    from agentic.privacy._schedules import NEVER, Schedule
    from agentic.privacy._sidecar import Erasure, ErasureList
else:
    __getattr__, __dir__ = door(
        __name__,
        {
            "._activity": ["Activity", "touched"],
            "._facts": ["fact_of", "kind_of", "text_of"],
            "._ledger": ["CONSENT", "ConsentEntry", "Standing", "Told", "ledger", "told"],
            "._periods": ["Period"],
            "._plans": ["ErasurePlan", "Hold", "plan_erasure"],
            "._regimes": [
                "Children",
                "Data",
                "Erasing",
                "Inactivity",
                "Keeping",
                "Quiet",
                "Regime",
                "Rule",
                "Source",
            ],
            "._restrictions": ["Restrictions"],
            "._schedules": ["NEVER", "Schedule"],
            "._sidecar": ["Erasure", "ErasureList"],
        },
    )

__all__ = [
    "CONSENT",
    "NEVER",
    "Activity",
    "Children",
    "ConsentEntry",
    "Data",
    "Erasing",
    "Erasure",
    "ErasureList",
    "ErasurePlan",
    "Hold",
    "Inactivity",
    "Keeping",
    "Period",
    "Quiet",
    "Regime",
    "Restrictions",
    "Rule",
    "Schedule",
    "Source",
    "Standing",
    "Told",
    "fact_of",
    "kind_of",
    "ledger",
    "plan_erasure",
    "text_of",
    "told",
    "touched",
]
