"""The back end of the continuum manipulator: mask, landmarks and the shape that fits them."""

from __future__ import annotations

from numpy.typing import NDArray

from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.parameters import JOINT_NAMES
from synthex_ros.geometry import View, pose_from_parameters
from synthex_ros.tracking.pipeline import TipFrame, TipTracker
from tracker_node.jointed_backend import JointedBackend
from tracker_node.wiring import Wiring


class OnnxBackend(JointedBackend):
    """Answer each frame with the manipulator's landmarks, shape and tip.

    Args:
        wiring: how the graph is reached.
        tracker: from radiograph to tip.
        kinematics: what the joints predict.
    """

    def __init__(
        self, wiring: Wiring, tracker: TipTracker, kinematics: ContinuumKinematics
    ) -> None:
        self._tracker, self._kinematics = tracker, kinematics
        pose = wiring.params.device_base_pose
        self._world_from_device = pose_from_parameters(pose[:3], pose[3:])
        super().__init__(wiring, tracker, JOINT_NAMES)

    def look(self, stamp_ns: int, time_s: float, counts: NDArray, view: View) -> None:
        """Answer a frame; see `FrameBackend.look`."""
        insertion, roll, tendon_1, tendon_2 = self._joints.at(stamp_ns).tolist()
        base_from_cm = self._kinematics.base_from_cm(insertion, roll)
        frame = TipFrame(
            counts=counts,
            view=view,
            world_from_cm_base=self._world_from_device @ base_from_cm,
            predicted_control_rad=self._kinematics.control_of_tendons(tendon_1, tendon_2),
            time_s=time_s,
        )
        self.answer(stamp_ns, self._tracker.track(frame))
