"""Has somebody stopped everything?"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

import attrs
import numpy as np

from agentic.arrays import Batch, Bools, Review, Space
from agentic.errors import ConfigurationError
from agentic.guardrails._scope import EVERYTHING, bound, check_name, concerned, listed, ready, spared

_log = logging.getLogger(__name__)


def _check_watch(_: object, __: object, value: Callable[[], bool] | None) -> None:
    if value is not None and not callable(value):
        raise ConfigurationError(
            f"watch must be a function without arguments that returns a bool, got {value!r}", value=value
        )


@attrs.frozen(eq=False)
class KillSwitch:
    """Stops everything in its scope while it is engaged.

    The switch is in the process: every agent that was given it obeys, from the next batch on, and any
    thread may turn it. ``watch`` connects it to something outside, a file or a flag. It is asked once for
    each walk of at most 8,192 rows, in the caller's thread, so it should be quick: read what something
    else refreshes. Anything but a clear ``False`` stops: an exception, or an answer that is not a bool,
    counts as engaged and unknown.

    Attributes:
        watch: Says whether the switch is engaged elsewhere; ``None`` for nothing to ask.
        channels: Only for these channels; ``None`` means all.
        message_classes: Only for these message classes; ``None`` means all.
        actions: Only for these actions; ``None`` means all.
        exempt: Message classes left alone; none unless said otherwise.
        name: Of the guardrail.
    """

    watch: Callable[[], bool] | None = attrs.field(default=None, kw_only=True, validator=_check_watch)
    channels: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    message_classes: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    actions: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=listed)
    exempt: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=spared)
    name: str = attrs.field(default="kill_switch", kw_only=True, validator=check_name)
    # Copies made by bind share these two, so that turning one turns all.
    _engaged: Event = attrs.field(factory=Event, init=False, repr=False)
    _told: Event = attrs.field(factory=Event, init=False, repr=False)
    _plan: Bools | None = attrs.field(default=None, init=False, repr=False)

    def engage(self) -> None:
        """Stop everything in scope, from the next batch on."""
        self._engaged.set()

    def release(self) -> None:
        """Let go again; ``watch`` may still hold it engaged."""
        self._engaged.clear()

    @property
    def engaged(self) -> bool:
        """Whether it was engaged in this process; ``watch`` is not asked."""
        return self._engaged.is_set()

    def bind(self, space: Space, /) -> KillSwitch:
        """Look up the candidates it stops; the result turns with this switch.

        Raises:
            ConfigurationError: The scope names something that is not in the catalogue.
        """
        stopped: Bools = concerned(self, space)[None, :]
        return bound(self, stopped)

    def review(self, batch: Batch, /) -> Review:
        """Allow everything, or nothing in scope."""
        stopped = ready(self._plan, self.name)
        elsewhere = self._ask()
        if self.engaged or elsewhere is True:
            return Review(~stopped, "KILL_SWITCH")
        if elsewhere is None:
            return Review(~stopped, "KILL_SWITCH", stopped)
        return Review(EVERYTHING, "KILL_SWITCH")

    def _ask(self) -> bool | None:
        if self.watch is None:
            return False
        answer: object = None
        trouble: Exception | None = None
        try:
            answer = self.watch()
        except Exception as error:  # noqa: BLE001 - a caller's function is called: not knowing means stop
            trouble = error
        if isinstance(answer, bool | np.bool_):
            self._told.clear()
            return bool(answer)
        if not self._told.is_set():
            self._told.set()
            _log.error(
                "guardrail %r stops everything in its scope: watch answered %r instead of a bool",
                self.name,
                trouble or answer,
                exc_info=trouble,
            )
        return None
