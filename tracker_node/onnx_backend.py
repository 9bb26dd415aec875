"""The back end of the continuum manipulator: mask, landmarks and the shape that fits them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.parameters import JOINT_NAMES
from synthex_ros.geometry import View, pose_from_parameters
from synthex_ros.ros import messages, qos, topics
from synthex_ros.tracking.pipeline import TipFrame, TipResult, TipTracker
from tracker_node.frame_backend import FrameBackend, FrameRejected
from tracker_node.frame_parts import JointHistory
from tracker_node.wiring import Wiring


class OnnxBackend(FrameBackend):
    """Answer each frame with the manipulator's landmarks, shape and tip.

    Where only the joints are late at the end of the wait, the nearest ones are taken.

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
        self._joints = JointHistory()
        wiring.node.subscribe(JointState, topics.MEASURED_JS, self._on_joints, qos.STATE)
        super().__init__(wiring)

    def start_anew(self) -> None:
        """Forget the track."""
        self._tracker.reset()

    def _ready(self, stamp_ns: int) -> bool:
        return self._joints.knows(stamp_ns, self._params.time_mode == 'lockstep')

    def _on_joints(self, message: JointState) -> None:
        try:
            joints = messages.from_joint_state(message, JOINT_NAMES)
        except ValueError as error:
            self._reject('joints', str(error))
            return
        if not np.all(np.isfinite(joints)):
            self._reject('joints', f'positions must be finite, got {joints}')
            return
        self._joints.put(messages.stamp_ns(message.header.stamp), joints)
        self._try()

    def look(self, stamp_ns: int, time_s: float, counts: NDArray, view: View) -> None:
        """Answer a frame; see `FrameBackend.look`."""
        joints = self._joints.at(stamp_ns, self._params.joint_gap_s)
        if joints is None:
            raise FrameRejected(
                'missing_joints',
                f'no device/measured_js within {self._params.joint_gap_s:g} s of the exposure',
            )
        insertion, roll, tendon_1, tendon_2 = joints.tolist()
        base_from_cm = self._kinematics.base_from_cm(insertion, roll)
        frame = TipFrame(
            counts=counts,
            view=view,
            world_from_cm_base=self._world_from_device @ base_from_cm,
            predicted_control_rad=self._kinematics.control_of_tendons(tendon_1, tendon_2),
            time_s=time_s,
        )
        self._answer(stamp_ns, self._tracker.track(frame))

    def _answer(self, stamp_ns: int, result: TipResult) -> None:
        self._statistics.answer(result.lost, result.reason, result.inference_s, result.fit_s)
        publisher = self._publisher
        publisher.mask(stamp_ns, result.labels)
        if result.centerline_world_m is not None:
            publisher.centerline(stamp_ns, result.centerline_world_m)
        if result.world_from_tip is not None:
            publisher.tip(stamp_ns, result.world_from_tip, result.covariance_m2)
        pixels = np.array([(one.u, one.v) for one in result.landmarks])
        publisher.landmarks(stamp_ns, pixels, [one.score for one in result.landmarks])
