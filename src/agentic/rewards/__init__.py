"""From outcomes to one reward per choice: goals, windows, and the ledger of what is still open."""

from agentic.rewards._goals import Goals
from agentic.rewards._ledger import Closed, Ledger, Recorded

__all__ = ["Closed", "Goals", "Ledger", "Recorded"]
