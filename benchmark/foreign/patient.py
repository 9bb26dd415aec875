"""A CT as three tissues by plain thresholds, projected by ITK-RTK."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.projector import padded
from benchmark.projector_peers import Joseph
from synthex_ros.anatomy import Volume
from synthex_ros.geometry import View, make_pose

TISSUES = {
    'Adipose Tissue (ICRP)': (-150.0, -30.0),
    'Muscle, Skeletal': (-950.0, 180.0),
    'Bone, Cortical (ICRP)': (180.0, np.inf),
}
"""xraylib's compounds and the HU that are taken for them; the first that fits counts."""

_BEND_HU = 100.0


def density_g_cm3(hu: NDArray) -> NDArray[np.float32]:
    """Return density of CT numbers: the two lines of Thomas (Br. J. Radiol. 72 (1999) 781).

    He gives electron density relative to water: 1 + HU / 1000 below 100 HU, 1 + HU / 1950 above.
    """
    values = np.asarray(hu, np.float32)
    density = np.where(values < _BEND_HU, 1 + values / 1000, 1 + values / 1950)
    return np.maximum(density, 0).astype(np.float32)


def tissue_densities(hu: NDArray) -> dict[str, NDArray[np.float32]]:
    """Return the density [g/cm^3] of each tissue, zero in voxels of another."""
    density, left = density_g_cm3(hu), np.ones(hu.shape, bool)
    tissues = {}
    for name, (low, high) in TISSUES.items():
        here = left & (hu > low) & (hu <= high)
        left &= ~here
        tissues[name] = np.where(here, density, np.float32(0))
    return tissues


class ForeignPatient:
    """A patient whose area densities ITK-RTK computes.

    Args:
        volume: CT; its centre lies at the origin of `world` until a pose says otherwise.
    """

    def __init__(self, volume: Volume) -> None:
        self.centre_patient_m = volume.centre_patient_m
        self.sha256 = volume.sha256()
        whole = padded(volume)
        densities = tissue_densities(whole.hu)
        self._projectors = [Joseph(whole, density) for density in densities.values()]

    def area_density_g_cm2(
        self, view: View, world_from_patient: NDArray[np.float64] | None = None
    ) -> NDArray[np.float32]:
        """Return line integrals [g/cm^2] of each of `TISSUES`, shape (rows, columns, T)."""
        pose = world_from_patient
        if pose is None:
            pose = make_pose(None, -self.centre_patient_m)
        images = [peer.area_density_g_cm2(view, pose) for peer in self._projectors]
        return np.stack(images, axis=-1).astype(np.float32)
