"""A closed loop without ROS: real plant, real projection, seeded noise, delayed frames."""

import numpy as np

from synthex_ros.control.controller import Controller
from synthex_ros.control.delay import LoopDelay
from synthex_ros.control.frame import FrameRules, TrackedFrame
from synthex_ros.control.guard import CommandGuard
from synthex_ros.control.servo import Servo
from synthex_ros.control.tip_model import TipModel
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.parameters import ContinuumParameters
from synthex_ros.devices.continuum.plant import ContinuumPlant
from synthex_ros.geometry import CArm, make_pose
from synthex_ros.joints import JointLimits

# The insertion axis runs along the patient, the device bends to the left: both in the rest view.
WORLD_FROM_BASE = make_pose(None, (0.0, 0.0, -0.06))
NOMINAL = ContinuumKinematics(ContinuumParameters())
RATE_HZ = 15


def joint_limits(parameters):
    """Return the limits of the device as the controller knows them."""
    limits = parameters.limits
    return JointLimits(
        tuple(limits.names), tuple(limits.lower), tuple(limits.upper), tuple(limits.rate)
    )


class Loop:
    """Plant behind a guard, imager with latency, noise and faults, and the controller."""

    def __init__(
        self,
        *,
        seed=0,
        latency_s=0.0,
        jitter_s=0.0,
        drop_rate=0.0,
        false_rate=0.0,
        noise_px=1.0,
        depth_std_m=2e-3,
        plant=None,
        settings=None,
        home=(0.02, 0.0, 0.0, 0.0),
        base_error_m=(0.0, 0.0, 0.0),
    ):
        self.plant = plant or ContinuumPlant(ContinuumParameters(), seed)
        self.plant.reset(home)
        self.view = CArm().view()
        self.limits = joint_limits(ContinuumParameters())
        self.believed = WORLD_FROM_BASE @ make_pose(None, base_error_m)
        self.servo = Servo(TipModel(NOMINAL, self.believed), self.limits, settings)
        self.controller = Controller(
            self.servo, self.limits, FrameRules(), CommandGuard(self.limits), LoopDelay()
        )
        self.goals = self.controller.goals
        self.guard = CommandGuard(self.limits)
        self.rng = np.random.default_rng(seed + 1000)
        self.latency_s, self.jitter_s = latency_s, jitter_s
        self.drop_rate, self.false_rate = drop_rate, false_rate
        self.noise_px, self.depth_std_m = noise_px, depth_std_m
        self.frame, self.time_s = 0, 0.0
        self.due = []
        self.stamps, self.tips, self.commands = [], [], []

    def tip(self):
        return self.plant.landmarks(WORLD_FROM_BASE)[-1]

    def expose(self):
        """Return what the tracker makes of the present state, and the measured joints."""
        joints = self.plant.state.joints
        depth = self.view.to_source(make_tip(self.believed, joints))[2]
        pixel = self.view.project(self.tip()) + self.noise_px * self.rng.standard_normal(2)
        if self.rng.random() < self.false_rate:
            pixel = self.rng.uniform(0, 511, 2)
        rotation = self.view.world_from_source[:3, :3]
        spread = np.diag([4e-4, 4e-4, self.depth_std_m]) ** 2
        frame = TrackedFrame(
            round(self.time_s * 1e9),
            view=self.view,
            tip_px=pixel,
            score=0.95,
            tip_world_m=self.view.point_on_ray(pixel, depth),
            covariance_m2=rotation @ spread @ rotation.T,
        )
        return frame, joints

    def advance_to(self, time_s):
        self.plant.step(max(0.0, time_s - self.time_s))
        self.time_s = max(time_s, self.time_s)

    def run(self, duration_s):
        """Run frames for `duration_s`; deliveries happen between exposures in order."""
        for _ in range(round(duration_s * RATE_HZ)):
            self.frame += 1
            exposure_s = self.frame / RATE_HZ
            self._deliver_until(exposure_s)
            self.advance_to(exposure_s)
            frame, joints = self.expose()
            self.stamps.append(exposure_s)
            self.tips.append(self.tip())
            late_s = self.latency_s + self.jitter_s * abs(self.rng.standard_normal())
            if self.rng.random() >= self.drop_rate:
                last_s = self.due[-1][0] if self.due else 0.0
                self.due.append((max(exposure_s + late_s, last_s), frame, joints))
            self._deliver_until(exposure_s)
        return self

    def _deliver_until(self, time_s):
        while self.due and self.due[0][0] <= time_s + 1e-9:
            arrival_s, frame, joints = self.due.pop(0)
            self.advance_to(arrival_s)
            self.controller.measured(frame.stamp_ns, joints)
            answer = self.controller.answer(frame, round(self.time_s * 1e9))
            self.follow(answer.joints, frame.stamp_ns)

    def follow(self, joints, stamp_ns):
        """Do with the command what a device does."""
        measured, now_s = self.plant.state.joints, self.time_s
        reason = self.guard.rejection(
            self.limits.names, joints, stamp_ns * 1e-9, now_s, measured=measured
        )
        if reason is None:
            self.plant.command(joints)
        else:
            self.plant.hold()
        self.commands.append(joints)


def make_tip(world_from_base, joints):
    return world_from_base[:3, :3] @ NOMINAL.tip(joints) + world_from_base[:3, 3]


def random_targets(rng, count, home_roll=0.0):
    """Return reachable tips in `world`, shape (count, 3): the task's joint ranges."""
    joints = np.column_stack(
        [
            rng.uniform(0.010, 0.050, count),
            home_roll + np.radians(rng.uniform(-45, 45, count)),
            2.5e-3 * np.radians(rng.uniform(-60, 60, count)),
        ]
    )
    return np.array([make_tip(WORLD_FROM_BASE, [i, r, b, -b]) for i, r, b in joints])
