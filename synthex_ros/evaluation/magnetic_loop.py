"""The closed loop of a magnetic device without ROS: device, drive, imager, controller in time.

The imager shows the past: every frame has its exposure as stamp, arrives 0.1 to 0.2 s later, and
one in twenty not at all. The detector's noise is given at the object; along the ray the tracker
knows the place only roughly, with a constant error beside the noise, as from the vessel's middle.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from synthex_ros.control.frame import TrackedFrame
from synthex_ros.control.magnetic.controller import MagneticAnswer, MagneticController
from synthex_ros.devices.magnetic.contract import MagneticDevice
from synthex_ros.devices.magnetic.placed_source import PlacedSource
from synthex_ros.geometry import CArm, View
from synthex_ros.simulation.field_drive import FieldDrive, Wish

Array = NDArray[np.float64]

TICK_S = 0.01


@dataclass(frozen=True)
class ImagerModel:
    """What lies between device and controller.

    Attributes:
        rate_hz: frames a second [Hz].
        latency_s: shortest and longest time from exposure to the tracker's answer [s].
        drop_rate: part of the frames that are lost.
        noise_m: standard deviation of a landmark across the ray, at the object [m].
        depth_noise_m: of the depth, frame by frame [m].
        depth_bias_m: of the depth's constant error, drawn once [m].
    """

    rate_hz: float = 15.0
    latency_s: tuple[float, float] = (0.1, 0.2)
    drop_rate: float = 0.05
    noise_m: float = 0.3e-3
    depth_noise_m: float = 1.0e-3
    depth_bias_m: float = 1.0e-3


class Imager:
    """Makes frames of true landmarks, late and with errors that follow from a seed.

    Args:
        model: rate, delay and errors.
        seed: of every error.

    Attributes:
        view: geometry and pose of all exposures.
    """

    def __init__(self, model: ImagerModel, seed: int) -> None:
        self.model, self.view = model, CArm().view()
        self._rng = np.random.default_rng([seed, 77])
        self._bias_m = float(self._rng.normal(0, model.depth_bias_m))
        self._due: list[tuple[float, TrackedFrame, Array]] = []
        self._last_s = 0.0

    def expose(
        self, time_s: float, landmarks_m: Array, joints: Array, line_m: Array | None = None
    ) -> None:
        """Take a frame of landmarks and centre line, from the back to the tip, (K, 3) [m]."""
        model, rng = self.model, self._rng
        shown = [self._shown(point) for point in landmarks_m]
        line = None if line_m is None else np.array([self._shown(point) for point in line_m])
        late_s = rng.uniform(*model.latency_s)
        if rng.random() < model.drop_rate:
            return
        frame = self._frame(time_s, np.array(shown), line)
        self._last_s = max(self._last_s, time_s + late_s)
        self._due.append((self._last_s, frame, np.array(joints)))

    def arrived(self, time_s: float) -> list[tuple[TrackedFrame, Array]]:
        """Return the frames that have arrived by now, with the joints at their exposure."""
        ready = [entry for entry in self._due if entry[0] <= time_s + 1e-9]
        self._due = self._due[len(ready) :]
        return [(frame, joints) for _, frame, joints in ready]

    def _shown(self, point_m: Array) -> Array:
        model, rng = self.model, self._rng
        across = self.view.world_from_source[:3, :2] @ rng.normal(0, model.noise_m, 2)
        ray = point_m - self.view.world_from_source[:3, 3]
        deep = self._bias_m + rng.normal(0, model.depth_noise_m)
        return point_m + across + deep * ray / np.linalg.norm(ray)

    def _frame(self, time_s: float, shown_m: Array, line_m: Array | None) -> TrackedFrame:
        model, view, tip = self.model, self.view, shown_m[-1]
        deep = np.hypot(model.depth_noise_m, model.depth_bias_m)
        spread = np.diag([model.noise_m, model.noise_m, deep]) ** 2
        turn = view.world_from_source[:3, :3]
        return TrackedFrame(
            round(time_s * 1e9),
            view=view,
            tip_px=view.project(tip),
            score=0.95,
            tip_world_m=tip,
            covariance_m2=turn @ spread @ turn.T,
            shape_world_m=shown_m if len(shown_m) > 1 else None,
            line_world_m=line_m,
        )


@dataclass
class LoopLog:
    """What happened, a row a tick.

    Attributes:
        time_s: at the end of the tick [s].
        tip_m: true tip, or centre of a device without tether, in `world` [m].
        wall_n: largest force on the wall in the tick [N].
        insertion_m: insertion, 0 without joints [m].
        answer_s: processor time of every answer of controller and allocation [s].
        holds: answers that held the device, by kind.
    """

    time_s: list[float] = field(default_factory=list)
    tip_m: list[Array] = field(default_factory=list)
    wall_n: list[float] = field(default_factory=list)
    insertion_m: list[float] = field(default_factory=list)
    answer_s: list[float] = field(default_factory=list)
    holds: dict[str, int] = field(default_factory=dict)


class MagneticLoop:
    """Runs a device, its drive, an imager and a controller.

    Args:
        plant: the device, in `world`.
        drive: what makes the field.
        controller: the controller.
        imager: makes the frames.
        landmarks: gives the landmarks of the plant in `world`, the tip last, shape (K, 3) [m].
        on_tick: called after every tick with the loop.
        line: gives the end of its centre line likewise, where the tracker is to show it.
        parts: steps of drive and plant, in turn, in a tick: a field that turns must not jump.

    Attributes:
        log: what happened.
        answer: newest answer of the controller.
        on_tick: called after every tick with the loop.
    """

    def __init__(
        self,
        plant: MagneticDevice,
        drive: FieldDrive,
        controller: MagneticController,
        imager: Imager,
        landmarks: Callable[[], Array],
        on_tick: Callable[[MagneticLoop], None] | None = None,
        parts: int = 1,
        line: Callable[[], Array] | None = None,
    ) -> None:
        self.plant, self.drive, self.controller = plant, drive, controller
        self.imager, self._landmarks, self.on_tick = imager, landmarks, on_tick
        self.log, self.answer = LoopLog(), MagneticAnswer(np.zeros(3), None, None, True)
        plant.set_source(drive.source)
        self._line = line
        self._parts, self._ticks, self._exposures = parts, 0, 0
        self._point = self._landmarks()[-1]

    @property
    def time_s(self) -> float:
        """Simulated time [s]."""
        return self._ticks * TICK_S

    def tip_m(self) -> Array:
        """Return the true tip, or centre of a device without tether, shape (3,) [m]."""
        return self._landmarks()[-1]

    def run(self, duration_s: float, stop: Callable[[], bool] | None = None) -> MagneticLoop:
        """Run for `duration_s` [s], or until `stop` says so."""
        for _ in range(round(duration_s / TICK_S)):
            self._expose()
            self._answer()
            for _ in range(self._parts):
                self.drive.step(TICK_S / self._parts)
                self.plant.step(TICK_S / self._parts)
            self._ticks += 1
            self._note()
            if self.on_tick is not None:
                self.on_tick(self)
            if stop is not None and stop():
                break
        return self

    def use(self, drive: FieldDrive) -> None:
        """Take another drive before the start."""
        self.drive = drive
        self.plant.set_source(drive.source)

    def move_room(self, shift_m: Array) -> None:
        """Move image and field source against the patient by `shift_m`, (3,) [m]: the table."""
        self.imager.view = _shifted(self.imager.view, shift_m)
        source = self.drive.source
        pose = source.world_from_source.copy()
        pose[:3, 3] += shift_m
        self.drive.source = PlacedSource(source.source, pose)
        self.plant.set_source(self.drive.source)

    def _expose(self) -> None:
        if self.time_s + 1e-9 < (self._exposures + 1) / self.imager.model.rate_hz:
            return
        self._exposures += 1
        line = None if self._line is None else self._line()
        self.imager.expose(self.time_s, self._landmarks(), self.plant.state.joints, line)

    def _answer(self) -> None:
        arrived, now_ns = self.imager.arrived(self.time_s), round(self.time_s * 1e9)
        made_t = self.drive.modelled_field_t(self._point)
        begin = time.thread_time()
        self.controller.made(now_ns, made_t)
        answer = None if arrived else self.controller.tick(now_ns)
        for index, (frame, joints) in enumerate(arrived, 1):
            self._point = np.asarray(frame.tip_world_m)
            if len(joints):
                self.controller.measured(frame.stamp_ns, joints)
            self.controller.pressed(self.plant.wall_force_n)
            newest = index == len(arrived)
            take = self.controller.answer if newest else self.controller.learn
            answer = take(frame, now_ns)
            if answer is not None and answer.held:
                self.log.holds[answer.kind] = self.log.holds.get(answer.kind, 0) + 1
        if answer is None:
            return
        self.answer = answer
        point = self._point if answer.held else self.controller.law.tip_world_m()
        self.drive.want(Wish(answer.field_t, point, answer.force_n))
        if answer.joints is not None:
            self.plant.command(answer.joints)
        self.log.answer_s.append(time.thread_time() - begin)

    def _note(self) -> None:
        log = self.log
        log.time_s.append(self.time_s)
        log.tip_m.append(self._landmarks()[-1])
        log.wall_n.append(self.plant.wall_force_n)
        joints = self.plant.state.joints
        log.insertion_m.append(float(joints[0]) if len(joints) else 0.0)


def _shifted(view: View, shift_m: Array) -> View:
    pose = view.world_from_source.copy()
    pose[:3, 3] += shift_m
    return replace(view, world_from_source=pose)
