"""Make synthex_ros/xray/data/tungsten.npz: unfiltered tungsten spectra for 40..150 kV.

SpekPy is needed here and nowhere else; it is large, so give it its own environment:

    python -m venv /tmp/spekpy && /tmp/spekpy/bin/pip install spekpy
    /tmp/spekpy/bin/python benchmark/make_spectra.py

Model: SpekPy v2 with Casim's physics, 12 degree anode, photons per bin, cm^2 and mAs at 1 m from
the focal spot in vacuum, no filter. Reference: Poludniowski, Omar, Bujila and Andreo,
Technical Note: SpekPy v2.0, Med. Phys. 48 (2021) 3630.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import spekpy

OUT = Path(__file__).parents[1] / 'synthex_ros' / 'xray' / 'data'
VOLTAGES_KV = np.arange(40, 151)
ENERGIES_KEV = np.arange(10, 150) + 0.5
ANODE_DEG = 12


def spectrum(voltage_kv: int) -> np.ndarray:
    """Return photons per 1 keV bin, cm^2 and mAs at 1 m on `ENERGIES_KEV`."""
    beam = spekpy.Spek(kvp=voltage_kv, th=ANODE_DEG, dk=1, z=100, mas=1)
    energies, fluence = beam.get_spectrum()
    return np.interp(ENERGIES_KEV, energies, fluence, left=0, right=0).astype(np.float32)


def main() -> None:
    """Write the table and its manifest."""
    table = np.stack([spectrum(int(voltage)) for voltage in VOLTAGES_KV])
    OUT.mkdir(exist_ok=True)
    path = OUT / 'tungsten.npz'
    np.savez_compressed(
        path,
        voltages_kv=VOLTAGES_KV.astype(np.int16),
        energies_kev=ENERGIES_KEV.astype(np.float32),
        fluence_cm2_mas=table,
    )
    manifest = {
        'file': path.name,
        'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
        'made_by': 'benchmark/make_spectra.py',
        'source': f'SpekPy {spekpy.__version__} (MIT), physics spekpy-v2-casim',
        'target': 'W',
        'anode_angle_deg': ANODE_DEG,
        'filtration_mm': {},
        'distance_m': 1.0,
        'unit': 'photons per 1 keV bin, cm^2 and mAs',
        'voltages_kv': [int(VOLTAGES_KV[0]), int(VOLTAGES_KV[-1]), 1],
        'energies_kev': [float(ENERGIES_KEV[0]), float(ENERGIES_KEV[-1]), 1.0],
    }
    path.with_suffix('.json').write_text(json.dumps(manifest, indent=2) + '\n')
    print(f'{path}: {table.shape}, {path.stat().st_size} bytes')


if __name__ == '__main__':
    main()
