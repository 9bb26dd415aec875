"""How the chest of a CT moves, from a model's name and two amplitudes."""

from __future__ import annotations

from synthex_ros.anatomy.motion import ChestMotion
from synthex_ros.anatomy.volume import Volume
from synthex_ros.simulation.breathing import BREATHING_MODELS

_BREASTBONE_SHARE = 4 / 15  # of the diaphragm's way, as ChestMotion's own


def chest_motion(
    volume: Volume, model: str, breathing_m: float, heartbeat_m: float
) -> ChestMotion | None:
    """Return the deformation of a chest, or None where nothing deforms.

    Args:
        volume: CT at rest.
        model: 'rigid' moves the whole anatomy, 'deformable' the chest's parts.
        breathing_m: way of the diaphragm at full inspiration [m].
        heartbeat_m: greatest inward motion of the heart's wall [m].

    Raises:
        ValueError: the model is unknown, or the heartbeat fits neither model nor CT.
    """
    if model not in BREATHING_MODELS:
        raise ValueError(
            f'breathing_model must be one of {", ".join(BREATHING_MODELS)}, got {model!r}'
        )
    if model == 'rigid' and heartbeat_m > 0:
        raise ValueError(
            f'heartbeat_amplitude_m = {heartbeat_m:g} needs breathing_model: deformable, got '
            'rigid; breathing_amplitude_m may stay 0'
        )
    if model == 'rigid' or (breathing_m == 0 and heartbeat_m == 0):
        return None
    motion = ChestMotion.of(
        volume,
        diaphragm_m=breathing_m,
        breastbone_m=_BREASTBONE_SHARE * breathing_m,
        heart_m=heartbeat_m,
    )
    if heartbeat_m > 0 and motion.heart_centre_m is None:
        raise ValueError(
            f'a heartbeat needs a CT with lungs, thoracic vertebrae and heart labelled, and '
            f'{volume.name!r} is not; set heartbeat_amplitude_m to 0'
        )
    return motion
