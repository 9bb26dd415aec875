"""Groups of segmented structures, such as all ribs, and structures that the CT cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from synthex_ros.anatomy.volume import Volume


def merged_structures(volume: Volume, groups: Mapping[str, Sequence[str]]) -> Volume:
    """Return the volume with its structures merged into groups; what is in none has no label.

    Args:
        volume: CT with labels.
        groups: names or shell patterns of structures, by name of the group.

    Raises:
        ValueError: the volume has no labels, a pattern fits no structure of it, or a structure
            would be in two groups.
    """
    number = np.zeros(256, np.uint8)
    owner: dict[str, str] = {}
    for index, (group, patterns) in enumerate(groups.items(), start=1):
        for structure in {name for p in patterns for name in volume.structures_like(p)}:
            if structure in owner:
                raise ValueError(
                    f'structure {structure!r} is in the groups {owner[structure]!r} and '
                    f'{group!r}; it may be in one: narrow one of their patterns'
                )
            owner[structure] = group
            number[volume.structures[structure]] = index
    labels = None if volume.labels is None else number[volume.labels]
    numbers = {group: index for index, group in enumerate(groups, start=1)}
    return Volume(
        volume.hu, volume.spacing_m, volume.patient_from_grid, labels, numbers, volume.name
    )


def is_cut(volume: Volume, structure: str) -> bool:
    """Tell whether a structure reaches the border of the volume, which may cut it.

    Raises:
        ValueError: the volume has no labels or no structure of that name.
    """
    mask = volume.structure_mask(structure)
    faces = (np.moveaxis(mask, axis, 0)[end] for axis in range(3) for end in (0, -1))
    return any(bool(face.any()) for face in faces)
