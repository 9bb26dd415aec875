"""SpekPy's mean energies and half-value layers, for the validation page; needs SpekPy alone.

    python benchmark/spekpy_beams.py OUT.json

12 degree anode, physics of `make_spectra.py`, but in bins of 0.5 keV. Half-value layers are of the
air kerma, in aluminium, with SpekPy's own attenuation data.
"""

import itertools
import json
import sys
from pathlib import Path

import spekpy

VOLTAGES_KV = (40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150)
FILTRATIONS_MM = (
    {'Al': 3.0},
    {'Al': 3.0, 'Cu': 0.1},
    {'Al': 3.0, 'Cu': 0.3},
    {'Al': 3.0, 'Cu': 0.9},
)


def beam(voltage_kv: float, filtration_mm: dict[str, float]) -> dict:
    """Return the quantities of one beam."""
    tube = spekpy.Spek(kvp=voltage_kv, th=12, dk=0.5, z=100, mas=1)
    tube.multi_filter(tuple(filtration_mm.items()))
    return {
        'tube_voltage_kv': voltage_kv,
        'filtration_mm': filtration_mm,
        'mean_energy_kev': round(float(tube.get_emean()), 4),
        'half_value_layer_mm': round(float(tube.get_hvl1()), 5),
        'fluence_cm2_mas': round(float(tube.get_flu()), 0),
        'air_kerma_ugy': round(float(tube.get_kerma()), 4),
    }


def main() -> None:
    """Write the table."""
    rows = [beam(*pair) for pair in itertools.product(VOLTAGES_KV, FILTRATIONS_MM)]
    table = {'source': f'SpekPy {spekpy.__version__}', 'anode_angle_deg': 12, 'beams': rows}
    Path(sys.argv[1]).write_text(json.dumps(table, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
