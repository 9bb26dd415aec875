"""Heel effect of the renderer beside SpekPy's, absorbed energy of a CsI panel by angle.

    python -m venv /tmp/spekpy && /tmp/spekpy/bin/pip install spekpy
    python benchmark/heel_effect.py --spekpy /tmp/spekpy/bin/python

SpekPy is not a dependency and runs in its own environment. Both beams are filtered by 3 mm Al and
0.1 mm Cu; angles are from the central ray, positive to the cathode. Angles nearer than 2 degrees
to the target's face are left out.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from heel_profiles import compare
from rich.console import Console
from rich.table import Table

SHOWN_EVERY_DEG = 4


def spekpy_spectra(python: str) -> dict[str, np.ndarray]:
    """Return the arrays that `spekpy_profiles.py` writes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / 'profiles.npz'
        script = Path(__file__).with_name('spekpy_profiles.py')
        subprocess.run([python, str(script), str(out)], check=True)
        with np.load(out) as stored:
            return dict(stored)


def main() -> int:
    """Print the comparison; return 0 if all factors of a 12 degree anode agree to 2 %."""
    parser = argparse.ArgumentParser(description='Heel effect against SpekPy.')
    parser.add_argument('--spekpy', default=sys.executable, help='a Python that has SpekPy')
    stored = spekpy_spectra(parser.parse_args().spekpy)
    profiles = compare(stored)
    table = Table(title='Signal over that of the central ray: ours (difference to SpekPy in %)')
    table.add_column('anode, tube')
    angles = stored['angles_deg']
    columns = np.flatnonzero(angles % SHOWN_EVERY_DEG == 0)
    for angle in angles[columns]:
        table.add_column(f'{angle:+d} deg', justify='right')
    worst = 0.0
    for profile in profiles:
        ours, change = profile.ours, profile.change_percent
        cells = [f'{ours[n]:.3f} ({change[n]:+.1f})' for n in columns]
        table.add_row(
            f'{profile.anode_deg} deg, {profile.voltage_kv} kV',
            *('-' if 'nan' in cell else cell for cell in cells),
        )
        if profile.anode_deg == 12:
            worst = max(worst, float(np.nanmax(np.abs(change))))
    Console().print(table)
    print(f'12 degree anode, worst {worst:.1f} %')
    return int(worst > 2)


if __name__ == '__main__':
    sys.exit(main())
