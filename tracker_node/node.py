"""Tracker node: radiographs in, landmarks, mask, shape and tip out."""

from __future__ import annotations

from collections.abc import Callable

from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.registry import device_kind
from synthex_ros.ros.managed_node import ManagedNode, run
from synthex_ros.tracking.model import TrackerModel
from synthex_ros.tracking.pitched_detector import PitchedDetector
from synthex_ros.tracking.wire_tracker import WireTracker
from tracker_node.build import (
    build_kinematics,
    build_tracker,
    build_wire_tracker,
    load_detector,
    load_model,
)
from tracker_node.detector_backend import DetectorBackend
from tracker_node.frame_backend import FrameBackend
from tracker_node.landmark_backend import LandmarkBackend
from tracker_node.onnx_backend import OnnxBackend
from tracker_node.params import FRAME_BY_FRAME, TrackerParams
from tracker_node.publisher import TrackerPublisher
from tracker_node.statistics import TrackerStatistics
from tracker_node.truth import TruthBackend, class_names
from tracker_node.wire_backend import WireBackend
from tracker_node.wiring import Wiring

PARAMS = TrackerParams


class TrackerNode(ManagedNode):
    """Answer every frame of the C-arm with what is seen in it."""

    def __init__(self, **kwargs) -> None:
        super().__init__('tracker_node', TrackerParams, **kwargs)

    def configure(self) -> None:
        """Load the model and refuse one that does not fit; offer the topics."""
        params = self.params
        self._open: Callable[[], TruthBackend | FrameBackend] | None = self._opener(params)
        self.statistics = TrackerStatistics(params.backend, self._steady_s)
        self.publisher = TrackerPublisher(self, params)
        self.diagnostics.add('tracking', lambda: self.statistics.report())

    def activate(self) -> None:
        """Start anew: subscribe, with an empty track."""
        self.statistics = TrackerStatistics(self.params.backend, self._steady_s)
        if self._open is not None:
            self.backend = self._open()

    def _opener(self, params: TrackerParams) -> Callable[[], TruthBackend | FrameBackend]:
        """Return what opens the back end of the parameters, everything checked."""
        if params.backend == 'ground_truth':
            count = len(device_kind(params.device).landmark_names)
            self.get_logger().warning('ground truth is repeated, nothing is tracked')
            return lambda: TruthBackend(self._wiring(count))
        if params.device == 'continuum':
            kinematics, model = build_kinematics(params), load_model(params)
            self._name_model(model.path.name, model.metadata.version)
            return lambda: self._shape_backend(model, kinematics)
        if params.device == 'guidewire':
            model = load_model(params)
            tracker, parked_m = build_wire_tracker(params, model)
            self._name_model(model.path.name, model.metadata.version)
            return lambda: self._wire_backend(model, tracker, parked_m)
        if params.device in FRAME_BY_FRAME:
            model = load_model(params)
            self._name_model(model.path.name, model.metadata.version)
            return lambda: self._landmark_backend(model)
        detector, name = load_detector(params)
        self._name_model(detector.model.path.name, detector.model.metadata.version)
        return lambda: self._detector_backend(detector, name)

    def _name_model(self, name: str, version: str) -> None:
        self.diagnostics.hardware_id = name
        self.get_logger().info(f'model {name}, version {version}')

    def _shape_backend(self, model: TrackerModel, kinematics: ContinuumKinematics) -> OnnxBackend:
        metadata = model.metadata
        self.publisher.names(metadata.classes, metadata.landmarks)
        tracker = build_tracker(self.params, model, kinematics)
        return OnnxBackend(self._wiring(len(metadata.landmarks)), tracker, kinematics)

    def _wire_backend(
        self, model: TrackerModel, tracker: WireTracker, parked_m: float
    ) -> WireBackend:
        metadata = model.metadata
        self.publisher.names(metadata.classes, metadata.landmarks)
        tracker.reset()
        return WireBackend(self._wiring(len(metadata.landmarks)), tracker, parked_m)

    def _landmark_backend(self, model: TrackerModel) -> LandmarkBackend:
        metadata = model.metadata
        self.publisher.names(metadata.classes, metadata.landmarks, self.params.min_score)
        return LandmarkBackend(self._wiring(len(metadata.landmarks)), model)

    def _detector_backend(self, detector: PitchedDetector, name: str) -> DetectorBackend:
        landmarks = device_kind(self.params.device).landmark_names
        gate = self.params.min_score
        self.publisher.names(class_names(self.params.device), landmarks, gate)
        return DetectorBackend(self._wiring(len(landmarks)), detector, name)

    def _wiring(self, landmark_count: int) -> Wiring:
        return Wiring(
            self, self.params, self.publisher, self.statistics, self._steady_s, landmark_count
        )

    def cleanup(self) -> None:
        """Release the model."""
        self.diagnostics.remove('tracking')
        self._open = None

    def _steady_s(self) -> float:
        return self.steady_clock.now().nanoseconds * 1e-9


def main(argv: list[str] | None = None) -> int:
    """Run the tracker node."""
    return run(TrackerNode, argv)
