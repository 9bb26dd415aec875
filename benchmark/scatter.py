"""Scatter-to-primary ratios of water slabs: the kernels of the renderer beside a Monte Carlo.

    python benchmark/scatter.py [--histories 1e7] [--tube-voltage-kv 80] [--json FILE]

Slabs of 10 to 30 cm, three square fields (side on the detector), two air gaps, focal spot to
detector 102 cm, no anti-scatter grid; mean over 4 cm x 4 cm at the centre of the field. The Monte
Carlo follows a cone beam of the whole spectrum; the kernels were fitted to pencil beams of single
energies by the same code, so its physics is checked apart from them, first thing: energy left in a
20 cm thick body by a cone beam of 56.4 keV, against the mean of the codes compared by AAPM task
group 195 (Sechopoulos et al., Med. Phys. 42 (2015) 5679), case 2, radiography. The air between
source and body is taken as an absorber, though some of what it scatters arrives; the whole body
would else be 3.6 % higher. Ten minutes on two cores.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import photon_transport
import scatter_monte_carlo as monte_carlo
from rich.console import Console
from rich.table import Table
from scatter_slabs import (
    AIR_GAPS_CM,
    DISTANCE_CM,
    FIELD_CM,
    THICKNESS_CM,
    WINDOW_CM,
    geometry,
    kernel_ratio,
)

from synthex_ros.xray.attenuation import mass_attenuation_cm2_g
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.scatter import COARSE_PX, KernelScatter

# Case 2 of task group 195: soft tissue (ICRU), 39 cm x 39 cm x 20 cm, 155 cm from the source.
BODY = {1: 0.105, 6: 0.256, 7: 0.027, 8: 0.602, 11: 0.001, 15: 0.002, 16: 0.003, 17: 0.002}
BODY[19] = 0.002
REGIONS_CM = ((0, -15, 0), (-15, 0, 0), (0, 0, 0), (15, 0, 0), (0, 15, 0), (0, 0, -6), (0, 0, -3))
REGIONS_CM += ((0, 0, 3), (0, 0, 6))
PUBLISHED_EV = (33171.4, 27.011, 27.003, 36.667, 27.008, 27.008, 72.859, 53.345, 23.832, 14.595)


def task_group_195(histories: int) -> list[dict]:
    """Return energy left in the body and its nine regions [eV] beside the published means."""
    body = photon_transport.Medium.of(BODY, 1.03)
    centres = np.array(REGIONS_CM) + (0, 0, 10)
    regions = np.stack([centres - 1.5, centres + 1.5], axis=1)
    left = monte_carlo.deposited_kev(body, 56.4, (39, 20), 155, (180, 39), regions, histories)
    air = mass_attenuation_cm2_g('air', 56.4)[0] * 1.205e-3 * 155
    names = ['whole body', *(f'3 cm cube at {centre}' for centre in REGIONS_CM)]
    return [
        {'where': name, 'ours_ev': 1e3 * float(kev * np.exp(-air)), 'published_ev': ev}
        for name, kev, ev in zip(names, left, PUBLISHED_EV, strict=True)
    ]


def compare(beam: Beam, histories: int) -> list[dict]:
    """Return one row a slab, air gap and field."""
    detector = beam.detector
    depth = photon_transport.panel_depth(
        detector.scintillator_density_g_cm3 * detector.scintillator_m * 100
    )
    spectrum = beam.spectrum.energies_kev, beam.spectrum.fluence_cm2_mas
    rows = []
    for gap in AIR_GAPS_CM:
        for thickness in THICKNESS_CM:
            for side in FIELD_CM:
                truth, error = monte_carlo.scatter_to_primary(
                    photon_transport.water(),
                    spectrum,
                    DISTANCE_CM,
                    thickness,
                    gap,
                    side,
                    WINDOW_CM,
                    depth,
                    histories,
                    seed=1 + len(rows),
                )
                rows.append(
                    {
                        'air_gap_cm': gap,
                        'thickness_cm': thickness,
                        'field_cm': side,
                        'ours': kernel_ratio(beam, thickness, gap, side),
                        'monte_carlo': truth,
                        'standard_error': error,
                    }
                )
    return rows


def kernel_ms(beam: Beam, runs: int = 200) -> float:
    """Return the median time of one evaluation on a grid of 64 x 64 cells, 4 materials [ms]."""
    names = ('air', 'soft_tissue', 'bone', 'iodine_contrast')
    area = np.full((4, COARSE_PX, COARSE_PX), 1.0, np.float32)
    model, place, times = KernelScatter(), geometry(), []
    for _ in range(runs):
        start = time.perf_counter()
        model.on_detector(area, names, beam, place, 0.2)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def report(rows: list[dict], body: list[dict], console: Console) -> None:
    """Print the measurements."""
    table = Table(title='Monte Carlo beside AAPM task group 195, case 2, 56.4 keV')
    for heading in ('energy left in', 'ours eV/photon', 'published', 'difference'):
        table.add_column(heading, justify='left' if heading == 'energy left in' else 'right')
    for row in body:
        change = row['ours_ev'] / row['published_ev'] - 1
        table.add_row(
            row['where'],
            f'{row["ours_ev"]:.2f}',
            f'{row["published_ev"]:.2f}',
            f'{100 * change:+.1f} %',
        )
    console.print(table)
    table = Table(title='Scatter over primary, centre of the field')
    for heading in ('air gap', 'water', 'field', 'kernels', 'Monte Carlo', 'difference'):
        table.add_column(heading, justify='right')
    for row in rows:
        change = row['ours'] / row['monte_carlo'] - 1
        table.add_row(
            f'{row["air_gap_cm"]} cm',
            f'{row["thickness_cm"]} cm',
            f'{row["field_cm"]} cm',
            f'{row["ours"]:.3f}',
            f'{row["monte_carlo"]:.3f} +- {row["standard_error"]:.3f}',
            f'{100 * change:+.1f} %',
        )
    console.print(table)


def main() -> int:
    """Run the comparison; return 0 if every ratio agrees to 15 %, 1 if not."""
    parser = argparse.ArgumentParser(description='Scatter kernels against a Monte Carlo.')
    parser.add_argument('--histories', type=float, default=1e7)
    parser.add_argument('--tube-voltage-kv', type=float, default=80.0)
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    args = parser.parse_args()
    beam = Beam(Technique(args.tube_voltage_kv), Detector())
    rows = compare(beam, int(args.histories))
    body = task_group_195(int(args.histories))
    report(rows, body, Console())
    worst = max(abs(row['ours'] / row['monte_carlo'] - 1) for row in rows)
    print(f'{args.tube_voltage_kv:g} kV, worst {100 * worst:.1f} %; {kernel_ms(beam):.2f} ms')
    if args.json:
        settings = {'tube_voltage_kv': args.tube_voltage_kv, 'histories': int(args.histories)}
        content = json.dumps(settings | {'ratios': rows, 'body': body}, indent=1)
        args.json.write_text(content + '\n', encoding='utf-8')
    return int(worst > 0.15)


if __name__ == '__main__':
    sys.exit(main())
