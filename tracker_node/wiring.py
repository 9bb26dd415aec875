"""What every back end of the tracker is given by the node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from synthex_ros.ros.managed_node import ManagedNode
from tracker_node.params import TrackerParams
from tracker_node.publisher import TrackerPublisher
from tracker_node.statistics import TrackerStatistics


@dataclass(frozen=True)
class Wiring:
    """How a back end reaches the graph.

    Attributes:
        node: owner of the subscriptions.
        params: device, frames, noise and time-outs.
        publisher: where the answer goes.
        statistics: what is counted.
        clock: seconds on a steady clock.
        landmark_count: rows of an answer without landmarks.
    """

    node: ManagedNode
    params: TrackerParams
    publisher: TrackerPublisher
    statistics: TrackerStatistics
    clock: Callable[[], float]
    landmark_count: int
