"""Image lag: what a flat panel still shows of earlier frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lag:
    """A sum of exponentials, the usual model of trapped charge and afterglow.

    Hsieh, Gurmen and King, IEEE Trans. Med. Imaging 19 (2000) 930. A step of the exposure from
    full to nothing leaves sum of share * exp(-t / time) of the old signal.

    Attributes:
        terms: (share, time constant [s]) of each exponential. The default leaves 2.2 % in the
            frame 1/15 s later and 0.3 % after a second, within what is measured on CsI panels
            (Siewerdsen and Jaffray, Med. Phys. 26 (1999) 1624: first-frame lag 2 to 10 %).
    """

    terms: tuple[tuple[float, float], ...] = ((0.06, 0.05), (0.006, 1.5))

    def __post_init__(self):
        object.__setattr__(self, 'terms', tuple((float(s), float(t)) for s, t in self.terms))
        for share, time_s in self.terms:
            if not 0 <= share < 1 or not 1e-4 <= time_s <= 1e4:
                raise ValueError(
                    'a lag term must be (share 0..1, time constant 1e-4..1e4 s), '
                    f'got ({share:g}, {time_s:g})'
                )
        if sum(share for share, _ in self.terms) >= 1:
            raise ValueError(f'the shares of lag must sum to less than 1, got {self.terms}')


class LagMemory:
    """What one detector carries from frame to frame; frames of one size.

    Args:
        lag: the model.
        shape_px: rows and columns.

    Attributes:
        states: mean of earlier frames, the later the more, one a term [keV], shape
            (n, rows, columns), float32.
        shares: share of each term, shape (n,), float32.
    """

    def __init__(self, lag: Lag, shape_px: tuple[int, int]) -> None:
        self.lag = lag
        self.states = np.zeros((len(lag.terms), *shape_px), np.float32)
        self.shares = np.array([share for share, _ in lag.terms], np.float32)
        self._times = np.array([time_s for _, time_s in lag.terms])

    def reset(self) -> None:
        """Forget all frames."""
        self.states[:] = 0

    def decays(self, interval_s: float) -> NDArray[np.float32]:
        """Return what is left of each state after `interval_s`, shape (n,).

        Raises:
            ValueError: the interval is not positive.
        """
        if not interval_s > 0:
            raise ValueError(f'interval_s must be positive, got {interval_s:g}')
        return np.exp(-interval_s / self._times).astype(np.float32)
