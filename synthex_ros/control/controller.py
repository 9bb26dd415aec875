"""The controller without its node: one answer to every frame, and a reason whenever it holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.control.delay import JointHistory, LoopDelay
from synthex_ros.control.features import TipMeasurement
from synthex_ros.control.following import Following
from synthex_ros.control.frame import FrameRules, TrackedFrame
from synthex_ros.control.frame_interval import FrameInterval
from synthex_ros.control.guard import CommandGuard
from synthex_ros.control.held_joints import HeldJoints
from synthex_ros.control.reference import GoalSchedule
from synthex_ros.control.servo import Servo
from synthex_ros.joints import JointLimits

Array = NDArray[np.float64]

_GATE_STREAK = 3


@dataclass(frozen=True)
class Answer:
    """The command that answers one frame.

    Attributes:
        joints: set-point, shape (4,).
        held: the device is held instead of moved.
        kind: short name of the reason for the hold, 'idle' without a goal, '' while moving.
        reason: the reason in words.
        error_m: distance from the reference to the tip [m], NaN where unknown.
    """

    joints: Array
    held: bool
    kind: str = ''
    reason: str = ''
    error_m: float = float('nan')


class Controller:
    """Servo, goals and guard; call `answer` once for each frame, in order of stamps.

    Args:
        servo: servo law.
        limits: limits of the joints.
        rules: when a frame may move the device.
        guard: last check of every moving command.
        delay: time from exposure to command.

    Attributes:
        goals: targets, paths and hand control.
        history: measured joints and commands.
        rejections: holds by kind since the start.
        last_reason: newest reason for a hold, in words.
    """

    def __init__(
        self,
        servo: Servo,
        limits: JointLimits,
        rules: FrameRules,
        guard: CommandGuard,
        delay: LoopDelay,
    ) -> None:
        self.servo, self._limits, self._rules = servo, limits, rules
        self._guard, self.delay = guard, delay
        self.goals = GoalSchedule()
        self.history = JointHistory(limits)
        self.rejections: Counter[str] = Counter()
        self.last_reason = ''
        self.reset()

    def reset(self) -> None:
        """Forget the past (clock set back, new activation); goals and counts stay."""
        self.servo.reset()
        self.history.clear()
        self._guard.reset()
        self._held = HeldJoints(self._limits, self.history)
        self._following = Following(self._limits, self.history)
        self._gated = 0
        self._interval = FrameInterval()

    def measured(self, stamp_ns: int, joints: ArrayLike) -> None:
        """Take measured joints, shape (4,), at `stamp_ns` [ns].

        Raises:
            ValueError: wrong number, or not finite; they are not used.
        """
        values = np.asarray(joints, float)
        if values.shape != (len(self._limits.names),) or not np.all(np.isfinite(values)):
            raise ValueError(
                f'joints must be {len(self._limits.names)} finite positions, got {values.tolist()}'
            )
        self.history.measured(stamp_ns, values)

    def hold(self, kind: str, reason: str = '', stamp_ns: int | None = None) -> Answer:
        """Return the hold command: the joints as last measured when the hold began.

        Args:
            kind: short name of the reason; 'idle' is not counted as a rejection.
            reason: the reason in words.
            stamp_ns: frame to answer [ns]; None for the newest joints.

        Raises:
            LookupError: no joints were measured yet.
        """
        if kind != 'idle':
            self.rejections[kind] += 1
            self.last_reason = reason or kind
        joints = self._held.at(stamp_ns)
        self.servo.release()
        self._following.forget()
        if stamp_ns is not None:
            self._commanded(stamp_ns, joints)
        return Answer(joints, True, kind, reason)

    def answer(self, frame: TrackedFrame, now_ns: int) -> Answer:
        """Return the command that answers a frame.

        Args:
            frame: the tracker's findings; the joints at its stamp must be known.
            now_ns: present time on the clock of the stamps [ns].

        Raises:
            LookupError: no joints were measured yet.
        """
        stamp_ns = frame.stamp_ns
        interval_s = self._interval.after(stamp_ns)
        self.delay.saw(stamp_ns, now_ns)
        self.servo.follow(stamp_ns, self.history, self.delay.value_s())
        found = self._rules.measurement(frame)
        if isinstance(found, tuple):
            self.goals.activate(stamp_ns)
            return self.hold(*found, stamp_ns)
        astray = self._following.failure(stamp_ns)
        if astray is not None:
            return self._start_anew(astray, stamp_ns)
        if self._blocked(found):
            return self.hold(
                'motion_residual',
                f'the tip was not where it must be in {_GATE_STREAK} frames: obstacle or slip?',
                stamp_ns,
            )
        return self._move(found, interval_s, now_ns)

    def _move(self, frame: TipMeasurement, interval_s: float, now_ns: int) -> Answer:
        stamp_ns, delay_s = frame.stamp_ns, self.delay.value_s()
        tip = self.servo.tip_world_m()
        reference = self.goals.at(stamp_ns, tip)
        if reference is None:
            return self.hold('idle', stamp_ns=stamp_ns)
        step = self.servo.command(frame, reference, delay_s, interval_s)
        tolerance_m = self.servo.settings.reach_tolerance_m
        if step.miss_m > tolerance_m:
            reason = (
                f'{reference.mode} {np.round(reference.position_m, 4).tolist()} m is '
                f'{step.miss_m * 1e3:.1f} mm out of reach, allowed {tolerance_m * 1e3:.1f} mm'
            )
            return self.hold('unreachable', reason, stamp_ns)
        refused = self._guard.rejection(
            self._limits.names,
            step.joints,
            stamp_ns * 1e-9,
            now_ns * 1e-9,
            measured=self.history.at(stamp_ns),
        )
        if refused is not None:
            return self.hold('guard', refused, stamp_ns)
        self._held.release()
        effect_ns = self._commanded(stamp_ns, step.joints)
        self._following.commanded(effect_ns, step.joints)
        return Answer(step.joints, False, error_m=step.error_m)

    def _start_anew(self, reason: str, stamp_ns: int) -> Answer:
        """Hold the joints as they are, and forget the commands that were not followed."""
        self.history.forget_commands()
        self._held.release()
        return self.hold('not_followed', reason, stamp_ns)

    def _blocked(self, measurement: TipMeasurement) -> bool:
        """Learn from the frame; tell whether several in a row were not where they must be."""
        if self.servo.observe(measurement):
            self._gated = 0
            return False
        self._gated += 1
        self.rejections['gate'] += 1
        if self._gated < _GATE_STREAK:
            return False
        self._gated = 0
        self.servo.estimate.reopen()
        return True

    def _commanded(self, stamp_ns: int, joints: Array) -> int:
        """Take note of a command; return when it takes effect [ns]."""
        effect_ns = stamp_ns + round(self.delay.value_s() * 1e9)
        self.history.commanded(effect_ns, joints)
        return effect_ns
