"""How often a simulated claim may be wrong before a test of it says so."""

import math


def allowed(alpha: float, runs: int) -> float:
    """The share of wrong claims that an honest test hardly exceeds: alpha and three standard errors."""
    return alpha + 3.0 * math.sqrt(alpha * (1.0 - alpha) / runs)
