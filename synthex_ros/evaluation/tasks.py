"""Tasks that score the closed loop: what the tip is asked to do, and the limits to pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.geometry import Array, transform_points

DWELL_S = 4.0


@dataclass(frozen=True)
class Goal:
    """A position to reach from a time on.

    Attributes:
        time_s: when the goal becomes active, from the start of the task [s].
        position_world_m: where the tip shall be, shape (3,) [m].
    """

    time_s: float
    position_world_m: Array


@dataclass(frozen=True)
class Task:
    """What the tip is asked to do.

    Attributes:
        name: as the user types it.
        title: one line for people.
        duration_s: simulated length [s].
        targets: positions to reach one after the other.
        path: positions to follow, linearly joined; empty for none.
        timed: the times of the path count; else it is followed at the speed of the controller.
        scenario: settings that the task needs, `section.key` to value.
        limits: greatest values that pass, keyed as in report.json.
    """

    name: str
    title: str
    duration_s: float
    targets: tuple[Goal, ...] = ()
    path: tuple[Goal, ...] = ()
    timed: bool = True
    scenario: dict[str, object] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)


def reachable_targets(
    kinematics: ContinuumKinematics,
    world_from_device_base: Array,
    count: int,
    rng: np.random.Generator,
    min_step_m: float = 0.005,
) -> list[Array]:
    """Return `count` random tip positions in `world` [m] that the device can reach.

    Insertion 10-50 mm, bend within 60 degrees, roll within 45 degrees of home, uniformly;
    neighbours are at least `min_step_m` [m] apart so that each target asks for a motion.
    """
    offset_m = kinematics.parameters.tendon_offset_m
    found: list[Array] = []
    while len(found) < count:
        insertion, roll = rng.uniform(0.010, 0.050), rng.uniform(-np.pi / 4, np.pi / 4)
        pull = rng.uniform(-np.pi / 3, np.pi / 3) * offset_m
        tip = kinematics.tip([insertion, roll, pull, -pull])
        point = transform_points(world_from_device_base, tip)
        if not found or np.linalg.norm(point - found[-1]) >= min_step_m:
            found.append(point)
    return found


def circle(
    centre_m: Array, first: Array, second: Array, radius_m: float, speed_m_s: float, start_s: float
) -> list[Goal]:
    """Return one turn on a circle as goals 50 ms apart.

    Args:
        centre_m: centre in `world` [m], shape (3,).
        first: unit vector from the centre to the start, shape (3,).
        second: unit vector in the circle's plane, across `first`, shape (3,).
        radius_m: radius [m].
        speed_m_s: speed along the circle [m/s].
        start_s: time of the first goal [s].
    """
    turn_s = 2 * np.pi * radius_m / speed_m_s
    times = np.linspace(0, turn_s, max(int(np.ceil(turn_s / 0.05)), 8) + 1)
    angle = 2 * np.pi * times / turn_s
    arms = np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second
    points = centre_m + radius_m * arms
    return [Goal(start_s + float(t), p) for t, p in zip(times, points, strict=True)]


def reach_task(
    kinematics: ContinuumKinematics, world_from_device_base: Array, seed: int, count: int = 20
) -> Task:
    """CM-1: reach `count` random targets, 4 s of simulated time each."""
    rng = np.random.default_rng([seed, 1])
    points = reachable_targets(kinematics, world_from_device_base, count, rng)
    targets = tuple(Goal(1.0 + DWELL_S * k, point) for k, point in enumerate(points))
    return Task(
        name='CM-1',
        title=f'reach {count} random targets in {DWELL_S:g} s each',
        duration_s=1.0 + DWELL_S * count,
        targets=targets,
        limits={'tip_error_median_mm': 1.0, 'tip_error_p95_mm': 2.0},
    )


def _image_circle(
    kinematics: ContinuumKinematics,
    world_from_device_base: Array,
    radius_m: float,
    speed_m_s: float,
    start_s: float,
) -> list[Goal]:
    """Return a circle in the bending plane at home roll, about a slightly bent tip."""
    straight = kinematics.tip([0.030, 0.0, 0.0, 0.0])
    centre = transform_points(world_from_device_base, straight - [0.0, 0.0, radius_m / 4])
    across, along = world_from_device_base[:3, 0], world_from_device_base[:3, 2]
    return circle(centre, along, across, radius_m, speed_m_s, start_s)


def circle_task(kinematics: ContinuumKinematics, world_from_device_base: Array, seed: int) -> Task:
    """CM-2: follow a circle of 10 mm radius at 2 mm/s with 0.1 s of imaging latency."""
    del seed  # the path is the same for every seed; noise and faults are not
    path = _image_circle(kinematics, world_from_device_base, 0.010, 0.002, start_s=4.0)
    return Task(
        name='CM-2',
        title='follow a circle of 10 mm radius at 2 mm/s, 0.1 s latency',
        duration_s=path[-1].time_s + 0.5,
        path=tuple(path),
        scenario={'sim.latency_s': 0.1},
        limits={'path_rms_mm': 0.8},
    )


def demo_task(kinematics: ContinuumKinematics, world_from_device_base: Array, seed: int) -> Task:
    """Reach five targets, then follow a circle of 8 mm radius: what the demo shows."""
    reach = reach_task(kinematics, world_from_device_base, seed, count=5)
    start_s = reach.duration_s + 3.0
    path = _image_circle(kinematics, world_from_device_base, 0.008, 0.003, start_s)
    return Task(
        name='demo',
        title='reach five targets, then follow a circle of 8 mm radius at 3 mm/s',
        duration_s=path[-1].time_s + 0.5,
        targets=reach.targets,
        path=tuple(path),
        scenario={'sim.latency_s': 0.05},
        limits={
            'tip_error_median_mm': 1.0,
            'tip_error_p95_mm': 2.0,
            'path_rms_mm': 0.8,
            'landmark_error_mean_mm': 1.1,
        },
    )


def real_time_task(
    kinematics: ContinuumKinematics, world_from_device_base: Array, seed: int
) -> Task:
    """RT-1: a minute of real time; no frame may be lost and every command has to be fresh."""
    reach = reach_task(kinematics, world_from_device_base, seed, count=15)
    return Task(
        name='RT-1',
        title='reach 15 random targets in a minute of real time',
        duration_s=reach.duration_s,
        targets=reach.targets,
        scenario={'time_mode': 'real_time'},
        limits={
            **reach.limits,
            'frames_lost': 0.0,
            'latency_p50_ms': 50.0,
            'latency_p99_ms': 110.0,
        },
    )


TASKS: dict[str, Callable[..., Task]] = {
    'CM-1': reach_task,
    'CM-2': circle_task,
    'RT-1': real_time_task,
    'demo': demo_task,
}
