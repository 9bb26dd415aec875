"""Time and accuracy of magnetic fields and their allocation, beside magpylib in the same run.

    python benchmark/magnetic_allocation.py [calls]

Times are of one call at one point, median and 99th centile [ms]. Accuracy is the largest
difference of the field, over its length, at 300 points from 1.2 to 8 radii away. The last line is
the share of a 100 Hz period that sensors, watch, slew and allocation take together; 5 ms are
allowed.
"""

import gc
import sys
import time

import magpylib
import numpy as np
from rich.console import Console
from rich.table import Table

from synthex_ros.control.magnetic.allocation import CoilAllocator
from synthex_ros.control.magnetic.allocation_slew import FieldSlew
from synthex_ros.control.magnetic.arm_allocation import ArmAllocator
from synthex_ros.control.magnetic.coil_watch import CoilWatch
from synthex_ros.devices.magnetic.arm_kinematics import ArmKinematics
from synthex_ros.devices.magnetic.coil_plant import CoilPlant
from synthex_ros.devices.magnetic.coils import CoilArray
from synthex_ros.devices.magnetic.cylinder import CylinderMagnet, CylinderShape
from synthex_ros.devices.magnetic.dipole import Dipole
from synthex_ros.devices.magnetic.magnet_arm import HOME_RAD, MagnetArm

LIMIT_MS = 5.0
SHAPE = CylinderShape()
DEVICE_M = np.array([0.0, 0.0, 0.05])


def times_ms(call, count):
    """Return median, 99th centile and that of the processor alone [ms], of `count` calls.

    `call` gets its number. Processor time leaves out what other programs took of a shared core.
    """
    for n in range(20):
        call(n)
    gc.collect()
    spent, worked = np.empty(count), np.empty(count)
    for n in range(count):
        start, begun = time.perf_counter(), time.thread_time()
        call(n)
        worked[n] = time.thread_time() - begun
        spent[n] = time.perf_counter() - start
    return *np.percentile(1e3 * spent, (50, 99)), np.percentile(1e3 * worked, 99)


