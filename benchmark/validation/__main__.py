"""Regenerate docs/xray_validation.md and its plots.

    python -m benchmark.validation [--quick] [--out docs] [--only TOPIC ...]

A quick run uses fewer frames and views (about a minute). ITK-RTK, plastimatch, DiffDRR and gVXR
are compared where they are installed: `benchmark/projector_peers.py` and `gvxr_paths.py` say how
to get them (gVXR also needs EGL and, on Debian, libxcb-res0 and its like). SpekPy and the Monte
Carlo enter by tables in `benchmark/reference/`, each made by a script of `benchmark/`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmark.validation import (
    determinism,
    heel,
    lag,
    mesh_paths,
    noise_power,
    page,
    photon_transfer,
    projector,
    quadrature,
    scatter,
    sharpness,
    spectra,
    step_wedges,
)

TOPICS = {
    'spectra': spectra,
    'step_wedges': step_wedges,
    'quadrature': quadrature,
    'projector': projector,
    'mesh_paths': mesh_paths,
    'sharpness': sharpness,
    'noise_power': noise_power,
    'photon_transfer': photon_transfer,
    'scatter': scatter,
    'lag': lag,
    'heel': heel,
    'determinism': determinism,
}


def main() -> int:
    """Write the page; return 0 if every deviation is within its limit."""
    parser = argparse.ArgumentParser(description='Validation page of the X-ray engine.')
    parser.add_argument('--quick', action='store_true', help='fewer frames and views')
    parser.add_argument('--out', type=Path, default=Path('docs'), help='folder of the page')
    parser.add_argument('--only', nargs='+', choices=TOPICS, default=list(TOPICS))
    args = parser.parse_args()
    console, sections = Console(), []
    for name in args.only:
        start = time.perf_counter()
        section = TOPICS[name].section(args.quick)
        sections.append(section)
        console.print(f'[bold]{section.title}[/bold] ({time.perf_counter() - start:.1f} s)')
        for check in section.checks:
            colour = 'green' if check.passed else 'red'
            console.print(f'  {check.what}: [{colour}]{" / ".join(check.cells[:2])}[/{colour}]')
    console.print(f'written: {page.write(sections, args.out, args.quick)}')
    return int(not all(check.passed for section in sections for check in section.checks))


if __name__ == '__main__':
    sys.exit(main())
