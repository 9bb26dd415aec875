"""A procedural head: ellipsoids and shells with the CT numbers and labels of a real one.

What an X-ray of a head is made of is there: a vault of two tables with diploe between them, a
sloping base with dense petrous ridges, air-filled sinuses, orbits, jaws with teeth, the neck with
its spine and airway, and air all around. Sizes are those of an adult to within some millimetres.
Coordinates are patient_lps with the origin at the centre of the grid, at the height of the eyes.
"""

from __future__ import annotations

import numpy as np

from synthex_ros.anatomy.painter import AIR_HU, Grid, Painter
from synthex_ros.anatomy.volume import Volume

_FAT, _MUSCLE, _BRAIN, _FLUID, _CELLS = -80, 45, 35, 8, -450
_CORTICAL, _DIPLOE, _PETROUS, _SPONGY, _TOOTH, _DISC = 1150, 450, 1500, 300, 2200, 80

_CRANIUM = ((0.0, 0.008, 0.030), (0.074, 0.092, 0.092))
_FACE = ((0.0, -0.042, -0.040), (0.060, 0.058, 0.085))
_NECK = ((0.0, 0.020), (0.052, 0.058))
_SIDES = 1, -1

_BASE_M, _BASE_SLOPE = -0.020, 0.30  # the base falls from the orbits to the nape
_FORAMEN = ((0.0, 0.028), (0.014, 0.017))
_MANDIBLE = ((0.0, -0.030), (0.047, 0.062))
_ARCH = ((0.0, -0.048), (0.026, 0.042))  # of the teeth
_TEETH = 14
_SPINE_M, _TOP_VERTEBRA_M, _VERTEBRA_PITCH_M = (0.0, 0.032), -0.056, 0.018


def head_phantom(
    shape: tuple[int, int, int] = (176, 156, 124),
    spacing_m: float = 1.5e-3,
    vault_m: float = 0.0065,
) -> Volume:
    """Return the head as a `Volume` with labels of skull, brain and vertebrae.

    Args:
        shape: voxels as (z, y, x); what the grid does not cover is cut off.
        spacing_m: voxel spacing on all axes [m].
        vault_m: thickness of the vault [m].

    Raises:
        ValueError: the thickness is not one of a skull.
    """
    if not 0.002 <= vault_m <= 0.015:
        raise ValueError(f'vault_m must be 0.002..0.015 m, got {vault_m:g}; 6.5 mm is 0.0065')
    painter = Painter(shape, spacing_m)
    _paint_soft_tissue(painter)
    _paint_spine(painter)
    _paint_cranium(painter, vault_m)
    _paint_base(painter)
    _paint_face(painter)
    _paint_jaws(painter)
    _paint_airway(painter)
    return painter.volume('head_phantom')


def _grown(part, margin_m: float):
    """Return an ellipsoid or cylinder, centre and radii [m], with other radii."""
    centre, radii = part
    return centre, tuple(radius + margin_m for radius in radii)


def _paint_soft_tissue(painter: Painter) -> None:
    """Neck, scalp and face: muscle under some millimetres of fat."""
    for scalp_m, nape_m, hu in ((0.005, 0.006, _FAT), (0.0, 0.0, _MUSCLE)):
        for part in (_CRANIUM, _FACE):
            painter.paint(painter.ellipsoid(*_grown(part, scalp_m)) <= 1, hu)
        neck = painter.cylinder(*_grown(_NECK, nape_m)) <= 1
        painter.paint(neck & (painter.z < -0.03), hu)
    painter.paint(painter.ellipsoid((0, -0.100, -0.028), (0.014, 0.018, 0.024)) <= 1, _MUSCLE)


def _base(painter: Painter) -> Grid:
    """Return the height above the base of the skull [m]."""
    return painter.z - _BASE_M + _BASE_SLOPE * painter.y + 0 * painter.x


def _paint_cranium(painter: Painter, vault_m: float) -> None:
    above = _base(painter) > 0
    for depth, hu in ((0.0, _CORTICAL), (0.3, _DIPLOE), (0.7, _CORTICAL)):
        shell = painter.ellipsoid(*_grown(_CRANIUM, -depth * vault_m)) <= 1
        painter.paint(shell & above, hu, 'skull')
    inside = painter.ellipsoid(*_grown(_CRANIUM, -vault_m)) <= 1
    painter.paint(inside & above, _BRAIN, 'brain')
    for side in _SIDES:
        ventricle = painter.ellipsoid((side * 0.012, 0.005, 0.035), (0.007, 0.038, 0.012)) <= 1
        painter.paint(ventricle, _FLUID, 'brain')


