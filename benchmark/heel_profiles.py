"""The heel effect of the renderer beside spectra by angle, as `spekpy_profiles.py` writes them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.heel_effect import signal_behind_anode

ANODES_DEG, VOLTAGES_KV = (8, 12, 16), (60, 80, 100, 120, 150)
NEAREST_TO_FACE_DEG = 2


@dataclass(frozen=True, eq=False)
class Profile:
    """Signal over that of the central ray by angle; NaN too near to the target's face.

    Attributes:
        anode_deg: between the target's face and the central ray.
        voltage_kv: tube voltage.
        angles_deg: from the central ray to the cathode, shape (N,).
        ours: of the renderer, shape (N,).
        peer: of SpekPy, shape (N,).
    """

    anode_deg: int
    voltage_kv: int
    angles_deg: np.ndarray
    ours: np.ndarray
    peer: np.ndarray

    @property
    def change_percent(self) -> np.ndarray:
        """Ours over the peer's, less 1 [%], shape (N,)."""
        return 100 * (self.ours / self.peer - 1)


def compare(stored: dict[str, np.ndarray]) -> list[Profile]:
    """Return a profile for each anode and voltage."""
    return [_profile(stored, *pair) for pair in itertools.product(ANODES_DEG, VOLTAGES_KV)]


def _profile(stored: dict[str, np.ndarray], anode_deg: int, voltage_kv: int) -> Profile:
    angles, detector = stored['angles_deg'], Detector()
    energies = stored[f'energies_{anode_deg}_{voltage_kv}']
    fluence = stored[f'fluence_{anode_deg}_{voltage_kv}']
    usable = energies >= 10
    response = detector.efficiency(energies[usable]) * energies[usable]
    peer = fluence[:, usable] @ response
    shown = anode_deg + angles >= NEAREST_TO_FACE_DEG
    sine = np.sin(np.radians(np.where(shown, anode_deg + angles, 90)))
    ours = signal_behind_anode(Beam(Technique(voltage_kv), detector), anode_deg, 1 / sine)
    ours, peer = (np.where(shown, values, np.nan) for values in (ours, peer / peer[angles == 0]))
    return Profile(anode_deg, voltage_kv, angles, ours, peer)
