"""What stands in the beam apart from devices: a CT, its material model and where it lies."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.materials import MaterialModel, MaterialTable
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import check_pose


@dataclass(frozen=True, eq=False)
class Scene:
    """An anatomy in the world.

    Attributes:
        volume: CT in `patient_lps`.
        material_model: how HU become partial densities.
        world_from_patient: pose of `patient_lps` in `world`, shape (4, 4) [m]; a renderer may be
            given another one for a frame (breathing, table motion).
        table: partial densities by HU, made of `material_model`.
    """

    volume: Volume
    material_model: MaterialModel = field(default_factory=MaterialModel)
    world_from_patient: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    table: MaterialTable = field(init=False)

    def __post_init__(self):
        pose = check_pose(self.world_from_patient, 'world_from_patient')
        object.__setattr__(self, 'world_from_patient', pose)
        object.__setattr__(self, 'table', self.material_model.table())
