"""Vessels: centrelines with radii, lumen, wall; of a segmented CT or of a seed."""

from synthex_ros.anatomy.vessels.lumen import Lumen, SampledLumen, TubeLumen
from synthex_ros.anatomy.vessels.model import VesselModel, vessel_model, vessel_tree
from synthex_ros.anatomy.vessels.procedural import TreeShape, procedural_tree
from synthex_ros.anatomy.vessels.structures import TREES
from synthex_ros.anatomy.vessels.tree import Branch, VesselPath, VesselTree
from synthex_ros.anatomy.vessels.wall import save_mesh, wall_mesh

__all__ = [
    'TREES', 'Branch', 'Lumen', 'SampledLumen', 'TreeShape', 'TubeLumen', 'VesselModel',
    'VesselPath', 'VesselTree', 'procedural_tree', 'save_mesh', 'vessel_model', 'vessel_tree',
    'wall_mesh',
]  # fmt: skip
