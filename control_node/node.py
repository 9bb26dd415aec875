"""Controller node: from tip and goal to set-points of a manipulator or a magnetic device."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped, TwistStamped
from nav_msgs.msg import Path
from sensor_msgs.msg import CameraInfo, JointState, Joy, MagneticField, PointCloud2
from std_srvs.srv import Trigger

from control_node.inputs import GoalInput, frame_parts, reason_not_to_wait, tracked_frame
from control_node.joy import JoyHand
from control_node.magnetic import build_magnetic_controller
from control_node.outputs import FieldOutput, JointOutput
from control_node.params import ControlParams
from control_node.settings import build_controller, device_names
from synthex_ros.control.controller import Answer, Controller
from synthex_ros.control.frame import TrackedFrame
from synthex_ros.control.magnetic.controller import MagneticAnswer, MagneticController
from synthex_ros.control.magnetic.lumen_path import LumenPath
from synthex_ros.control.pairing import StampPairs
from synthex_ros.control.reference import TargetGoal
from synthex_ros.ros import field_messages, messages, qos, topics
from synthex_ros.ros.diagnostics import OK, WARN, Report
from synthex_ros.ros.managed_node import ManagedNode, run

PARAMS = ControlParams
_WATCH_S = 0.02
_BACK_NS = 1_000_000_000


class ControlNode(ManagedNode):
    """Answer every tracked frame with one set-point stamped like the frame."""

    def __init__(self, **kwargs) -> None:
        super().__init__('control_node', ControlParams, **kwargs)

    def configure(self) -> None:
        """Build the servo and offer the command topic."""
        params = self.params
        self.controller: Controller | MagneticController
        self._output: JointOutput | FieldOutput
        self._names, _ = device_names(params)
        if params.controller == 'magnetic':
            self.controller = build_magnetic_controller(params)
            self._output = FieldOutput(self, params, self._names)
        else:
            self.controller = build_controller(params)
            self._output = JointOutput(self, self._names)
        self.pairs = StampPairs(frame_parts(params))
        self.inputs = GoalInput(params, lambda: self.controller.goals, self._warn)
        self._hand = JoyHand(params)
        self._point_m = np.array(params.device_base_pose[:3])
        self._source_to_detector_m: float | None = None
        self._ages_s: deque[float] = deque(maxlen=300)
        self._seen_s: dict[int, float] = {}
        self._answered = self._newest_ns = 0
        self._answer: Answer | MagneticAnswer | None = None
        self._stale, self._usable_s = True, 0.0
        self.diagnostics.add('control', self._report)

    def activate(self) -> None:
        """Start from what the joints are now, and listen."""
        self.controller.reset()
        self.pairs.clear()
        self._listen()
        self.every(_WATCH_S, self._watch)

    def deactivate(self) -> None:
        """Hold the device; a field goes to zero."""
        self._send_hold('deactivated', 'controller was deactivated', without_field=True)

    # Inputs.

    def _listen(self) -> None:
        self.subscribe(PointCloud2, topics.LANDMARKS, self._part('landmarks'), qos.STATE)
        self.subscribe(
            PoseWithCovarianceStamped, topics.MEASURED_CP, self._part('measured_cp'), qos.STATE
        )
        if 'centerline' in frame_parts(self.params):
            self.subscribe(Path, topics.CENTERLINE, self._part('centerline'), qos.STATE)
        self.subscribe(CameraInfo, topics.CAMERA_INFO, self._part('camera_info'), qos.STATE)
        self.subscribe(PoseStamped, topics.CARM_POSE, self._part('pose'), qos.STATE)
        self.subscribe(DiagnosticArray, topics.EXPOSURE, self._on_exposure, qos.STATE)
        self.subscribe(JointState, topics.MEASURED_JS, self._on_joints, qos.STATE)
        if self.params.controller == 'magnetic' and self.params.field_lead_rad > 0:
            self.subscribe(MagneticField, topics.MEASURED_FIELD, self._on_field, qos.STATE)
        self.subscribe(PoseStamped, topics.TARGET, self.inputs.target, qos.GOALS)
        self.subscribe(Path, topics.PATH, self.inputs.path, qos.GOALS)
        self.subscribe(TwistStamped, topics.TELEOP, self._on_teleop, qos.CONTROL)
        self.subscribe(Joy, topics.JOY, self._on_joy, qos.CONTROL)
        self.serve(Trigger, topics.CONFIRM, self._on_confirm)

    def _part(self, part: str):
        def take(message) -> None:
            stamp_ns = messages.stamp_ns(message.header.stamp)
            if stamp_ns + _BACK_NS < self._newest_ns:
                self._restart(stamp_ns)
            self._newest_ns = max(self._newest_ns, stamp_ns)
            if self.pairs.put(part, stamp_ns, message) and part == 'landmarks':
                self._seen_s[stamp_ns] = self._steady_s()
            self._work()

        return take

    def _restart(self, stamp_ns: int) -> None:
        self._warn('the clock was set back: starting anew')
        self.controller.reset()
        self.pairs.clear()
        self._seen_s.clear()
        self._newest_ns = stamp_ns

    def _on_exposure(self, message: DiagnosticArray) -> None:
        try:
            values = messages.from_exposure(message)
            self._source_to_detector_m = values['source_to_detector_m']
        except (ValueError, KeyError) as error:
            self._warn(f'carm/exposure not used: {error}')
        self._work()

    def _on_joints(self, message: JointState) -> None:
        stamp_ns = messages.stamp_ns(message.header.stamp)
        if stamp_ns + _BACK_NS < self._newest_ns:
            self._restart(stamp_ns)
        self._newest_ns = max(self._newest_ns, stamp_ns)
        try:
            self.controller.measured(stamp_ns, messages.from_joint_state(message, self._names))
        except ValueError as error:
            self.controller.rejections['joints'] += 1
            self._warn(f'device/measured_js not used: {error}')
            return
        self._work()

    def _on_field(self, message: MagneticField) -> None:
        """Take the field really made; one that cannot be used is not there."""
        controller, frame = self.controller, message.header.frame_id
        if not isinstance(controller, MagneticController):
            return
        try:
            if frame != self.params.world_frame:
                raise ValueError(f'frame must be {self.params.world_frame}, got {frame!r}')
            stamp_ns = messages.stamp_ns(message.header.stamp)
            controller.made(stamp_ns, field_messages.from_field(message))
        except ValueError as error:
            controller.rejections['measured_field'] += 1
            self._warn(f'device/measured_field not used: {error}')

    def _on_teleop(self, message: TwistStamped) -> None:
        self.inputs.teleop(message, self._now_ns())

    def _on_joy(self, message: Joy) -> None:
        try:
            twist = self._hand.twist(message)
        except ValueError as error:
            self._warn(f'control/joy not used: {error}')
            return
        if twist is not None:
            self._on_teleop(twist)

    def _on_confirm(self, request, response):
        goal = self.controller.goals.active
        response.success = isinstance(goal, LumenPath) and goal.confirm()
        response.message = 'goes on' if response.success else 'nothing waits at a waypoint'
        return response

    # Work.

    def _work(self) -> None:
        """Answer the frames that are complete, oldest first."""
        for stamp_ns in self.pairs.stamps_with('landmarks'):
            if not self._ready(stamp_ns):
                return
            self._respond(self._findings(stamp_ns))

    def _ready(self, stamp_ns: int) -> bool:
        if not self.controller.history.covers(stamp_ns):
            return False
        try:
            if reason_not_to_wait(self.pairs.get(stamp_ns)['landmarks'], self.params):
                return True
        except ValueError:
            return True
        return not self.pairs.missing(stamp_ns) and self._source_to_detector_m is not None

    def _findings(self, stamp_ns: int) -> TrackedFrame:
        parts = self.pairs.get(stamp_ns)
        try:
            problem = reason_not_to_wait(parts['landmarks'], self.params)
            if problem:
                return TrackedFrame(stamp_ns, problem)
            return tracked_frame(
                stamp_ns, parts, float(self._source_to_detector_m or 0.0), self.params
            )
        except ValueError as error:
            self._warn(f'frame not used: {error}')
            return TrackedFrame(stamp_ns, 'bad_message')

    def _respond(self, frame: TrackedFrame) -> None:
        now_ns = self._now_ns()
        if frame.tip_world_m is not None and np.all(np.isfinite(frame.tip_world_m)):
            self._point_m = frame.tip_world_m
        answer = self.controller.answer(frame, now_ns)
        if self.params.hold_at_start and answer.kind == 'idle' and frame.tip_world_m is not None:
            self.controller.goals.add(TargetGoal(frame.tip_world_m))
        self._send(answer, frame.stamp_ns)
        self._ages_s.append((now_ns - frame.stamp_ns) * 1e-9)
        self._answered += 1
        if not frame.problem:
            self._usable_s, self._stale = self._steady_s(), False
        self._close(frame.stamp_ns)

    def _close(self, stamp_ns: int) -> None:
        self.pairs.done(stamp_ns)
        self._seen_s = {stamp: t for stamp, t in self._seen_s.items() if stamp > stamp_ns}

    def _send(self, answer: Answer | MagneticAnswer, stamp_ns: int) -> None:
        self._answer = answer
        self._output.send(answer, stamp_ns, self._point_m)
        if answer.held and answer.kind != 'idle':
            self._warn(f'held, {answer.kind}: {answer.reason}')

    def _send_hold(self, kind: str, reason: str, without_field: bool = False) -> None:
        if self.controller.history.newest() is None:
            return
        answer = self.controller.hold(kind, reason)
        if without_field and isinstance(answer, MagneticAnswer):
            answer = replace(answer, field_t=np.zeros(3), force_n=None)
        self._send(answer, self._now_ns())

    # Watch.

    def _watch(self) -> None:
        """Answer frames whose parts do not come; hold when no usable frame comes."""
        now_s = self._steady_s()
        for stamp_ns in self.pairs.stamps_with('landmarks'):
            if now_s - self._seen_s.get(stamp_ns, now_s) < self.params.pair_timeout_s:
                break
            if self.controller.history.newest() is None:
                break
            lacks = self.pairs.missing(stamp_ns) or ['device/measured_js or carm/exposure']
            self._warn(f'frame {stamp_ns * 1e-9:.3f} s lacks {", ".join(lacks)}')
            self._respond(TrackedFrame(stamp_ns, 'incomplete'))
        waits = self.params.time_mode == 'lockstep'
        if not waits and not self._stale and now_s - self._usable_s > self.params.stale_after_s:
            self._stale = True
            self._send_hold('stale', f'no usable frame for {self.params.stale_after_s:g} s')

    def _steady_s(self) -> float:
        return self.steady_clock.now().nanoseconds * 1e-9

    def _now_ns(self) -> int:
        """Present time, at least the newest stamp: /clock may come after what it stamps."""
        newest = self.controller.history.newest()
        now_ns = self.get_clock().now().nanoseconds
        return now_ns if newest is None else max(now_ns, newest[0])

    def _warn(self, text: str) -> None:
        self.get_logger().warning(text, throttle_duration_sec=1.0)

    def _report(self) -> Report:
        controller, answer = self.controller, self._answer
        mode = controller.goals.mode
        ages_ms = np.array(self._ages_s) * 1e3 if self._ages_s else np.array([np.nan])
        values = {
            'mode': mode,
            'held': answer is None or answer.held,
            'frames_answered': self._answered,
            'age_p50_ms': f'{np.percentile(ages_ms, 50):.1f}',
            'age_p99_ms': f'{np.percentile(ages_ms, 99):.1f}',
            'loop_delay_ms': f'{controller.delay.value_s() * 1e3:.1f}',
            'error_mm': f'{(np.nan if answer is None else answer.error_m) * 1e3:.3f}',
            **self._own_values(),
            **{f'held_{kind}': count for kind, count in controller.rejections.items()},
            **{f'refused_{kind}': count for kind, count in self.inputs.refused.items()},
        }
        if self._stale and self._answered:
            return Report(f'{mode}: no usable frame, holding', values, WARN)
        if answer is not None and answer.held and answer.kind != 'idle':
            return Report(f'{mode}: held, {answer.kind}: {answer.reason}', values, WARN)
        return Report(mode, values, OK)

    def _own_values(self) -> dict[str, object]:
        """Return what only one family of controllers has to say."""
        controller, answer = self.controller, self._answer
        if isinstance(controller, Controller):
            correction = controller.servo.estimate.correction
            return {
                'bend_gain': f'{correction.bend_gain:.3f}',
                'bend_offset_mm': f'{correction.bend_offset_m * 1e3:.3f}',
                'jacobian_resets': controller.servo.estimate.resets,
            }
        field_t = answer.field_t if isinstance(answer, MagneticAnswer) else np.zeros(3)
        return {'field_mt': ' '.join(f'{value * 1e3:.2f}' for value in field_t)}


def main(argv: list[str] | None = None) -> int:
    """Run the controller node."""
    return run(ControlNode, argv)
