"""The task of the magnetic demo: by a planned path through the aorta into a branch of its arch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy import load_volume
from synthex_ros.anatomy.vessels import vessel_model
from synthex_ros.control.magnetic.planner import PlannerSettings, plan_path
from synthex_ros.evaluation.tasks import Goal, Task
from synthex_ros.geometry import make_pose

Array = NDArray[np.float64]

TARGET = 'subclavian_artery_left'
TARGET_BEFORE_END_M = 0.02
DURATION_S = 75.0
RADII = 100
NEAR_MM = 2.0


def vessel_task(
    anatomy: str, isocenter_patient_m: Array, tree: str, base_m: Array, target: str = TARGET
) -> Task:
    """Return the task to steer a guidewire along a planned path to a place.

    Args:
        anatomy: segmented CT.
        isocenter_patient_m: isocentre from the middle of the CT, shape (3,) [m].
        tree: which vessels.
        base_m: where the wire enters, in `world`, shape (3,) [m].
        target: a place of the tree; the path ends 20 mm before it.

    Raises:
        ValueError: the CT has no such vessels or the place cannot be reached.
    """
    volume = load_volume(anatomy)
    isocenter = volume.centre_patient_m + np.asarray(isocenter_patient_m, float)
    model = vessel_model(volume, tree).moved(make_pose(translation_m=-isocenter))
    settings = PlannerSettings(device_radius_m=0.4e-3, smoothing_m=20e-3)
    path = plan_path(model.tree, base_m, target, lumen=model.lumen, settings=settings)
    last_m = path.length_m - TARGET_BEFORE_END_M
    points = path.at(np.arange(0, last_m, 2e-3))
    radii = np.interp(np.linspace(0, last_m, RADII), path.arc_m, path.radius_m)
    name = target.replace('_', ' ')
    return Task(
        name='aorta',
        title=f'steer a magnetic guidewire through the aorta into the {name}',
        duration_s=DURATION_S,
        path=tuple(Goal(0.0, point) for point in points),
        timed=False,
        scenario={'sim.latency_s': 0.1, 'control.path_radii_m': str(radii.round(5).tolist())},
        limits={'path_end_error_mm': NEAR_MM},
    )
