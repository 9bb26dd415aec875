"""Tracker node: radiographs in, landmarks, mask, shape and tip out."""

from __future__ import annotations

from synthex_ros.ros.managed_node import ManagedNode, run
from tracker_node.build import build_kinematics, build_tracker, load_model
from tracker_node.onnx_backend import OnnxBackend
from tracker_node.params import TrackerParams
from tracker_node.publisher import TrackerPublisher
from tracker_node.statistics import TrackerStatistics
from tracker_node.truth import TruthBackend

PARAMS = TrackerParams


class TrackerNode(ManagedNode):
    """Answer every frame of the C-arm with what is seen in it."""

    def __init__(self, **kwargs) -> None:
        super().__init__('tracker_node', TrackerParams, **kwargs)

    def configure(self) -> None:
        """Load the model and refuse one that does not fit; offer the topics."""
        params = self.params
        self.kinematics = build_kinematics(params)
        self.model = load_model(params) if params.backend == 'onnx' else None
        if self.model is not None:
            self.diagnostics.hardware_id = self.model.path.name
            version = self.model.metadata.version
            self.get_logger().info(f'model {self.model.path.name}, version {version}')
        else:
            self.get_logger().warning('ground truth is repeated, nothing is tracked')
        self.statistics = TrackerStatistics(params.backend, self._steady_s)
        self.publisher = TrackerPublisher(self, params)
        self.diagnostics.add('tracking', lambda: self.statistics.report())

    def activate(self) -> None:
        """Start anew: subscribe, with an empty track."""
        params = self.params
        self.backend: TruthBackend | OnnxBackend
        self.statistics = TrackerStatistics(params.backend, self._steady_s)
        if self.model is None:
            self.backend = TruthBackend(self, params, self.publisher, self.statistics)
            return
        metadata = self.model.metadata
        self.publisher.names(metadata.classes, metadata.landmarks)
        self.backend = OnnxBackend(
            self,
            params,
            build_tracker(params, self.model, self.kinematics),
            self.kinematics,
            self.publisher,
            self.statistics,
            self._steady_s,
            len(metadata.landmarks),
        )

    def cleanup(self) -> None:
        """Release the model."""
        self.diagnostics.remove('tracking')
        self.model = None

    def _steady_s(self) -> float:
        return self.steady_clock.now().nanoseconds * 1e-9


def main(argv: list[str] | None = None) -> int:
    """Run the tracker node."""
    return run(TrackerNode, argv)
