"""What do the data say at many looks, for many runs at once?"""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from agentic._sequential._checks import Floats


@attrs.frozen(kw_only=True)
class EValues:
    """Holds e-values at many looks.

    Attributes:
        harm: Shape (..., looks), float64: against "the treatment is no worse".
        safe: Shape (..., looks), float64: against "the treatment is worse by the margin or more".

    .. versionadded:: 0.1
    """

    harm: Floats
    safe: Floats

    def first(self, alpha: float, /) -> npt.NDArray[np.int64]:
        """Return the look at which harm is first shown at `alpha`, or -1: shape (...), int64."""
        shown = self.harm >= 1.0 / alpha
        return np.where(shown.any(axis=-1), shown.argmax(axis=-1), -1)
