"""Image-based servo of a continuum manipulator's tip, with delay compensation.

Each frame teaches the `SupervisedCorrection` where the model was wrong at the exposure. The joint
goal is refined by damped Gauss-Newton steps in image features (u, v, depth), weighted by what is
known of each, with the corrected Jacobian. The command moves from the present joints to the
goal: present joints are the measured ones plus the commands sent since, so the delay of the image
does not enter the feedback (internal model control, Garcia & Morari 1982), and the approach is
first order with a gain well inside K T < pi / 2 for the delay T that remains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.backlash import PlayOperator
from synthex_ros.control.delay import JointHistory
from synthex_ros.control.features import TipMeasurement
from synthex_ros.control.inverse import Inverse, coordinate_limits
from synthex_ros.control.jacobian import LearningSettings, SupervisedCorrection
from synthex_ros.control.joint_goal import JointGoal
from synthex_ros.control.reference import Reference
from synthex_ros.control.tip_model import TipModel, coordinates_of, joints_of
from synthex_ros.joints import JointLimits

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ServoSettings:
    """How the servo moves.

    Attributes:
        gain_hz: rate of approach to a goal [1/s]; lowered where the delay asks for it.
        delay_gain: highest product of gain and delay.
        backlash_m: half width of the tendon play to drive through on reversal [m]; 0 for none.
        bend_dead_band_m: difference of bend to leave alone [m].
        actuator_lag_s: time by which the tip trails the joints [s].
        jump_m: step of the reference that starts a new search for the joint goal [m].
        replan_m: miss of the joint goal that starts a new search [m].
        reach_tolerance_m: miss of the joint goal that makes a target unreachable [m].
        home_roll_rad: roll to stay near where a target can be reached in two ways [rad].
        compensate_delay: False takes the image for the present one, for comparison.
        adapt: False keeps the nominal Jacobian.
    """

    gain_hz: float = 4.0
    delay_gain: float = 0.5
    backlash_m: float = 0.15e-3
    bend_dead_band_m: float = 0.02e-3
    actuator_lag_s: float = 0.02
    jump_m: float = 3e-3
    replan_m: float = 1e-3
    reach_tolerance_m: float = 5e-3
    home_roll_rad: float = 0.0
    compensate_delay: bool = True
    adapt: bool = True


@dataclass(frozen=True)
class ServoStep:
    """One answer of the servo.

    Attributes:
        joints: set-point, shape (4,) [m, rad, m, m].
        tip_world_m: present tip as estimated [m], shape (3,).
        error_m: distance from the reference to the present tip [m].
        miss_m: distance from the reference to the nearest reachable point [m].
    """

    joints: Array
    tip_world_m: Array
    error_m: float
    miss_m: float


class Servo:
    """Servo law; for each frame call `follow`, and where it is usable `observe` and `command`.

    Args:
        model: tip model of the device.
        limits: limits of the four joints.
        settings: how to move.
        learning: how to learn.
    """

    def __init__(
        self,
        model: TipModel,
        limits: JointLimits,
        settings: ServoSettings | None = None,
        learning: LearningSettings | None = None,
    ) -> None:
        self.settings = settings or ServoSettings()
        self._model, self._limits = model, limits
        box = coordinate_limits(limits, model.co_contraction_m)
        play = self.settings.backlash_m
        if box.upper[2] - box.lower[2] <= 2 * play:
            raise ValueError(f'backlash_m {play:g} leaves no bend between {box.lower} {box.upper}')
        inner = JointLimits(
            box.names,
            box.lower + [0.0, 0.0, play],
            box.upper - [0.0, 0.0, play],
            box.rate,
        )
        self._rate = np.asarray(box.rate)
        self._goal = JointGoal(
            Inverse(model, inner, self.settings.home_roll_rad),
            self.settings.jump_m,
            self.settings.replan_m,
        )
        self.estimate = SupervisedCorrection(
            model, learning or LearningSettings(), adapt=self.settings.adapt
        )
        self.reset()

    def reset(self) -> None:
        """Forget everything learned and every goal."""
        self.estimate.reset()
        self._play: PlayOperator | None = None
        self._stamp_ns: int | None = None
        self._present_play = PlayOperator(self.settings.backlash_m)
        self._seen = self._now = self._present = np.zeros(3)
        self.release()

    def release(self) -> None:
        """Forget the goal and the last command: motion starts anew from the present joints."""
        self._goal.forget()
        self._last: Array | None = None

    def follow(self, stamp_ns: int, history: JointHistory, delay_s: float) -> None:
        """Follow the joints to the exposure and on to now; for every frame, usable or not.

        Args:
            stamp_ns: exposure time [ns].
            history: joints and commands.
            delay_s: exposure to effect of the command that answers [s].
        """
        bend = float(coordinates_of(history.at(stamp_ns))[2])
        if self._play is None:
            self._play = PlayOperator(self.settings.backlash_m, bend)
        since_ns = stamp_ns if self._stamp_ns is None else self._stamp_ns
        for joints in history.between(since_ns, stamp_ns):
            self._play.move(float(coordinates_of(joints)[2]))
        self._stamp_ns = stamp_ns
        way = history.predict(stamp_ns, stamp_ns + round(delay_s * 1e9))
        self._present_play = PlayOperator(self._play.half_width, self._play.output)
        shapes = [self._shape(joints) for joints in way]
        self._present = coordinates_of(way[-1])
        self._seen = shapes[0] if self.settings.compensate_delay else shapes[-1]
        self._now = shapes[-1]
        self.estimate.predict(self._seen, (stamp_ns - since_ns) * 1e-9)

    def _shape(self, joints: Array) -> Array:
        """Return the coordinates after play, shape (3,), of joints that move to `joints`."""
        coordinates = coordinates_of(joints)
        coordinates[2] = self._present_play.move(float(coordinates[2]))
        return coordinates

    def observe(self, measurement: TipMeasurement) -> bool:
        """Learn from the frame that was followed last; False if it fails the gate."""
        return self.estimate.update(measurement, self._seen)

    def tip_world_m(self) -> Array:
        """Return the tip when the next command takes effect: s_now = s(t) + J (q_now - q(t))."""
        return self._model.tip(self._now, self.estimate.correction)

    def command(
        self, measurement: TipMeasurement, reference: Reference, delay_s: float, interval_s: float
    ) -> ServoStep:
        """Return the set-point that answers the frame that was followed last.

        Args:
            measurement: the frame, for its view and weights.
            reference: where the tip should be at the exposure, and its velocity.
            delay_s: exposure to effect of the command [s].
            interval_s: time to the next command [s].
        """
        correction, near = self.estimate.correction, self._now
        share = self._share(delay_s, interval_s)
        lead_s = delay_s + interval_s * (0.5 + (1 - share) / share) + self.settings.actuator_lag_s
        goal, miss_m = self._goal.update(
            reference.goal_id,
            reference.ahead(lead_s),
            measurement,
            near,
            correction,
            self.estimate.tip_covariance(near),
        )
        joints = self._approach(goal, share, interval_s)
        tip = self.tip_world_m()
        error_m = float(np.linalg.norm(reference.ahead(delay_s) - tip))
        return ServoStep(joints, tip, error_m, miss_m)

    def _share(self, delay_s: float, interval_s: float) -> float:
        """Return the part of the way to the goal to go until the next command."""
        gain_hz = min(self.settings.gain_hz, self.settings.delay_gain / (delay_s + interval_s))
        return float(1 - np.exp(-gain_hz * interval_s))

    def _approach(self, goal: Array, share: float, interval_s: float) -> Array:
        """Return the joints, shape (4,), on the way to the goal, through the play at once.

        Where a joint is at its speed limit the others are slowed in proportion, so that the tip
        does not swing out on the way.
        """
        start, play = self._present if self._last is None else self._last, self._present_play
        bend = play.input_for(float(goal[2]), float(start[2]), self.settings.bend_dead_band_m)
        edge = play.edge_towards(float(start[2]), bend)
        step = share * np.array([goal[0] - start[0], goal[1] - start[1], bend - edge])
        slowing = np.max(np.abs(step) / (self._rate * interval_s), initial=1.0)
        wanted = np.array([start[0], start[1], edge]) + step / slowing
        co_contraction_m = self._model.co_contraction_m
        lower, upper = self._limits.reach(joints_of(start, co_contraction_m), interval_s)
        joints = np.clip(joints_of(wanted, co_contraction_m), lower, upper)
        self._last = coordinates_of(joints)
        return joints
