"""What the studies compare: the arms, as changes to one scene and one recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from synthex_ros.learning.sampling import SceneSampling

REGULAR, STRONG = 0.0, 0.5
"""Share of the crops with strong randomization, as SyntheX's regular and strong sets."""

PATIENTS = ('chest', 'head', 'phantoms')
"""Anatomies of a study that leaves patients out; the head CT where it is installed."""

SIZES = (1000, 2000, 5000, 10000)


@dataclass(frozen=True)
class Arm:
    """One training of a study.

    Attributes:
        name: of the arm.
        scene: changes to the scene; `imaging` and `distractors` change what they name alone.
        recipe: changes to the training settings.
        beside: what SyntheX reports for the like arm, landmark error [mm] and Dice; '' where it
            has none.
    """

    name: str
    scene: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    beside: str = ''


_MATCHED = {
    'naive': '10.50 mm, 0.73',
    'heuristic': '7.18 mm, 0.79',
    'realistic': '6.44 mm, 0.80',
}
_SCALED = {1000: '6.61 mm, 0.82', 2000: '6.56 mm, 0.81', 5000: '5.82 mm, 0.82',
           10000: '5.95 mm, 0.86'}  # fmt: skip


def domain_arms(frames: int) -> tuple[Arm, ...]:
    """Return {naive, heuristic, realistic} rendering x {regular, strong} randomization."""
    return tuple(
        Arm(
            f'{level}, {name}',
            {'realism': level},
            {'strong_probability': share, 'frames': frames},
            _MATCHED[level] if share == STRONG else '',
        )
        for level in ('naive', 'heuristic', 'realistic')
        for name, share in (('regular', REGULAR), ('strong', STRONG))
    )


def size_arms(frames: int) -> tuple[Arm, ...]:
    """Return data sets of 1k, 2k, 5k and 10k frames, up to `frames`."""
    sizes = [size for size in SIZES if size <= frames] or [frames]
    return tuple(
        Arm(f'{size} frames', {}, {'frames': size}, _SCALED.get(size, '')) for size in sizes
    )


def ablation_arms(frames: int) -> tuple[Arm, ...]:
    """Return the whole scene, and scenes that lack one part each."""
    lacking: dict[str, dict[str, Any]] = {
        'everything': {},
        'no foreign objects': {'distractors': {'share': 0.0, 'negative_share': 0.0}},
        'no frames without device': {'negative_share': 0.0},
        'no blades': {'imaging': {'collimated_share': 0.0}},
        'no device at an edge': {'edge_share': 0.0},
        'no scatter': {'imaging': {'scatter_share': 0.0}},
        'no phantoms': {'anatomies': {'chest': 1.0}},
        'phantoms alone': {'anatomies': {'phantoms': 1.0}},
    }
    return tuple(Arm(name, scene, {'frames': frames}) for name, scene in lacking.items())


def patient_arms(frames: int) -> tuple[Arm, ...]:
    """Return one patient each to learn from: every other one is left out."""
    return tuple(
        Arm(f'trained on {name}', {'anatomies': {name: 1.0}}, {'frames': frames})
        for name in PATIENTS
    )


ARMS = {
    'domain': domain_arms,
    'size': size_arms,
    'ablation': ablation_arms,
    'patients': patient_arms,
}
"""Arms of a study by its name; each takes the number of training frames."""


def changed_scene(scene: SceneSampling, changes: Mapping[str, Any]) -> SceneSampling:
    """Return a scene with some settings changed."""
    merged = {
        name: replace(getattr(scene, name), **value)
        if name in ('imaging', 'distractors')
        else value
        for name, value in changes.items()
    }
    return replace(scene, **merged)
