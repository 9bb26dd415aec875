"""The back end of what has no model of its motion: anatomy, and devices of the user's own."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import View
from synthex_ros.tracking.landmarks import decode
from synthex_ros.tracking.model import TrackerModel
from synthex_ros.tracking.tip_result import blank_reason
from tracker_node.frame_backend import FrameBackend
from tracker_node.wiring import Wiring


class LandmarkBackend(FrameBackend):
    """Answer each frame by itself with the surest class of each pixel, and with the landmarks.

    Landmarks that score less than `min_score` get a score of 0. There is no tip and no track.

    Args:
        wiring: how the graph is reached.
        model: knows classes, which may overlap, and landmarks.
    """

    def __init__(self, wiring: Wiring, model: TrackerModel) -> None:
        self._model = model
        super().__init__(wiring)

    def start_anew(self) -> None:
        """Do nothing: no frame depends on an earlier one."""

    def look(self, stamp_ns: int, time_s: float, counts: NDArray, view: View) -> None:
        """Answer a frame; see `FrameBackend.look`."""
        self._model.check_frame(view.geometry)
        begin = time.perf_counter()
        prediction = self._model.infer(counts)
        found = decode(
            prediction.heatmaps, self._model.metadata, prediction.mask, prediction.places
        )
        spent_s = time.perf_counter() - begin
        blank = blank_reason(counts)
        limit = np.inf if blank else self._params.min_score
        scores = [min(one.score, 1.0) if one.score >= limit else 0.0 for one in found]
        seen = any(scores)
        self._statistics.answer(not seen, blank or ('' if seen else 'no_landmark'), spent_s, 0.0)
        self._publisher.mask(stamp_ns, prediction.labels())
        pixels = np.array([(one.u, one.v) for one in found])
        self._publisher.landmarks(stamp_ns, pixels, scores)
