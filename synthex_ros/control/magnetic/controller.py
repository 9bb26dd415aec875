"""The magnetic controller without its node: one answer to a frame, and a reason for every hold.

It stands beside `synthex_ros.control.controller.Controller` and is called in the same way; instead
of joints alone it answers with a field, a force where gradients are commanded, and joints where
the device has some.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.control.delay import JointHistory, LoopDelay
from synthex_ros.control.following import Following
from synthex_ros.control.frame import FrameRules, TrackedFrame
from synthex_ros.control.frame_interval import FrameInterval
from synthex_ros.control.guard import CommandGuard, stamp_rejection
from synthex_ros.control.held_joints import HeldJoints
from synthex_ros.control.magnetic.law import MagneticLaw, Seen, Wish, seen_from
from synthex_ros.control.magnetic.limits import MagneticLimits
from synthex_ros.control.reference import GoalSchedule
from synthex_ros.joints import JointLimits
from synthex_ros.magnetics import as_vector

Array = NDArray[np.float64]

_GATE_STREAK = 3
_SKEW_S = 0.05


@dataclass(frozen=True, eq=False)
class MagneticAnswer:
    """The command that answers one frame.

    Attributes:
        field_t: field at the device in `world`, shape (3,) [T].
        force_n: magnetic force on it in `world`, shape (3,) [N]; None where only a field is meant.
        joints: set-points, shape (J,); None for a device without joints.
        held: the device is held instead of moved.
        kind: short name of the reason for the hold, 'idle' without a goal, '' while moving.
        reason: the reason in words.
        error_m: distance from the reference to the device [m], NaN where unknown.
        warning: what is near its limit, in words.
    """

    field_t: Array
    force_n: Array | None
    joints: Array | None
    held: bool
    kind: str = ''
    reason: str = ''
    error_m: float = float('nan')
    warning: str = ''


class MagneticController:
    """Law, goals and limits; call `answer` once for each frame, in order of stamps.

    Of several frames that have arrived together, `answer` the newest and `learn` from the others.

    Args:
        law: control law of the device.
        joint_limits: limits of its joints, without names for a device without.
        rules: when a frame may move the device.
        delay: time from exposure to command.
        limits: limits of field, force and time.
        max_age_s: oldest frame that is answered with a motion [s].

    Attributes:
        goals: targets, paths and hand control.
        history: measured joints.
        rejections: holds by kind since the start.
        last_reason: newest reason for a hold, in words.
        wall_force_n: newest force on the wall that was reported [N].
    """

    def __init__(
        self,
        law: MagneticLaw,
        joint_limits: JointLimits,
        rules: FrameRules | None = None,
        delay: LoopDelay | None = None,
        limits: MagneticLimits | None = None,
        max_age_s: float = 0.5,
    ) -> None:
        self.law, self._joint_limits = law, joint_limits
        self._rules, self.delay = rules or FrameRules(), delay or LoopDelay()
        self.limits, self._max_age_s = limits or MagneticLimits(), max_age_s
        self._guard = CommandGuard(joint_limits, max_age_s=max_age_s)
        self.goals = GoalSchedule()
        self.history = JointHistory(joint_limits)
        self.rejections: Counter[str] = Counter()
        self.last_reason = ''
        self.reset()

    def reset(self) -> None:
        """Forget the past (clock set back, new activation); goals and counts stay."""
        self.law.reset()
        self.history.clear()
        self._guard.reset()
        self.wall_force_n = 0.0
        self._last = Wish(np.zeros(3), np.zeros(3) if self._has_no_joints else None)
        self._held = HeldJoints(self._joint_limits, self.history)
        self._following = Following(self._joint_limits, self.history)
        self._gated = 0
        self._stamp_ns: int | None = None
        self._good_ns: int | None = None
        self._moving = False
        self._interval = FrameInterval()
        self._lasts_s = 0.0

    @property
    def _has_no_joints(self) -> bool:
        return not self._joint_limits.names

    def measured(self, stamp_ns: int, joints: ArrayLike) -> None:
        """Take measured joints, shape (J,), at `stamp_ns` [ns].

        Raises:
            ValueError: wrong number, or not finite; they are not used.
        """
        self.history.measured(stamp_ns, self._joint_limits.check(joints))

    def pressed(self, force_n: float) -> None:
        """Take the newest force of the device on the vessel wall [N]; NaN counts as the limit."""
        value = float(force_n)
        self.wall_force_n = value if np.isfinite(value) else self.limits.stop_force_n

    def made(self, stamp_ns: int, field_t: ArrayLike) -> None:
        """Take the field really made at the device, shape (3,) [T], at `stamp_ns` [ns].

        Raises:
            ValueError: wrong shape, or not finite; it is not used.
        """
        self.law.made(stamp_ns, as_vector(field_t, 'measured field'))

    def hold(self, kind: str, reason: str = '', stamp_ns: int | None = None) -> MagneticAnswer:
        """Return the hold command: joints where they are, the field as it was, then less.

        Args:
            kind: short name of the reason; 'idle' is not counted as a rejection.
            reason: the reason in words.
            stamp_ns: frame to answer [ns]; None for the newest.

        Raises:
            LookupError: no joints were measured yet.
        """
        if kind != 'idle':
            self.rejections[kind] += 1
            self.last_reason = reason or kind
        self._moving = False
        at_ns = stamp_ns if stamp_ns is not None else self._stamp_ns
        blind_s = 0.0
        if kind != 'idle':
            known = None not in (self._good_ns, at_ns)
            blind_s = (at_ns - self._good_ns) * 1e-9 if known else np.inf  # type: ignore[operator]
        field, force = self.limits.held(self._last, blind_s)
        if force is not None and kind in ('idle', 'wall_force'):
            force = np.zeros(3)
        still = None if self._has_no_joints else self._held.at(stamp_ns)
        self._following.forget()
        wish = Wish(field, force, still)
        if at_ns is not None:
            self.law.sent(self._now_ns(at_ns), wish)
        return MagneticAnswer(field, force, wish.joints, True, kind, reason or kind)

    def answer(self, frame: TrackedFrame, now_ns: int) -> MagneticAnswer:
        """Return the command that answers a frame.

        Args:
            frame: the tracker's findings; the joints at its stamp must be known.
            now_ns: present time on the clock of the stamps [ns].

        Raises:
            LookupError: no joints were measured yet.
        """
        refused = self.learn(frame, now_ns)
        lasts_s, self._lasts_s = self._lasts_s, 0.0
        return self._move(now_ns, lasts_s) if refused is None else refused

    def learn(self, frame: TrackedFrame, now_ns: int) -> MagneticAnswer | None:
        """Take a frame that another one follows at once: `answer` to that one answers both.

        Args:
            frame: the tracker's findings; the joints at its stamp must be known.
            now_ns: present time on the clock of the stamps [ns].

        Returns:
            The hold that answers a frame which may not move the device, otherwise None.

        Raises:
            LookupError: no joints were measured yet.
        """
        stamp_ns = frame.stamp_ns
        self._lasts_s += self._interval.after(stamp_ns)
        self._stamp_ns = stamp_ns
        self.delay.saw(stamp_ns, now_ns)
        self.law.force_n = self.wall_force_n
        self.goals.activate(stamp_ns)
        late = stamp_rejection(stamp_ns * 1e-9, now_ns * 1e-9, self._max_age_s, _SKEW_S)
        if late is not None:
            return self.hold(*late, stamp_ns)
        found = self._rules.measurement(frame)
        if isinstance(found, tuple):
            return self.hold(*found, stamp_ns)
        astray = self._following.failure(stamp_ns)
        if astray is not None:
            self._held.release()
            return self.hold('not_followed', astray, stamp_ns)
        if self._blocked(seen_from(found, _back(frame), frame.line_world_m), now_ns):
            reason = f'the device was not where it must be in {_GATE_STREAK} frames'
            return self.hold('motion_residual', reason, stamp_ns)
        self._good_ns = stamp_ns
        return None

    def tick(self, now_ns: int) -> MagneticAnswer | None:
        """Return a command between frames, or None where there is nothing to add.

        A flow that is known beforehand is played on from the newest frame, as long as that is
        fresh and moved the device.
        """
        if not (self._moving and self._has_no_joints) or self._good_ns is None:
            return None
        if (now_ns - self._good_ns) * 1e-9 > self.limits.coast_s:
            return None
        return self._move(now_ns, 0.01)

    def _move(self, now_ns: int, interval_s: float) -> MagneticAnswer:
        stamp_ns = self._good_ns or 0
        reference = self.goals.at(stamp_ns, self.law.tip_world_m())
        if reference is None:
            return self.hold('idle', stamp_ns=stamp_ns)
        joints = self._from_joints(stamp_ns)
        wish = self.law.command(reference, self.goals.active, stamp_ns, joints, now_ns, interval_s)
        refused = self._pressed_too_much(wish, joints) or self._refused(wish, stamp_ns, now_ns)
        if wish.kind or refused is not None:
            return self.hold(*(refused or (wish.kind, wish.reason)), stamp_ns)
        self._held.release()
        self._moving = True
        self._last = replace(wish)
        self.law.sent(now_ns, wish)
        if wish.joints is not None:
            self._following.commanded(self._now_ns(stamp_ns), wish.joints)
        warning = ''
        if self.wall_force_n >= self.limits.warn_force_n:
            warning = f'force on the wall {self.wall_force_n:.2f} N'
        return MagneticAnswer(
            wish.field_t, wish.force_n, wish.joints, False, error_m=wish.error_m, warning=warning
        )

    def _pressed_too_much(self, wish: Wish, joints: Array) -> tuple[str, str] | None:
        """Return why the wall allows no motion but drawing back, or None."""
        pressed, limit = self.wall_force_n, self.limits.stop_force_n
        back = wish.joints is not None and wish.joints[0] < joints[0]
        if pressed < limit or back:
            return None
        return 'wall_force', f'force on the wall {pressed:.2f} N, limit {limit:g} N'

    def _refused(self, wish: Wish, stamp_ns: int, now_ns: int) -> tuple[str, str] | None:
        finding = self.limits.finding(wish)
        if finding is not None or wish.joints is None:
            return finding
        said = self._guard.rejection(
            self._joint_limits.names,
            wish.joints,
            stamp_ns * 1e-9,
            now_ns * 1e-9,
            measured=self.history.at(stamp_ns),
        )
        return None if said is None else ('guard', said)

    def _blocked(self, seen: Seen, now_ns: int) -> bool:
        """Learn from the frame; tell whether several in a row were not where they must be."""
        joints = np.zeros(0) if self._has_no_joints else self.history.at(seen.stamp_ns)
        if self.law.observe(seen, joints, now_ns):
            self._gated = 0
            return False
        self._gated += 1
        self.rejections['gate'] += 1
        if self._gated < _GATE_STREAK:
            return False
        self._gated = 0
        self.law.reopen()
        return True

    def _from_joints(self, stamp_ns: int) -> Array:
        """Return the joints that the next command starts from: the last one, or the measured."""
        if self._has_no_joints:
            return np.zeros(0)
        measured = self.history.at(stamp_ns)
        if self._last.joints is None or not self._moving:
            return measured
        return self._last.joints

    def _now_ns(self, stamp_ns: int) -> int:
        return stamp_ns + round(self.delay.value_s() * 1e9)


def _back(frame: TrackedFrame) -> Array | None:
    """Return the first point of the shape that the frame gives, the landmark behind the tip."""
    shape = frame.shape_world_m
    if shape is None or len(shape) < 2 or not np.all(np.isfinite(shape)):
        return None
    return np.asarray(shape[0], float)
