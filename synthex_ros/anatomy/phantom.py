"""A procedural torso: ellipses and shells with the CT numbers and labels of real organs.

It needs no file and no random number, so tests and machines without a CT have an anatomy whose
every boundary is a formula. Coordinates are patient_lps with the origin at the centre.
"""

from __future__ import annotations

import numpy as np

from synthex_ros.anatomy.painter import AIR_HU, Painter
from synthex_ros.anatomy.volume import Volume

_FAT, _MUSCLE, _BLOOD, _LUNG = -90, 45, 50, -820
_CORTICAL, _SPONGY, _CARTILAGE, _DISC, _CORD = 650, 200, 110, 80, 35

_VERTEBRA_PITCH_M = 0.026
_SPINE_AXIS_M = (0.0, 0.070)
_TOP_VERTEBRA_M = 0.156  # height of T1
_RIB_AXES_M = (0.135, 0.098)  # semi-axes of the rib cage at its widest
_RIB_SLOPE = 0.45  # ribs fall from back to front


def torso_phantom(
    shape: tuple[int, int, int] = (160, 120, 160), spacing_m: float = 2.5e-3
) -> Volume:
    """Return the torso as a `Volume` with labels.

    Args:
        shape: voxels as (z, y, x); what the grid does not cover is cut off.
        spacing_m: voxel spacing on all axes [m].
    """
    painter = Painter(shape, spacing_m)
    _paint_trunk(painter)
    _paint_lungs(painter)
    _paint_mediastinum(painter)
    _paint_ribs(painter)
    _paint_spine(painter)
    return painter.volume('phantom')


def _paint_trunk(painter: Painter) -> None:
    painter.paint(painter.cylinder((0, 0), (0.170, 0.122)) <= 1, _FAT)
    painter.paint(painter.cylinder((0, 0), (0.155, 0.110)) <= 1, _MUSCLE)


def _paint_lungs(painter: Painter) -> None:
    """Two half ellipsoids on a dome-shaped diaphragm, divided at heights into their lobes."""
    height = painter.z + 0 * painter.x + 0 * painter.y
    for side, name in ((1, 'left'), (-1, 'right')):
        outer = painter.ellipsoid((side * 0.068, 0.0, -0.03), (0.056, 0.082, 0.175)) <= 1
        dome = -0.075 - 0.05 * painter.cylinder((side * 0.068, 0), (0.056, 0.082))
        region = outer & (height > dome)
        fissure = height - 0.35 * painter.y
        painter.paint(region & (fissure > 0), _LUNG, f'lung_upper_lobe_{name}')
        painter.paint(region & (fissure <= 0), _LUNG, f'lung_lower_lobe_{name}')
        if name == 'right':
            middle = region & (fissure > -0.03) & (fissure <= 0.02) & (painter.y < 0)
            painter.paint(middle, _LUNG, 'lung_middle_lobe_right')


def _paint_mediastinum(painter: Painter) -> None:
    height = painter.z + 0 * painter.x + 0 * painter.y
    aorta = (painter.cylinder((0.020, 0.045), (0.012, 0.012)) <= 1) & (height < 0.06)
    painter.paint(aorta, _BLOOD, 'aorta')
    trachea = painter.cylinder((0.0, 0.010), (0.010, 0.010))
    painter.paint((trachea <= 1) & (height > 0.05), AIR_HU, 'trachea')
    painter.paint(
        painter.ellipsoid((0.025, -0.025, -0.025), (0.052, 0.045, 0.055)) <= 1, _BLOOD, 'heart'
    )
    breastbone = painter.ellipsoid((0, -0.098, 0.05), (0.018, 0.007, 0.085))
    painter.paint(breastbone <= 1, _SPONGY, 'sternum')


def _paint_ribs(painter: Painter) -> None:
    """One inclined family of hoops on an elliptic shell; the front part is cartilage."""
    semi_x, semi_y = _RIB_AXES_M
    taper = np.clip(1.05 - 1.2 * np.maximum(painter.z - 0.02, 0), 0.75, 1.0)
    radius = np.sqrt((painter.x / (semi_x * taper)) ** 2 + (painter.y / (semi_y * taper)) ** 2)
    shell = np.abs(radius - 1) < 0.035
    behind_m = semi_y - painter.y
    level = (_TOP_VERTEBRA_M - painter.z - _RIB_SLOPE * behind_m) / _VERTEBRA_PITCH_M
    number = np.rint(level).astype(int) + 1
    hoop = shell & (np.abs(level - np.rint(level)) < 0.24)
    hoop &= np.abs(painter.x) > 0.018
    bone = hoop & (painter.y > -0.065)
    front = hoop & (painter.y <= -0.065) & (number <= 10)
    painter.paint(front & (number >= 1), _CARTILAGE, 'costal_cartilages')
    for index in range(1, 13):
        for side, name in ((1, 'left'), (-1, 'right')):
            short = (index < 11) | (painter.y > 0.0)  # floating ribs end at the side
            region = bone & (number == index) & (side * painter.x > 0) & short
            painter.paint(region, _CORTICAL, f'rib_{name}_{index}')


def _paint_spine(painter: Painter) -> None:
    centre_x, centre_y = _SPINE_AXIS_M
    body = painter.cylinder((centre_x, centre_y), (0.018, 0.014))
    arch = painter.cylinder((centre_x, centre_y + 0.022), (0.016, 0.013))
    canal = painter.cylinder((centre_x, centre_y + 0.020), (0.008, 0.007))
    painter.paint(body <= 1, _DISC)
    names = [f'T{n}' for n in range(1, 13)] + [f'L{n}' for n in range(1, 6)]
    for name, here in painter.vertebrae(_TOP_VERTEBRA_M, _VERTEBRA_PITCH_M, 0.76, names):
        painter.paint(((body <= 1) | (arch <= 1)) & here, _CORTICAL, name)
        painter.paint((body <= 0.75) & here, _SPONGY, name)
    painter.paint(canal <= 1, _CORD, 'spinal_cord')
