"""Which structures of a CT are labelled in training data, and which points of them."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

CENTRE, BODY, POINT = 'centre', 'body', 'point'
PLACES = (CENTRE, BODY, POINT)
"""Where in its structure a landmark lies: centre, centre of a vertebral body, or as listed."""


@dataclass(frozen=True)
class StructureSampling:
    """Masks and landmarks of `device: anatomy`.

    Attributes:
        groups: structures of the CT, by name or shell pattern, of each category.
        landmarks: structure and place of each landmark: 'centre' of all its voxels, 'body' of a
            vertebra (in front of the spinal cord), or a 'point' that the CT's table lists. The
            centre or body of a structure that the CT cuts is not labelled.
        points: table of points of each anatomy: CSV with name, x_mm, y_mm, z_mm in patient LPS.
        least_path_m: a pixel belongs to a group where its ray runs this far inside [m].
    """

    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    landmarks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    points: Mapping[str, str] = field(default_factory=dict)
    least_path_m: float = 2e-3

    def __post_init__(self):
        for name, entry in self.landmarks.items():
            if isinstance(entry, str) or len(entry) != 2 or entry[1] not in PLACES:
                raise ValueError(
                    f'landmark {name!r} must be [structure, place] with a place of '
                    f'{", ".join(PLACES)}, got {entry!r}'
                )
            self.group_of(entry[0])
        if not 0 < self.least_path_m <= 0.1:
            hint = '; 2 mm are 0.002' if self.least_path_m > 0.1 else ''
            raise ValueError(
                f'least_path_m must be in (0, 0.1] m, got {self.least_path_m:g}{hint}'
            )

    def group_of(self, structure: str) -> str:
        """Return the group that a structure belongs to.

        Raises:
            ValueError: none does.
        """
        for group, patterns in self.groups.items():
            if any(fnmatch.fnmatch(structure, pattern) for pattern in patterns):
                return group
        raise ValueError(
            f'structure {structure!r} of a landmark is in none of the groups '
            f'{list(self.groups)}; add it to one of them'
        )

    def landmarks_of(self, group: str) -> list[str]:
        """Return the names of a group's landmarks, in order."""
        return [
            name
            for name, (structure, _) in self.landmarks.items()
            if self.group_of(structure) == group
        ]
