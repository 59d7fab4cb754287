"""What is more benefit worth: costs, prices, and the frugality frontier."""

from agentic.economics._claims import Claim, Flip
from agentic.economics._facts import facts
from agentic.economics._frontier import Campaign, Frontier, frontier
from agentic.economics._ladder import Rung, WithoutFeatures, ladder
from agentic.economics._plot import plot
from agentic.economics._prices import Prices
from agentic.economics._rows import Mean, Row, Tried
from agentic.economics._steps import Step

__all__ = [
    "Campaign",
    "Claim",
    "Flip",
    "Frontier",
    "Mean",
    "Prices",
    "Row",
    "Rung",
    "Step",
    "Tried",
    "WithoutFeatures",
    "facts",
    "frontier",
    "ladder",
    "plot",
]
