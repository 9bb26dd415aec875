"""Levels of realism from one parameter, as in SyntheX.

Gao et al., Nature Machine Intelligence 5 (2023) 294, compare three ways to make training images
from CT: naive (ray casting of a mono-energetic beam through one material), heuristic (air and
anatomy told apart by a threshold on HU first) and realistic (the physics of image formation).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from synthex_ros.xray.detector import Detector
from synthex_ros.xray.imaging_chain import ImagingChain


@dataclass(frozen=True)
class Realism:
    """What a level of realism switches.

    Attributes:
        name: what the level is called in settings.
        materials: preset of `synthex_ros.anatomy.tissue.PRESETS`, or None: what the scene's
            settings say.
        energies: nodes of the spectrum, or None: what the renderer's settings say. A single node
            is the effective energy, the detected spectrum's mean.
        noise: quantum and electronic noise.
        blur: scintillator and focal-spot blur.
        scatter: scattered radiation.
        detector_artefacts: heel effect, gain and offset maps, dead pixels, lag.
    """

    name: str
    materials: str | None
    energies: int | None
    noise: bool
    blur: bool
    scatter: bool
    detector_artefacts: bool

    def applied(self, detector: Detector, chain: ImagingChain) -> tuple[Detector, ImagingChain]:
        """Return detector and chain without what this level leaves out."""
        if not self.noise:
            detector = replace(detector, quantum_noise=False, electronic_noise_counts=0.0)
        if not self.blur:
            detector, chain = replace(detector, blur_m=0.0), replace(chain, focal_spot=None)
        if not self.scatter:
            chain = replace(chain, scatter=None)
        if not self.detector_artefacts:
            chain = replace(chain, heel=None, lag=None, panel_seed=None)
        return detector, chain


REALISM: dict[str, Realism] = {
    'naive': Realism('naive', 'naive', 1, False, False, False, False),
    'heuristic': Realism('heuristic', 'heuristic', 1, False, False, False, False),
    'realistic': Realism('realistic', None, None, True, True, True, True),
}
"""Levels by name. The simpler ones overrule the settings; 'realistic' leaves them as they are, so
what is switched off there stays off."""


def realism(name: str) -> Realism:
    """Return the level of a name.

    Raises:
        ValueError: there is no such level.
    """
    if name not in REALISM:
        raise ValueError(f'realism must be one of {", ".join(REALISM)}, got {name!r}')
    return REALISM[name]