def wishes(count, seed=0):
    """Return fields [T], shape (count, 3), and gradients [T/m], shape (count, 5)."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.03, 0.03, (count, 3)), rng.uniform(-0.6, 0.6, (count, 5))


def field_rows(count):
    """Yield name and times of field and gradient at a point."""
    rng, point = np.random.default_rng(0), DEVICE_M[None]
    eight = Dipole(rng.uniform(0.1, 0.2, (8, 3)), rng.standard_normal((8, 3)))
    magnet = CylinderMagnet(SHAPE, [0, 0, 0.2], [1, 0, 0])
    coils = CoilArray.from_calibration('octomag_like')
    yield (
        '8 dipoles, field and gradient',
        times_ms(lambda n: eight.field_and_gradient(point), count),
    )
    yield (
        'cylinder, field and gradient',
        times_ms(lambda n: magnet.field_and_gradient(point), count),
    )
    yield '8 coils, 8 x 8 matrix', times_ms(lambda n: coils.unit_matrix([0, 0, 0]), count)
    peers = [
        magpylib.misc.Dipole(position=p, moment=m)
        for p, m in zip(eight.positions_m, eight.moments_a_m2, strict=True)
    ]
    few = max(count // 20, 20)
    yield (
        'magpylib: 8 dipoles, field only',
        times_ms(lambda n: magpylib.getB(peers, point, sumup=True), few),
    )
    peer = magpylib.magnet.Cylinder(
        polarization=(0, 0, SHAPE.remanence_t), dimension=(SHAPE.diameter_m, SHAPE.length_m)
    )
    yield 'magpylib: cylinder, field only', times_ms(lambda n: peer.getB(point), few)


def allocation_rows(count):
    """Yield name and times of allocation."""
    fields, gradients = wishes(count + 20)
    for name in ('octomag_like', 'cardiomag_like', 'navion_like'):
        planner = CoilAllocator(CoilArray.from_calibration(name))
        currents = np.zeros(len(planner.coils.names))
        yield (
            f'{name}: field and gradient to currents',
            times_ms(
                lambda n, planner=planner, currents=currents: planner.allocate(
                    [0, 0, 0], fields[n], gradient_t_m=gradients[n],
                    present_a=currents, duration_s=0.01,
                ),
                count,
            ),
        )  # fmt: skip
    tight = CoilArray.from_calibration('octomag_like')
    object.__setattr__(tight.limits, 'power_max_w', 50.0)
    limited = CoilAllocator(tight)
    yield (
        'octomag_like: power limit active',
        times_ms(
            lambda n: limited.allocate([0, 0, 0], fields[n], gradient_t_m=gradients[n]), count
        ),
    )
    arm = ArmAllocator(ArmKinematics())
    joints = arm.plan(DEVICE_M, [5e-3, 0, 0], HOME_RAD).joints

    def follow(n):
        nonlocal joints
        angle = 0.5 * np.sin(0.01 * n)
        wanted = 5e-3 * np.array([np.cos(angle), np.sin(angle), 0])
        joints = arm.follow(DEVICE_M, wanted, joints, 0.01).joints

    yield 'arm: field to joints, following', times_ms(follow, count)
    yield (
        'arm: field to joints, planning',
        times_ms(lambda n: arm.plan(DEVICE_M, fields[n] / 5, HOME_RAD), max(count // 100, 20)),
    )


def tick(count):
    """Return times of a whole control tick with coils: sensors, watch, slew, allocation."""
    plant = CoilPlant(CoilArray.from_calibration('octomag_like'))
    watch = CoilWatch(plant.coils, plant.coils.calibration.sensors_m)
    planner, slew = CoilAllocator(plant.coils), FieldSlew(3.0, 0.5)
    fields, _ = wishes(count + 20)
    moment = np.array([5e-4, 0, 0])
    last = np.zeros(8)

    def run(n):
        nonlocal last
        report = watch.update(plant.currents_a, plant.measured_field_t())
        result = planner.allocate(
            [0.002, 0, 0],
            slew.step(fields[n // 10], 0.01),
            force_n=[1e-4, 0, 5e-5],
            moment_a_m2=moment,
            present_a=last,
            duration_s=0.01,
            temperatures_c=plant.state.temperatures_c,
            lost=report.failed,
        )
        last = plant.command(result.currents_a)

    return times_ms(run, count)


def real_time_rows():
    """Yield name and simulated time over time spent, of the plants."""
    coils, arm = CoilPlant(CoilArray.from_calibration('octomag_like')), MagnetArm()
    arm.command(np.array(HOME_RAD) + 0.1)
    for name, plant, point in (('coils', coils, [[0.0, 0, 0]]), ('arm', arm, [DEVICE_M])):
        plant.step(0.1)
        start = time.perf_counter()
        for _ in range(300):
            plant.step(0.01)
            plant.field_and_gradient(point)
        yield f'{name}, with the field every 10 ms', 3.0 / (time.perf_counter() - start)


def accuracy_rows():
    """Yield name and largest relative difference to magpylib."""
    rng = np.random.default_rng(1)
    around = rng.standard_normal((300, 3))
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    reach = SHAPE.bounding_radius_m
    points = around * rng.uniform(1.2 * reach, 8 * reach, (300, 1))
    peer = magpylib.magnet.Cylinder(
        polarization=(0, 0, SHAPE.remanence_t), dimension=(SHAPE.diameter_m, SHAPE.length_m)
    )
    truth = peer.getB(points)
    size = np.linalg.norm(truth, axis=1)
    magnet = CylinderMagnet(SHAPE, [0, 0, 0], [0, 0, 1])
    yield 'cylinder', np.max(np.linalg.norm(magnet.field_t(points) - truth, axis=1) / size)
    moment = SHAPE.moment_a_m2 * np.array([0.0, 0, 1])
    dipole = Dipole([0, 0, 0], moment)
    other = magpylib.misc.Dipole(moment=moment).getB(points)
    off = np.linalg.norm(dipole.field_t(points) - other, axis=1)
    yield 'dipole', np.max(off / np.linalg.norm(other, axis=1))
    far = np.linalg.norm(points, axis=1) > 2 * SHAPE.diameter_m
    off = np.linalg.norm(dipole.field_t(points) - truth, axis=1) / size
    yield 'dipole for this cylinder, beyond two diameters', np.max(off[far])


def main() -> int:
    """Print times and accuracies; return 0 if a control tick's 99th centile is within 5 ms."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    table = Table(title='Time of one call [ms]')
    for column in ('what', 'p50', 'p99', 'p99 processor'):
        table.add_column(column, justify='left' if column == 'what' else 'right')
    for rows in (field_rows, allocation_rows):
        for name, times in rows(count):
            table.add_row(name, *(f'{value:.4f}' for value in times))
    whole = tick(count)
    cells = (f'{value:.4f}' for value in whole)
    table.add_row('control tick: sensors, watch, slew, allocation', *cells)
    console = Console(width=99)
    console.print(table)
    for name, ratio in real_time_rows():
        print(f'simulated over real time, {name}: {ratio:.0f}')
    for name, error in accuracy_rows():
        print(f'largest relative difference to magpylib, {name}: {error:.1e}')
    print(f'control tick at 100 Hz: p99 {whole[1]:.2f} ms, allowed {LIMIT_MS:g} ms')
    return int(whole[1] > LIMIT_MS)


if __name__ == '__main__':
    sys.exit(main())
