"""How does a simulated customer become an environment of Gymnasium? With the extra ``gymnasium``."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agentic.simulation import Lifetime
from agentic.simulation import Observation as Seen


class CustomerLife(gymnasium.Env[Seen, np.int64]):
    """One customer's life as a ``gymnasium.Env``: a ``Lifetime`` with spaces.

    Attributes:
        life: What it steps through.
        observation_space: ``Box(-1, 1, (d,), float32)``: what a policy sees.
        action_space: ``Discrete(k)``: the actions by their number; which of them are allowed is in
            ``info["action_mask"]``, as ``Discrete.sample`` takes it.

    Examples:
        >>> from agentic.ext import CustomerLife
        >>> from agentic.simulation import Lifetime
        >>> env = CustomerLife(Lifetime(weeks=4))
        >>> seen, info = env.reset(seed=1)
        >>> choice = env.action_space.sample(info["action_mask"])
        >>> seen, reward, terminated, truncated, info = env.step(choice)
        >>> info["sent"] == env.life.actions[choice]
        True
    """

    def __init__(self, life: Lifetime | None = None) -> None:
        self.life = Lifetime() if life is None else life
        self.observation_space = spaces.Box(-1.0, 1.0, (self.life.width,), np.float32)
        self.action_space = spaces.Discrete(len(self.life.actions))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        """Begin the life of another customer; see ``Lifetime.reset``."""
        super().reset(seed=seed)
        return self.life.reset(seed=seed, options=options)

    def step(self, action: np.int64) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        """Take an action, and go on to the customer's next turn; see ``Lifetime.step``."""
        return self.life.step(int(action))
