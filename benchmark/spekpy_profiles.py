"""SpekPy spectra across the anode-cathode axis, for `heel_effect.py`; needs nothing but SpekPy.

python spekpy_profiles.py OUT.npz
"""

import itertools
import sys

import numpy as np
import spekpy

ANODES_DEG = (8, 12, 16)
VOLTAGES_KV = (60, 80, 100, 120, 150)
ANGLES_DEG = np.arange(-8, 9, 2)


def spectra(anode_deg: float, voltage_kv: float) -> tuple[np.ndarray, np.ndarray]:
    """Return energies [keV] and fluence by angle to the cathode, without the inverse square."""
    tube = spekpy.Spek(kvp=voltage_kv, th=anode_deg, dk=1, z=100, mas=1, obli=False)
    tube.multi_filter((('Al', 3.0), ('Cu', 0.1)))
    slopes = np.tan(np.radians(ANGLES_DEG))
    pairs = [tube.get_spectrum(x=100 * slope, y=0, z=100) for slope in slopes]
    fluence = [f * (1 + slope**2) for (_, f), slope in zip(pairs, slopes, strict=True)]
    return pairs[0][0], np.stack(fluence)


def main() -> None:
    """Write the spectra."""
    out = {'angles_deg': ANGLES_DEG}
    for anode, voltage in itertools.product(ANODES_DEG, VOLTAGES_KV):
        out[f'energies_{anode}_{voltage}'], out[f'fluence_{anode}_{voltage}'] = spectra(
            anode, voltage
        )
    np.savez(sys.argv[1], **out)


if __name__ == '__main__':
    main()
