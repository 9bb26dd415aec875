"""What the tracker counts: frames, rejections by reason, losses, times."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

import numpy as np

from synthex_ros.ros.diagnostics import ERROR, OK, WARN, Report


class TrackerStatistics:
    """Counters and the newest times of one active spell.

    Args:
        backend: who finds the device.
        clock: seconds on a steady clock.
        kept: how many times the percentiles are taken from.
    """

    def __init__(self, backend: str, clock: Callable[[], float], kept: int = 300) -> None:
        self._backend, self._clock = backend, clock
        self._inference_s: deque[float] = deque(maxlen=kept)
        self._fit_s: deque[float] = deque(maxlen=kept)
        self._arrivals: deque[float] = deque(maxlen=kept)
        self.frames = self.lost_frames = self.losses = 0
        self.rejected: Counter[str] = Counter()
        self.unused: Counter[str] = Counter()
        self._lost, self._rejection = True, ''

    def reject(self, reason: str, detail: str) -> None:
        """Count a frame that could not be processed."""
        self.rejected[reason] += 1
        self._rejection = f'frame rejected, {reason}: {detail}'

    def answer(self, lost: bool, reason: str, inference_s: float, fit_s: float) -> None:
        """Count a processed frame; `reason` says why it was no measurement, '' if it was."""
        self.frames += 1
        self._rejection = ''
        self._arrivals.append(self._clock())
        self._inference_s.append(inference_s)
        self._fit_s.append(fit_s)
        self.lost_frames += int(lost)
        self.losses += int(lost and not self._lost)
        self._lost = lost
        if reason:
            self.unused[reason.split(' ', 1)[0]] += 1

    def report(self) -> Report:
        """Return the numbers for diagnostics; ERROR while frames are rejected, WARN while lost."""
        values = {
            'backend': self._backend,
            'frames': self.frames,
            'frame_rate_hz': f'{self._rate_hz():.2f}',
            'frames_lost_track': self.lost_frames,
            'lost_count': self.losses,
            **_percentiles('inference', self._inference_s),
            **_percentiles('fit', self._fit_s),
            **{f'rejected_{key}': count for key, count in sorted(self.rejected.items())},
            **{f'unused_{key}': count for key, count in sorted(self.unused.items())},
        }
        truth = 'GROUND TRUTH, no tracking: ' if self._backend == 'ground_truth' else ''
        if self._rejection:
            return Report(truth + self._rejection, values, ERROR)
        if self.frames == 0:
            return Report(truth + 'waiting for frames', values, WARN)
        return Report(
            truth + ('lost' if self._lost else 'tracking'), values, WARN if self._lost else OK
        )

    def _rate_hz(self) -> float:
        recent = [one for one in self._arrivals if one > self._clock() - 2.0]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0


def _percentiles(name: str, times_s) -> dict[str, str]:
    if not times_s:
        return {}
    p50, p99 = 1e3 * np.percentile(times_s, [50, 99])
    return {f'{name}_p50_ms': f'{p50:.2f}', f'{name}_p99_ms': f'{p99:.2f}'}
