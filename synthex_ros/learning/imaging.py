"""What is varied between tubes, panels and exposures of a data set."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synthex_ros.xray.beam import Technique
from synthex_ros.xray.collimator import Collimator
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.exposure_control import ExposureControl
from synthex_ros.xray.focal_spot import FocalSpot
from synthex_ros.xray.imaging_chain import Heel, ImagingChain
from synthex_ros.xray.lag import Lag
from synthex_ros.xray.realism import realism
from synthex_ros.xray.scatter import AntiScatterGrid, KernelScatter

_CATHODES = ('+x', '-x', '+y', '-y')
_IN_LOGARITHM = ('detector_kerma_ngy', 'electronic_noise_counts', 'open_field_fraction')


@dataclass(frozen=True)
class ImagingSampling:
    """Ranges of technique, imaging chain and detector, uniform unless said otherwise.

    Attributes:
        tube_voltage_kv: tube voltage.
        aluminium_mm: filtration by aluminium.
        copper_mm: filtration by copper.
        detector_kerma_ngy: median air kerma a pulse behind the patient that the automatic exposure
            control is set to [nGy], drawn uniformly in its logarithm.
        scatter_share: part of the views with scatter.
        grid_share: part of those with an anti-scatter grid.
        grid_primary: primary transmission of a grid.
        grid_scatter: scatter transmission of a grid.
        heel_share: part of the views with heel effect, cathode on any side.
        anode_angle_deg: angle of the anode.
        focal_spot_mm: side of the focal spot.
        lag_share: part of the frames with the afterglow of one before.
        collimated_share: part of the views with a collimator in the field.
        blade_share: chance of each of its four blades to be in.
        blade_depth: greatest part of the image's side that a blade covers.
        uneven_share: part of the views on a panel whose pixels differ in gain and offset.
        blur_mm: deviation of the light spread in the scintillator.
        scintillator_um: thickness of the scintillator.
        electronic_noise_counts: read-out noise, drawn uniformly in its logarithm.
        open_field_fraction: part of full scale that the bare beam reaches, drawn uniformly in its
            logarithm; above 1 it saturates.
    """

    tube_voltage_kv: tuple[float, float] = (60.0, 120.0)
    aluminium_mm: tuple[float, float] = (2.5, 4.0)
    copper_mm: tuple[float, float] = (0.0, 0.3)
    detector_kerma_ngy: tuple[float, float] = (8.0, 100.0)
    scatter_share: float = 0.9
    grid_share: float = 0.6
    grid_primary: tuple[float, float] = (0.6, 0.8)
    grid_scatter: tuple[float, float] = (0.1, 0.3)
    heel_share: float = 0.8
    anode_angle_deg: tuple[float, float] = (8.0, 16.0)
    focal_spot_mm: tuple[float, float] = (0.3, 1.0)
    lag_share: float = 0.15
    collimated_share: float = 0.3
    blade_share: float = 0.6
    blade_depth: float = 0.35
    uneven_share: float = 0.3
    blur_mm: tuple[float, float] = (0.08, 0.22)
    scintillator_um: tuple[float, float] = (450.0, 650.0)
    electronic_noise_counts: tuple[float, float] = (1.5, 15.0)
    open_field_fraction: tuple[float, float] = (0.5, 2.0)

    def __post_init__(self):
        for name, value in vars(self).items():
            if isinstance(value, (tuple, list)):
                if len(value) != 2 or value[0] > value[1]:
                    raise ValueError(f'{name} must be (low, high), got {tuple(value)}')
                object.__setattr__(self, name, tuple(value))
            elif not 0 <= value <= 1:
                raise ValueError(f'{name} must be 0..1, got {value:g}')
        for name in _IN_LOGARITHM:
            low, high = getattr(self, name)
            if not 0 < low <= high < np.inf:
                raise ValueError(
                    f'{name} must be positive and finite, it is drawn in its logarithm; '
                    f'got ({low:g}, {high:g})'
                )


@dataclass(frozen=True)
class ImagingSample:
    """Technique, chain and detector of a view.

    Attributes:
        technique: tube settings; the charge is left to `control`.
        control: automatic exposure control.
        chain: effects of tube, collimator and panel.
        detector: the panel.
    """

    technique: Technique
    control: ExposureControl
    chain: ImagingChain
    detector: Detector

    def simplified(self, level: str) -> ImagingSample:
        """Return the sample without what a level of realism leaves out."""
        detector, chain = realism(level).applied(self.detector, self.chain)
        return replace(self, detector=detector, chain=chain)


def draw_imaging(sampling: ImagingSampling, rng: np.random.Generator) -> ImagingSample:
    """Draw technique, chain and detector of a view."""
    filtration = (
        ('Al', float(rng.uniform(*sampling.aluminium_mm))),
        ('Cu', float(rng.uniform(*sampling.copper_mm))),
    )
    technique = Technique(
        tube_voltage_kv=float(rng.uniform(*sampling.tube_voltage_kv)), filtration_mm=filtration
    )
    kerma = _log_uniform(sampling.detector_kerma_ngy, rng) * 1e-9
    detector = Detector(
        scintillator_m=float(rng.uniform(*sampling.scintillator_um)) * 1e-6,
        blur_m=float(rng.uniform(*sampling.blur_mm)) * 1e-3,
        electronic_noise_counts=_log_uniform(sampling.electronic_noise_counts, rng),
        open_field_fraction=_log_uniform(sampling.open_field_fraction, rng),
    )
    chain = ImagingChain(
        collimator=_draw_collimator(sampling, rng),
        heel=_draw_heel(sampling, rng),
        scatter=_draw_scatter(sampling, rng),
        focal_spot=FocalSpot(float(rng.uniform(*sampling.focal_spot_mm)) * 1e-3),
        lag=Lag(),
        panel_seed=int(rng.integers(2**31)) if rng.random() < sampling.uneven_share else None,
    )
    return ImagingSample(technique, ExposureControl(detector_kerma_gy=kerma), chain, detector)


def _log_uniform(limits: tuple[float, float], rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))


def _draw_collimator(sampling: ImagingSampling, rng: np.random.Generator) -> Collimator:
    insets = rng.uniform(0, sampling.blade_depth, 4) * (rng.random(4) < sampling.blade_share)
    if rng.random() >= sampling.collimated_share:
        return Collimator()
    top, bottom, left, right = (float(v) for v in insets)
    return Collimator(
        top,
        1 - bottom,
        left,
        1 - right,
        penumbra_m=float(rng.uniform(0.5e-3, 3e-3)),
        leakage=_log_uniform((3e-4, 1e-2), rng),
    )


def _draw_heel(sampling: ImagingSampling, rng: np.random.Generator) -> Heel | None:
    heel = Heel(float(rng.uniform(*sampling.anode_angle_deg)), str(rng.choice(_CATHODES)))
    return heel if rng.random() < sampling.heel_share else None


def _draw_scatter(sampling: ImagingSampling, rng: np.random.Generator) -> KernelScatter | None:
    grid = AntiScatterGrid(
        float(rng.uniform(*sampling.grid_primary)), float(rng.uniform(*sampling.grid_scatter))
    )
    kept = rng.random(2) < (sampling.scatter_share, sampling.grid_share)
    if not kept[0]:
        return None
    return KernelScatter(grid if kept[1] else None)
