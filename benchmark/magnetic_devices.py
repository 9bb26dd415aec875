"""Step of each magnetic device with its field, on one core: how many times real time.

    python benchmark/magnetic_devices.py [--seconds 3] [--chain]

Every device moves in a vessel with pulsatile flow, in the field of eight coils that is asked for
anew in each of its steps. The guidewire is fed at 20 mm/s through a bend with the wall in contact;
`--chain` adds the same wire as a MuJoCo chain of ball joints in open space, without wall, in an
even field. The processor time of this process is counted, so a busy machine matters little.
"""

import argparse
import math
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from synthex_ros.anatomy.vessels.lumen import SampledLumen, TubeLumen
from synthex_ros.devices.magnetic.coils import CoilArray
from synthex_ros.devices.magnetic.environment import Environment
from synthex_ros.devices.magnetic.even_field import EvenField
from synthex_ros.devices.magnetic.field_source import FieldSource
from synthex_ros.devices.magnetic.flow import Pulse, VesselFlow
from synthex_ros.devices.magnetic.guidewire_parameters import GuidewireParameters
from synthex_ros.devices.magnetic.rod import Rod
from synthex_ros.devices.magnetic.rod_chain import RodChain
from synthex_ros.devices.registry import build_device

TICK_S = 0.01
BEND_M, RADIUS_M, LEAD_M = 0.06, 0.006, 0.04
START_M = 0.20
ROBOTS = ('soft_robot', 'droplet', 'sphere')
WANTED = 5.0


class CoilField:
    """Field of a coil system with set currents, its workspace moved to a point of the vessel."""

    def __init__(self, centre_m: np.ndarray) -> None:
        self._coils = CoilArray.from_calibration('octomag_like')
        self.currents_a = np.zeros(8)
        self._centre_m = centre_m

    def field_t(self, points_m: np.ndarray) -> np.ndarray:
        """Return the field [T], shape (N, 3)."""
        return self.field_and_gradient(points_m)[0]

    def field_and_gradient(self, points_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return field [T], shape (N, 3), and gradient [T/m], shape (N, 5)."""
        near = np.clip(points_m - self._centre_m, -0.02, 0.02)
        return self._coils.energized(self.currents_a).field_and_gradient(near)


def bend() -> TubeLumen:
    """Return a tube that bends by 180 degrees."""
    towards = np.array([1.0, 0.0, 0.0])
    start, along = np.array([0.0, 0.0, LEAD_M]), np.array([0.0, 0.0, 1.0])
    return TubeLumen(RADIUS_M, start, along, BEND_M, math.pi, towards)


def sampled(tube: TubeLumen, spacing_m: float = 0.8e-3) -> SampledLumen:
    """Return the tube as a grid of distances, as vessels of a CT are."""
    low, high = np.array([-0.02, -0.02, -0.02]), np.array([0.14, 0.02, 0.12])
    counts = np.ceil((high - low) / spacing_m).astype(int)
    axes = [low[k] + spacing_m * np.arange(counts[k]) for k in range(3)]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing='ij')
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    distance = tube.signed_distance_m(points)[0].reshape(z.shape)
    return SampledLumen(distance.astype(np.float32), low, np.full(3, spacing_m), np.eye(3))


def scene() -> Environment:
    """Return vessel and flow of all devices."""
    tube = bend()
    line = tube.axis_m(np.linspace(-LEAD_M, math.pi * BEND_M + 0.05, 120))
    flow = VesselFlow(line, RADIUS_M, 0.05, pulse=Pulse())
    return Environment(sampled(tube), flow)


def processor_s(call) -> float:
    """Return the processor time of a call [s]."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


def driven(device, source, seconds: float) -> tuple[float, float, float]:
    """Return real-time factor, longest and mean time of a tick of 10 ms [ms] of a device."""
    times = []
    for tick in range(round(seconds / TICK_S)):
        angle = 2 * math.pi * 2 * TICK_S * tick
        source.currents_a = 3 * np.cos(angle + np.arange(8))
        if device.limits.names:
            device.command([0.02 * TICK_S * (tick + 1) + START_M, 0.0])
        times.append(processor_s(lambda: device.step(TICK_S)))
    return seconds / sum(times), 1e3 * max(times), 1e3 * sum(times) / len(times)


def measure(seconds: float) -> list[tuple[str, float, float, float]]:
    """Return name, real-time factor, longest and mean tick [ms] of each device."""
    rows = []
    environment = scene()
    source = CoilField(np.array([0.06, 0.0, 0.1]))
    wire = build_device('guidewire', environment=environment)
    wire.reset([START_M, 0.0])
    wire.set_source(source)
    wire.step(0.1)
    nodes = len(wire.state.nodes_base_m)
    rows.append((f'guidewire, {nodes} nodes, wall', *driven(wire, source, seconds)))
    for name in ROBOTS:
        robot = build_device(name, environment=scene())
        robot.set_source(source)
        robot.step(0.1)
        rows.append((name.replace('_', ' '), *driven(robot, source, seconds)))
    return rows


def chain_rows(seconds: float) -> list[tuple[str, float, float, float]]:
    """Return the same for rod and chain in open space, at three lengths."""
    parameters, field = GuidewireParameters(), np.array([0.02, 0.0, 0.0])
    even: FieldSource = EvenField(field)
    around = Environment(source=even)
    rows = []
    for length in (0.05, 0.15, 0.30):
        rod = Rod(parameters.table(), parameters.surroundings, length)
        chain = RodChain(parameters.table(), length)
        rod.step(5e-3, field_at=around.field)
        chain.step(1e-3, field)
        calls = {
            'own rod': lambda rod=rod: [rod.step(5e-3, field_at=around.field) for _ in range(2)],
            'MuJoCo chain': lambda chain=chain: chain.step(TICK_S, field),
        }
        for name, call in calls.items():
            times = [processor_s(call) for _ in range(round(seconds / TICK_S))]
            label = f'{name}, {1e3 * length:.0f} mm, open space'
            factor = seconds / sum(times)
            rows.append((label, factor, 1e3 * max(times), 1e3 * sum(times) / len(times)))
        gap_mm = 1e3 * float(np.linalg.norm(rod.nodes_m[0] - chain.nodes_m[0]))
        rows[-1] = (f'{rows[-1][0]} (tips {gap_mm:.2f} mm apart)', *rows[-1][1:])
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=float, default=3.0, help='simulated time a device [s]')
    parser.add_argument('--chain', action='store_true', help='add the chain of rigid pieces')
    arguments = parser.parse_args()
    table = Table(title='Device and field, one core')
    for heading in ('device', 'x real time', 'mean tick [ms]', 'longest [ms]', 'wanted'):
        table.add_column(heading, justify='left' if heading == 'device' else 'right')
    rows = measure(arguments.seconds)
    if arguments.chain:
        rows += chain_rows(arguments.seconds)
    for name, factor, longest, mean in rows:
        table.add_row(name, f'{factor:.1f}', f'{mean:.2f}', f'{longest:.2f}', f'{WANTED:g}')
    Console(width=110).print(table)


if __name__ == '__main__':
    main()
