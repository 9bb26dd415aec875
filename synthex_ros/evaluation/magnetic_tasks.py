"""Tasks MG-1 to MG-5: magnetic devices in closed loop, many seeds, without ROS.

Every seed draws how the device differs from its model (up to 20 %), the noise of the detector
(0.3 mm at the object), the latency of every frame (0.1 to 0.2 s) and which frames are lost (5 %).
What lies along the rays of the one view is not seen; errors are those across the rays, and the
rest stands beside them as `depth`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from synthex_ros.control.magnetic.guidewire import GuidewireSettings
from synthex_ros.control.magnetic.lumen_path import LumenPath
from synthex_ros.control.magnetic.mouths import MouthWatch
from synthex_ros.control.magnetic.tip_angle import TipAngleGoal
from synthex_ros.control.magnetic.wire_model import WireModel
from synthex_ros.control.reference import TimedPath
from synthex_ros.devices.magnetic.numbers import wire_numbers
from synthex_ros.devices.magnetic.untethered import UntetheredPlant
from synthex_ros.evaluation.magnetic_loop import MagneticLoop
from synthex_ros.evaluation.magnetic_scenes import (
    SwimmerScene,
    arm_scene,
    swimmer_scene,
    vessel_path,
)
from synthex_ros.evaluation.magnetic_scores import SeedResult, TaskResult, Wanted
from synthex_ros.evaluation.wire_scenes import (
    entry_pose,
    tree_path,
    wire_for,
    wire_scene,
)
from synthex_ros.geometry import make_pose

DWELL_S, SCORED_S = 4.0, 0.5
ANGLES = 20
PATH_M, SPEED_M_S, PATH_START_S = 0.024, 3e-3, 5.0
ARM_PATH_M, ARM_SPEED_M_S = 0.012, 0.8e-3
GIVE_UP_S, NEAR_M, ARRIVED_TICKS = 90.0, 5e-3, 50
FLOWS_M_S = {0.0: 0.5, 0.05: 1.0, 0.10: 1.5}


def tip_angles(seed: int) -> list[SeedResult]:
    """MG-1: bend the tip of a free guidewire to 20 angles within 60 degrees."""
    base = make_pose(None, (0.0, 0.0, -0.05))
    settings = GuidewireSettings(force_free=True, lag_s=0.02)
    scene = wire_scene(seed, base, 0.02, coils='octomag_like', settings=settings)
    loop, plant = scene.loop, scene.loop.plant
    model = WireModel(**wire_numbers(scene.known))
    behind_m = scene.known.parked_m + 0.02 - float(model.node_m[-1])
    angles = np.random.default_rng([seed, 11]).permutation(np.linspace(-60, 60, ANGLES))
    off_deg: list[float] = []
    off_mm: list[float] = []
    deep_mm: list[float] = []
    for angle in np.radians(angles):
        side, ahead = model.tip_m(float(angle))
        place = base[:3, 3] + np.array([side, 0.0, behind_m + ahead])
        loop.controller.goals.add(TipAngleGoal([np.sin(angle), 0.0, np.cos(angle)], place))
        loop.run(DWELL_S - SCORED_S)
        seen: list[tuple[float, float, float]] = []
        for _ in range(round(SCORED_S / 0.05)):
            loop.run(0.05)
            pose = plant.tip_pose(base)
            turn = np.arctan2(pose[0, 2], pose[2, 2]) - angle
            miss = (pose[:3, 3] - place) * 1e3
            seen.append((abs(np.degrees(turn)), float(np.hypot(miss[0], miss[2])), abs(miss[1])))
        for kept, column in zip((off_deg, off_mm, deep_mm), np.mean(seen, axis=0), strict=True):
            kept.append(float(column))
    values = {
        'angle_deg': float(np.percentile(off_deg, 95)),
        'position_mm': float(np.percentile(off_mm, 95)),
        'angle_median_deg': float(np.median(off_deg)),
        'position_median_mm': float(np.median(off_mm)),
        'depth_mm': float(np.percentile(deep_mm, 95)),
    }
    return [_result(seed, 'guidewire', values, loop, {'angle_deg': 2.0, 'position_mm': 0.5})]


def vessel_targets(seed: int) -> list[SeedResult]:
    """MG-2: steer to one of 20 targets in the chest CT and in procedural trees."""
    number = seed % 20
    vessels, path = tree_path(number)
    base = entry_pose(path, 0.0)
    known = wire_for(path)
    scene = wire_scene(seed, base, 0.002, lumen=vessels.lumen, follows=True, known=known)
    loop, goal = scene.loop, LumenPath(path, lumen=vessels.lumen)
    goal.locate(loop.tip_m())
    start_m = goal.arc_m or 0.0
    loop.controller.goals.add(goal)
    since = 0

    def there() -> bool:
        nonlocal since
        since = since + 1 if goal.arrived else 0
        return since >= ARRIVED_TICKS

    loop.run(GIVE_UP_S, stop=there)
    tips = np.array(loop.log.tip_m)[::10]
    way = float(np.linalg.norm(np.diff(tips, axis=0), axis=1).sum())
    end_m = float(np.linalg.norm(loop.tip_m() - path.points_m[-1]))
    reached = end_m <= NEAR_M
    # in a wide vessel the wire lies at the wall: the cross-section of the target stands beside
    arc_m, _ = path.nearest(loop.tip_m())
    abreast = path.length_m - arc_m <= NEAR_M and MouthWatch(path).inside(arc_m, loop.tip_m())
    covered = (
        1.0 if reached else (path.nearest(loop.tip_m())[0] - start_m) / (path.length_m - start_m)
    )
    values = {
        'success': float(reached),
        'cross_section': float(abreast),
        'end_error_mm': 1e3 * end_m,
        'path_ratio': covered,
        'way_over_path': way / (path.length_m - start_m),
        'wall_p95_n': float(np.percentile(loop.log.wall_n, 95)),
        'wall_max_n': float(np.max(loop.log.wall_n)),
        'time_s': loop.time_s,
    }
    limits = {'wall_p95_n': 0.3, 'wall_max_n': 0.7}
    case = f'{"chest" if number < 5 else "tree"} {number}'
    failures = () if reached else (f'not reached in {loop.time_s:.0f} s',)
    return [_result(seed, case, values, loop, limits, failures)]


def flow_paths(seed: int) -> list[SeedResult]:
    """MG-3: soft robot and droplet along a path against pulsatile flow."""
    return [
        _follow(seed, f'{device} {100 * flow:g} cm/s', swimmer_scene(device, seed, flow), limit)
        for device in ('soft_robot', 'droplet')
        for flow, limit in FLOWS_M_S.items()
    ]


def lost_coil(seed: int) -> list[SeedResult]:
    """MG-4: gains of all coils off by up to 20 %, one coil lost on the way."""
    results = []
    for device in ('soft_robot', 'droplet'):
        nominal = _follow(seed, device, swimmer_scene(device, seed), 9.0)
        scene = swimmer_scene(device, seed)
        rng = np.random.default_rng([seed, 4])
        scene.coils.field_gains = rng.uniform(0.8, 1.2, len(scene.coils.coils.names))
        watch = LimitWatch(scene, str(rng.choice(scene.coils.coils.names)), PATH_START_S + 1.0)
        scene.loop.on_tick = watch
        faulty = _follow(seed, device, scene, 9.0)
        values = {
            'error_over_nominal': faulty.values['rms_mm'] / nominal.values['rms_mm'],
            'rms_mm': faulty.values['rms_mm'],
            'nominal_rms_mm': nominal.values['rms_mm'],
            'breaches': float(watch.breaches),
            'detected_s': watch.detected_s,
        }
        limits = {'error_over_nominal': 2.0, 'breaches': 0.0}
        results.append(_result(seed, device, values, scene.loop, limits))
    return results


class LimitWatch:
    """Loses a coil at a time, and counts ticks in which a limit of the coils is broken.

    Attributes:
        breaches: ticks with a current, power, temperature, field or gradient above its limit.
        detected_s: time from the loss to the watch of the drivers naming the coil [s].
    """

    def __init__(self, scene: SwimmerScene, coil: str, at_s: float) -> None:
        self._coils, self._coil, self._at_s = scene.coils, coil, at_s
        self.breaches, self.detected_s = 0, float('inf')
        self._lost = False

    def __call__(self, loop: MagneticLoop) -> None:
        """Look at one tick."""
        if not self._lost and loop.time_s >= self._at_s:
            self._coils.fail(self._coil)
            self._lost = True
        if self._lost and self._coil in getattr(loop.drive, 'lost', ()):
            self.detected_s = min(self.detected_s, loop.time_s - self._at_s)
        limits, currents = self._coils.limits, self._coils.currents_a
        field, gradient = self._coils.field_and_gradient(loop.tip_m()[None])
        self.breaches += bool(
            np.any(np.abs(currents) > limits.current_max_a * 1.001)
            or limits.power_w(currents) > limits.power_max_w * 1.001
            or np.any(self._coils.state.temperatures_c > limits.temperature_max_c)
            or np.linalg.norm(field) > limits.field_max_t * 1.001
            or np.abs(gradient).max() > limits.gradient_max_t_m * 1.001
        )


def arm_path(seed: int) -> list[SeedResult]:
    """MG-5: a magnet on an arm rolls a soft robot along a path."""
    scene = arm_scene(seed)
    found = _follow(
        seed, 'soft_robot arm', scene, 0.7, length_m=ARM_PATH_M, speed_m_s=ARM_SPEED_M_S
    )
    return [found]


def _follow(
    seed: int,
    case: str,
    scene: SwimmerScene,
    limit_mm: float,
    length_m: float = PATH_M,
    speed_m_s: float = SPEED_M_S,
) -> SeedResult:
    """Follow a path through the bent vessel and return the error on it."""
    loop = scene.loop
    plant = loop.plant
    if not isinstance(plant, UntetheredPlant):
        raise TypeError(f'a path in flow is for a device without tether, got {type(plant)}')
    points = vessel_path(scene.lumen, plant.radius_m, length_m)
    plant.place(make_pose(None, points[0] - scene.lumen.axis_m(0.0)))
    arc = np.linspace(0, length_m, len(points))
    times_s = PATH_START_S + arc / speed_m_s
    path = TimedPath(np.round(times_s * 1e9), points)
    loop.controller.goals.add(path)
    loop.run(float(times_s[-1]))
    stamps = np.array(loop.log.time_s)
    wanted = np.array([path.at(round(t * 1e9), points[0])[0] for t in stamps])
    miss = (np.array(loop.log.tip_m) - wanted)[stamps >= PATH_START_S] * 1e3
    across = np.hypot(miss[:, 0], miss[:, 2])
    values = {
        'rms_mm': float(np.sqrt(np.mean(across**2))),
        'largest_mm': float(across.max()),
        'depth_rms_mm': float(np.sqrt(np.mean(miss[:, 1] ** 2))),
    }
    limits = {'rms_mm': limit_mm}
    if scene.clearance_m:
        values['clearance_mm'] = 1e3 * min(scene.clearance_m)
    failures = ('distance limit broken',) if values.get('clearance_mm', 1.0) < 0 else ()
    return _result(seed, case, values, loop, limits, failures)


def _result(
    seed: int,
    case: str,
    values: dict[str, float],
    loop: MagneticLoop,
    limits: dict[str, float],
    failures: tuple[str, ...] = (),
) -> SeedResult:
    missed = tuple(
        f'{key} {values[key]:.3g}, limit {limit:g}'
        for key, limit in limits.items()
        if not values[key] <= limit
    )
    answers_ms = tuple(1e3 * seconds for seconds in loop.log.answer_s)
    return SeedResult(seed, case, values, failures + missed, answers_ms)


@dataclass(frozen=True)
class MagneticTask:
    """A task: what one seed does, and what is wanted of all.

    Attributes:
        run: makes the results of a seed.
        title: one line for people.
        wanted: limits over all seeds.
    """

    run: Callable[[int], list[SeedResult]]
    title: str
    wanted: tuple[Wanted, ...]


_ROBOT = 'millirobot 0.49 mm static, < 2 mm at 10 cm/s, camera (arXiv 2604.01523)'
_CATHETER = 'catheter tip 3.3 mm open, 0.33 mm closed loop (10.3390/robotics12010011)'
_RL = 'RL guidewire 58 % in simulation (arXiv 2604.20151)'
_RL_FORCE = 'RL agents 0.15 N on average (arXiv 2604.20151)'
_MAGNET = 'permanent magnet: RMSE 2.1 mm, camera (PMC12876258)'
_DROP = 'droplet <= 0.3 mm without flow, camera (10.1063/5.0076653)'

MAGNETIC_TASKS: dict[str, MagneticTask] = {
    'MG-1': MagneticTask(
        tip_angles,
        'guidewire: 20 tip angles within 60 degrees; 95th percentile of each seed',
        (
            Wanted('angle_deg', 2.0, peer=_CATHETER),
            Wanted('position_mm', 0.5),
        ),
    ),
    'MG-2': MagneticTask(
        vessel_targets,
        'guidewire: 20 targets in the chest CT and procedural trees',
        (
            Wanted('success', 0.95, 'mean', True, peer=_RL),
            Wanted('path_ratio', 0.8, 'mean', True),
            Wanted('wall_p95_n', 0.3, 'max', peer=_RL_FORCE),
            Wanted('wall_max_n', 0.7, 'max'),
        ),
    ),
    'MG-3': MagneticTask(
        flow_paths,
        'soft robot and droplet on a path against flow of 0, 5 and 10 cm/s',
        tuple(
            Wanted('rms_mm', limit, case=f'{device} {100 * flow:g} cm/s', peer=peer)
            for device, peer in (('soft_robot', _ROBOT), ('droplet', _DROP))
            for flow, limit in FLOWS_M_S.items()
        ),
    ),
    'MG-4': MagneticTask(
        lost_coil,
        'coil gains off by up to 20 % and one coil lost on the way',
        (
            Wanted('breaches', 0.0, 'max'),
            Wanted('error_over_nominal', 2.0),
        ),
    ),
    'MG-5': MagneticTask(
        arm_path,
        'soft robot on a path, rolled by a magnet on an arm',
        (
            Wanted('rms_mm', 0.7, peer=_MAGNET),
            Wanted('clearance_mm', 0.0, 'min', True),
        ),
    ),
}  # fmt: skip


def run_magnetic_task(
    name: str,
    seeds: int,
    processes: int | None = None,
    advance: Callable[[], None] = lambda: None,
) -> TaskResult:
    """Run a task for seeds 0, 1, 2, ... in processes of low priority.

    Args:
        name: key of `MAGNETIC_TASKS`.
        seeds: how many.
        processes: how many at a time; as many as there are cores by default.
        advance: called after every seed.

    Raises:
        ValueError: no such task, or no seed.
    """
    if name not in MAGNETIC_TASKS:
        raise ValueError(f'task must be one of {", ".join(MAGNETIC_TASKS)}, got {name!r}')
    if seeds < 1:
        raise ValueError(f'seeds must be at least 1, got {seeds}')
    task, results = MAGNETIC_TASKS[name], []
    with ProcessPoolExecutor(processes, get_context('spawn'), os.nice, (10,)) as pool:
        for found in pool.map(task.run, range(seeds)):
            results += found
            advance()
    return TaskResult(name, task.title, tuple(results), task.wanted)
