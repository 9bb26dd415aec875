"""What the simulator tells the graph: clock, joints, frames and truth."""

from __future__ import annotations

from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState, PointCloud2

from sim_node.field_output import FieldOutput
from sim_node.params import SimParams
from synthex_ros.ros import messages, qos, topics
from synthex_ros.ros.camera_info import to_camera_info
from synthex_ros.ros.managed_node import ManagedNode
from synthex_ros.simulation.carm_axes import NAMES as CARM_JOINTS
from synthex_ros.simulation.driven_device import DrivenDevice
from synthex_ros.simulation.driven_magnetic import DrivenMagnetic
from synthex_ros.simulation.room import Exposure, Room


class SimPublisher:
    """Sink of the simulator's events; the image is the last part of a frame, truth comes behind.

    Args:
        node: owner of the publishers.
        params: frames, time mode and binning.
        room: patient, C-arm and device.
        device: whose joints are reported.
        on_silence: called with the length [s] of a silence of the controller.
    """

    def __init__(
        self,
        node: ManagedNode,
        params: SimParams,
        room: Room,
        device: DrivenDevice,
        on_silence: Callable[[float], None],
    ) -> None:
        self._params, self._room, self._device = params, room, device
        self.silence = on_silence
        frame = qos.frame_publication(params.time_mode)
        make = node.advertise
        self._clock = make(Clock, topics.CLOCK, qos.CLOCK)
        self._joints = make(JointState, topics.MEASURED_JS, qos.STATE)
        self._field: FieldOutput | None = None
        if isinstance(device, DrivenMagnetic):
            self._field = FieldOutput(node, device, params.world_frame)
        self._carm_joints = make(JointState, topics.CARM_JOINT_STATES, qos.STATE)
        self._pose = make(PoseStamped, topics.CARM_POSE, frame)
        self._exposure = make(DiagnosticArray, topics.EXPOSURE, frame)
        self._info = make(CameraInfo, topics.CAMERA_INFO, frame)
        self._image = make(Image, topics.IMAGE_RAW, frame)
        self._truth_tip = make(PoseStamped, topics.TRUTH_TIP, qos.STATE)
        self._truth_landmarks = make(PointCloud2, topics.TRUTH_LANDMARKS, qos.STATE)
        self._truth_mask = make(Image, topics.TRUTH_MASK, frame)
        self._truth_centerline = make(Path, topics.TRUTH_CENTERLINE, qos.STATE)

    @property
    def image_subscribers(self) -> int:
        """Matched subscribers of the frames."""
        return self._image.get_subscription_count()

    def clock(self, now_ns: int) -> None:
        """Publish simulated time, except where the wall clock is the time."""
        if self._params.time_mode != 'real_time':
            self._clock.publish(Clock(clock=messages.to_stamp(now_ns)))

    def joints(self, now_ns: int) -> None:
        """Publish joints of device and C-arm, and the field, as measured at `now_ns` [ns]."""
        if self._field is not None:
            self._field.publish(now_ns)
        state = self._device.state
        header = messages.make_header(now_ns, 'device_base')
        self._joints.publish(
            messages.to_joint_state(
                self._device.names, state.joints, header, velocities=state.velocities
            )
        )
        self._carm_joints.publish(
            messages.to_joint_state(
                CARM_JOINTS, self._room.axes.positions, messages.make_header(now_ns, 'carm_base')
            )
        )

    def frame(self, exposure: Exposure) -> None:
        """Publish frame and truth of an exposure; the image is the last part of the frame."""
        in_world = messages.make_header(exposure.stamp_ns, self._params.world_frame)
        optical = messages.make_header(exposure.stamp_ns, self._params.source_frame)
        technique = exposure.radiograph.technique
        values = {
            'frame_index': exposure.index,
            'tube_voltage_kv': technique.tube_voltage_kv,
            'charge_mas': technique.charge_mas,
            'pulse_length_s': technique.pulse_length_s,
            'air_kerma_gy': exposure.radiograph.air_kerma_gy,
            'kerma_area_product_gy_m2': exposure.radiograph.kerma_area_product_gy_m2,
            'source_to_detector_m': exposure.view.geometry.source_to_detector_m,
        }
        pose = messages.to_pose_stamped(exposure.view.world_from_source, in_world)
        self._pose.publish(pose)
        self._exposure.publish(messages.to_exposure(values, optical))
        info = to_camera_info(exposure.view.geometry, optical, binning=self._params.binning)
        self._info.publish(info)
        self._image.publish(messages.to_image(exposure.radiograph.counts, optical))
        # Whoever steers by the frame should not wait for what only evaluation reads.
        self._publish_truth(exposure)

    def _publish_truth(self, exposure: Exposure) -> None:
        in_world = messages.make_header(exposure.stamp_ns, self._params.world_frame)
        optical = messages.make_header(exposure.stamp_ns, self._params.source_frame)
        visible = exposure.landmarks_visible.astype(float)
        self._truth_tip.publish(messages.to_pose_stamped(exposure.world_from_tip, in_world))
        self._truth_landmarks.publish(
            messages.to_landmarks(exposure.landmarks_px, visible, optical)
        )
        self._truth_centerline.publish(messages.to_path(exposure.centerline_world_m, in_world))
        # In lockstep a run must not depend on when a reader was discovered.
        if self._params.time_mode == 'lockstep' or self._truth_mask.get_subscription_count():
            self._truth_mask.publish(messages.to_image(exposure.radiograph.mask, optical))
