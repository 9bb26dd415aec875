"""What stands in the beam apart from devices: a CT, what it is made of and where it lies."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.materials import MaterialModel, MaterialTable
from synthex_ros.anatomy.tissue import TissueCurve, TissueModel, tissue_model
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import check_pose
from synthex_ros.xray.attenuation import density_g_cm3


@dataclass(frozen=True, eq=False)
class Scene:
    """An anatomy in the world.

    Attributes:
        volume: CT in `patient_lps`.
        material_model: how the CT becomes partial densities: a preset's name ('standard',
            'detailed', 'heuristic', 'naive'), a curve over HU such as `MaterialModel`, or a
            `TissueModel` with rules for contrast, metal and single structures.
        world_from_patient: pose of `patient_lps` in `world`, shape (4, 4) [m]; a renderer may be
            given another one for a frame (breathing, table motion).
        table: partial densities by HU and region, made of `material_model`.
    """

    volume: Volume
    material_model: str | TissueCurve | TissueModel = field(default_factory=MaterialModel)
    world_from_patient: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    table: MaterialTable = field(init=False)

    def __post_init__(self):
        pose = check_pose(self.world_from_patient, 'world_from_patient')
        object.__setattr__(self, 'world_from_patient', pose)
        table = tissue_model(self.material_model).classify(self.volume, density_g_cm3)
        object.__setattr__(self, 'table', table)