def _paint_base(painter: Painter) -> None:
    """A slab on the slope, the petrous ridges towards its middle, air cells behind the ears."""
    inside = painter.ellipsoid(*_CRANIUM) <= 1
    slab = inside & (np.abs(_base(painter)) < 0.004)
    painter.paint(slab & (painter.cylinder(*_FORAMEN) > 1), _CORTICAL, 'skull')
    painter.paint(inside & (painter.cylinder(*_FORAMEN) <= 0.8) & (painter.z < 0), _BRAIN)
    for side in _SIDES:
        mastoid = ((side * 0.056, 0.036, -0.046), (0.013, 0.016, 0.020))
        painter.paint(painter.ellipsoid(*mastoid) <= 1, _SPONGY, 'skull')
        painter.paint(painter.ellipsoid(*_grown(mastoid, -0.004)) <= 1, _CELLS)
        # The ridge runs from the ear forward to the middle, at 45 degrees.
        x, y = painter.x - side * 0.040, painter.y - 0.018
        along, across = (side * x + y) / np.sqrt(2), (side * x - y) / np.sqrt(2)
        ridge = (along / 0.030) ** 2 + (across / 0.009) ** 2 + ((painter.z + 0.026) / 0.010) ** 2
        painter.paint(ridge <= 1, _PETROUS, 'skull')


def _cavity(painter: Painter, part, hu: int, wall_m: float = 0.002) -> None:
    """Paint what fills a cavity and its wall of bone."""
    painter.paint(painter.ellipsoid(*_grown(part, wall_m)) <= 1, _CORTICAL, 'skull')
    painter.paint(painter.ellipsoid(*part) <= 1, hu)


def _paint_face(painter: Painter) -> None:
    """Orbits with globes, sinuses, the nose, and the arches of the cheeks."""
    painter.paint(
        painter.ellipsoid((0, -0.058, -0.045), (0.040, 0.036, 0.020)) <= 1, _SPONGY, 'skull'
    )
    for side in _SIDES:
        _cavity(painter, ((side * 0.032, -0.062, -0.004), (0.019, 0.026, 0.018)), _FAT, 0.003)
        globe = painter.ellipsoid((side * 0.032, -0.076, -0.004), (0.012,) * 3) <= 1
        painter.paint(globe, _FLUID)
        _cavity(painter, ((side * 0.027, -0.055, -0.036), (0.014, 0.018, 0.016)), AIR_HU)
        _cavity(painter, ((side * 0.012, -0.078, 0.020), (0.011, 0.006, 0.011)), AIR_HU)
    _cavity(painter, ((0, -0.012, -0.022), (0.013, 0.012, 0.010)), AIR_HU)
    _cavity(painter, ((0, -0.050, -0.010), (0.012, 0.026, 0.013)), _CELLS, 0.001)
    _cavity(painter, ((0, -0.060, -0.037), (0.012, 0.036, 0.020)), AIR_HU, 0.001)
    nose = painter.ellipsoid((0, -0.060, -0.037), (0.012, 0.036, 0.020)) <= 1
    painter.paint(nose & (np.abs(painter.x) < 0.0015), _SPONGY, 'skull')
    ring = np.sqrt(painter.cylinder((0, -0.025), (0.064, 0.050)))
    arch = (np.abs(ring - 1) < 0.05) & (np.abs(painter.z + 0.030) < 0.004)
    painter.paint(arch & (np.abs(painter.x) > 0.045), _CORTICAL, 'skull')


def _paint_jaws(painter: Painter) -> None:
    """The mandible, body and branches, and both rows of teeth."""
    ring = np.sqrt(painter.cylinder(*_MANDIBLE))
    body = (np.abs(ring - 1) < 0.10) & (painter.y < 0) & (np.abs(painter.z + 0.088) < 0.011)
    painter.paint(body, _CORTICAL, 'skull')
    painter.paint(body & (np.abs(ring - 1) < 0.05), _SPONGY, 'skull')
    branch = (np.abs(np.abs(painter.x) - 0.047) < 0.004) & (np.abs(painter.y + 0.002) < 0.013)
    painter.paint(branch & (np.abs(painter.z + 0.062) < 0.034), _CORTICAL, 'skull')
    (x0, y0), (across, along) = _ARCH
    for angle in np.linspace(0.05, 0.95, _TEETH) * np.pi:
        x, y = x0 + across * np.cos(angle), y0 - along * np.sin(angle)
        for z in (-0.059, -0.073):
            painter.paint(
                painter.ellipsoid((x, y, z), (0.0036, 0.0036, 0.0085)) <= 1, _TOOTH, 'skull'
            )


def _paint_spine(painter: Painter) -> None:
    x, y = _SPINE_M
    below = painter.z < _TOP_VERTEBRA_M + _VERTEBRA_PITCH_M / 2
    body = painter.cylinder((x, y), (0.012, 0.009))
    arch = painter.cylinder((x, y + 0.018), (0.020, 0.013))
    canal = painter.cylinder((x, y + 0.016), (0.009, 0.007))
    painter.paint((body <= 1) & below, _DISC)
    names = [f'C{n}' for n in range(1, 8)]
    for name, here in painter.vertebrae(_TOP_VERTEBRA_M, _VERTEBRA_PITCH_M, 0.72, names):
        painter.paint(((body <= 1) | (arch <= 1)) & here, _CORTICAL, name)
        painter.paint(((body <= 0.7) | (arch <= 0.6)) & here, _SPONGY, name)
    painter.paint((canal <= 1) & below, _BRAIN)


def _paint_airway(painter: Painter) -> None:
    pharynx = painter.cylinder((0, 0.004), (0.010, 0.007)) <= 1
    painter.paint(pharynx & (painter.z < -0.030), AIR_HU, 'trachea')
    painter.paint(painter.ellipsoid((0, -0.035, -0.062), (0.016, 0.026, 0.004)) <= 1, AIR_HU)
