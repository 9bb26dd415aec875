"""Simulator node: the imager, the device and the patient of the closed loop."""

from __future__ import annotations

import time

from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from sim_node.clockwork import Clockwork
from sim_node.field_input import FieldInput, Follow
from sim_node.lateness import Lateness
from sim_node.params import SimParams
from sim_node.publisher import SimPublisher
from sim_node.settings import room_settings
from synthex_ros.ros import messages, qos, topics
from synthex_ros.ros.diagnostics import ERROR, WARN, Report
from synthex_ros.ros.managed_node import ManagedNode, run
from synthex_ros.simulation.build import build_room
from synthex_ros.simulation.carm_axes import NAMES as CARM_JOINTS
from synthex_ros.simulation.channel import FrameChannel
from synthex_ros.simulation.driven_magnetic import DrivenMagnetic
from synthex_ros.simulation.simulator import Simulator

PARAMS = SimParams
_TURN_S = 0.002


class SimNode(ManagedNode):
    """Publish fluoroscopy of a simulated room and move its device as commanded."""

    def __init__(self, **kwargs) -> None:
        super().__init__('sim_node', SimParams, **kwargs)

    def configure(self) -> None:
        """Load the CT, build the room, render the first view, offer topics and services."""
        params = self.params
        built = build_room(room_settings(params))
        self.room, self.device = built.room, built.device
        self.get_logger().info(f'CT {params.anatomy} sha256 {built.volume_sha256}')
        self.publisher = SimPublisher(self, params, self.room, self.device, self._on_silence)
        channel: FrameChannel = FrameChannel(
            params.latency_s, params.jitter_s, params.drop_rate, params.seed
        )
        self.simulator = Simulator(
            self.room,
            self.device.make_safe,
            channel,
            round(1e9 / params.frame_rate_hz),
            params.command_timeout_s,
            self.publisher,
        )
        self.clockwork = Clockwork(
            params, self.simulator, self._wall_ns, self.publisher.clock, self._on_unanswered
        )
        self._silences = self._unanswered = 0
        self._not_followed, self._turned_s = '', 0.0
        self._lateness = Lateness(self.simulator, params.time_mode)
        self._started = False
        self.diagnostics.add('simulation', self._report)
        self._listen()
        self._serve_all()

    def activate(self) -> None:
        """Start time, once those who were announced are listening."""
        self._started = False
        self.every(_TURN_S, self._turn)
        self.every(1 / self.params.joint_state_rate_hz, self._report_joints)

    def deactivate(self) -> None:
        """Hold the device and take its field away, then fall silent."""
        self.device.make_safe()

    def _report(self) -> Report:
        values = {
            'frames_exposed': self.room.exposures,
            'frames_lost_in_channel': self.simulator.frames_lost,
            'frames_skipped': self.simulator.skipped,
            'time_left_out_s': f'{self.simulator.left_out_s:.2f}',
            'commands_accepted': self.device.accepted,
            'silences': self._silences,
            'unanswered_frames': self._unanswered,
            'air_kerma_gy': self.room.air_kerma_gy,
            'fault': self.device.fault,
            **{f'rejected_{kind}': count for kind, count in self.device.rejections.items()},
            **self.device.report(),
        }
        if self.field_input is not None:
            values['incomplete_commands'] = self.field_input.incomplete
        if self.device.fault:
            return Report(self.device.fault, values, ERROR)
        late = self._lateness.finding()
        if late:
            self.get_logger().warning(late, throttle_duration_sec=10.0)
        trouble = late or self._not_followed or self.device.trouble
        if trouble:
            return Report(trouble, values, WARN)
        return Report('running' if self._started else 'waiting for subscribers', values)

    def _listen(self) -> None:
        self.field_input: FieldInput | None = None
        if isinstance(self.device, DrivenMagnetic):
            self.field_input = FieldInput(self, self.device, self._on_command)
        else:
            self.subscribe(JointState, topics.SERVO_JP, self._on_servo, qos.CONTROL)
        self.subscribe(JointTrajectory, topics.MOVE_JP, self._on_move, qos.CONTROL)
        self.subscribe(JointTrajectory, topics.CARM_MOVE_JP, self._on_carm_move, qos.CONTROL)

    def _serve_all(self) -> None:
        self.serve(SetBool, topics.BEAM_ON, self._on_beam)
        self.serve(Trigger, topics.PULSE, self._on_pulse)
        self.serve(SetBool, topics.ENABLE, self._on_enable)
        self.serve(Trigger, topics.RESET_FAULT, self._on_reset_fault)
        self.serve(SetBool, topics.PAUSE, self._on_pause)
        self.serve(Trigger, topics.STEP, self._on_step)
        self.serve(Trigger, topics.RESET, self._on_reset)

    def _wall_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _turn(self) -> None:
        if not self._started:
            if not self._ready():
                return
            self.clockwork.start()
            self._started = True
        if time.monotonic() - self._turned_s < _TURN_S / 2:
            return  # a timer that is always late is called in a row, and commands would starve
        self.clockwork.turn()
        self._turned_s = time.monotonic()

    def _ready(self) -> bool:
        if self.publisher.image_subscribers < self.params.wait_for_subscribers:
            return False
        if self.params.time_mode != 'lockstep':
            return True
        if self.field_input is not None:
            return self.field_input.connected
        return self.count_publishers(topics.SERVO_JP) > 0

    def _report_joints(self) -> None:
        if self._started and self.params.time_mode != 'lockstep' and not self.clockwork.paused:
            self.simulator.measure()

    def _on_servo(self, message: JointState) -> None:
        stamp_ns = messages.stamp_ns(message.header.stamp)

        def follow(now_s: float) -> str | None:
            return self.device.servo(message.name, message.position, stamp_ns * 1e-9, now_s)

        self._on_command(stamp_ns, follow)

    def _on_command(self, stamp_ns: int, follow: Follow) -> None:
        if self.state != 'active' or not self._started:
            return
        if not self.clockwork.answer(stamp_ns):
            return
        reason = follow(self.clockwork.now_ns() * 1e-9)
        self._not_followed = '' if reason is None else f'command rejected, device held: {reason}'
        if reason is None:
            self.simulator.commanded()
        else:
            self.get_logger().warning(self._not_followed, throttle_duration_sec=1.0)
        if self.params.time_mode == 'lockstep':
            self.clockwork.turn()

    def _on_move(self, message: JointTrajectory) -> None:
        self._plan(message, self.device.names, self.device.move)

    def _on_carm_move(self, message: JointTrajectory) -> None:
        self._plan(message, CARM_JOINTS, self.room.axes.move)

    def _plan(self, message: JointTrajectory, names, move) -> None:
        try:
            if sorted(message.joint_names) != sorted(names):
                raise ValueError(f'joint_names must be {list(names)}, got {message.joint_names}')
            order = [message.joint_names.index(name) for name in names]
            times = [
                p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in message.points
            ]
            move(times, [[point.positions[k] for k in order] for point in message.points])
        except (ValueError, IndexError) as error:
            self.get_logger().error(f'move refused: {error}')

    def _on_beam(self, request, response):
        self.simulator.beam_on = request.data
        response.success, response.message = True, f'beam {"on" if request.data else "off"}'
        return response

    def _on_pulse(self, request, response):
        self.simulator.pulse()
        response.success, response.message = True, 'one pulse'
        return response

    def _on_enable(self, request, response):
        self.device.enable(request.data)
        response.success, response.message = True, 'enabled' if request.data else 'held'
        return response

    def _on_reset_fault(self, request, response):
        reason = self.device.acknowledge()
        response.success, response.message = True, reason or 'there was no fault'
        return response

    def _on_pause(self, request, response):
        self.clockwork.paused = request.data
        if request.data:
            self.device.hold()
        response.success, response.message = True, 'paused' if request.data else 'running'
        return response

    def _on_step(self, request, response):
        response.success = self.clockwork.paused and self.params.time_mode == 'lockstep'
        response.message = 'one frame' if response.success else 'needs lockstep, and sim/pause'
        self.clockwork.steps += int(response.success)
        return response

    def _on_reset(self, request, response):
        self.device.reset()
        self.room.reset()
        self.clockwork.start()
        response.success, response.message = True, 'at the start'
        return response

    def _on_silence(self, silent_s: float) -> None:
        self._silences += 1
        self._not_followed = f'no command for {silent_s:.2f} s: device held'
        self.get_logger().warning(self._not_followed, throttle_duration_sec=1.0)

    def _on_unanswered(self, stamp_ns: int, waited_s: float) -> None:
        self._unanswered += 1
        self.device.make_safe()
        reason = (
            f'frame {stamp_ns * 1e-9:.3f} s had no answer in {waited_s:g} s: '
            'is a controller running?'
        )
        self._not_followed = reason
        self.get_logger().error(reason)
        if self.params.answer_policy == 'fail':
            self.clockwork.paused = True
            self.device.trip(reason)


def main(argv: list[str] | None = None) -> int:
    """Run the simulator node."""
    return run(SimNode, argv)
