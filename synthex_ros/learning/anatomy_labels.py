"""Labels of a patient's structures in a view: masks by exact projection, and landmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.landmark_points import check_in_volume, read_points_m
from synthex_ros.anatomy.structure_groups import is_cut, merged_structures
from synthex_ros.anatomy.vertebral_body import vertebral_body_centre_m
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import transform_points
from synthex_ros.learning.coco import annotation_of
from synthex_ros.learning.labelled import inside
from synthex_ros.learning.structure_sampling import BODY, POINT, StructureSampling
from synthex_ros.learning.truth import keypoints_of, open_mask
from synthex_ros.learning.view_setup import ViewSetup
from synthex_ros.xray.label_projection import LabelProjector

Array = NDArray[np.float64]


class AnatomyLabels:
    """Structures of one CT as categories, and points of them as their landmarks.

    Args:
        volume: the CT with labels.
        settings: what is labelled.
        points: table of marked points of this CT; None where no landmark asks for one.
        margin_px: distance to the edges of the open field from which a landmark is visible.

    Raises:
        ValueError: the CT has no labels, lacks a structure or a point, or does not hold one.
        FileNotFoundError: the table of points is missing.
    """

    def __init__(
        self, volume: Volume, settings: StructureSampling, points: str | None, margin_px: float
    ) -> None:
        if volume.labels is None:
            raise ValueError(
                f'device: anatomy needs a CT with segmented structures, {volume.name!r} has none; '
                'name its label image under segmentations:, with ids of TotalSegmentator 2'
            )
        self._settings, self._margin_px = settings, margin_px
        self.points_m = _landmark_points_m(volume, settings, points)
        self._projector = LabelProjector(merged_structures(volume, settings.groups))

    def annotations(self, image_id: int, setup: ViewSetup) -> list[dict[str, Any]]:
        """Return an annotation of every group that is seen in a view, without ids.

        Args:
            image_id: number of the frame.
            setup: a view of this CT's patient.
        """
        found = []
        for number, group in enumerate(self._settings.groups, start=1):
            mask = self._mask(group, setup)
            keypoints = self._keypoints(group, setup, mask.shape)
            if mask.any() or keypoints[:, 2].any():
                marks = keypoints if len(keypoints) else None
                found.append(annotation_of(image_id, mask, marks, number))
        return found

    def depth_m(self, setup: ViewSetup) -> float | None:
        """Return the mean distance of the landmarks on the image to the focal spot [m].

        Along the beam's central ray; None where there is no landmark.
        """
        view = setup.seen.view
        points_m = np.reshape(list(self.points_m.values()), (-1, 3))
        world_m = transform_points(setup.seen.world_from_patient, points_m)
        shown_m = world_m[inside(view.project(world_m), view.geometry.shape_px)]
        return float(view.to_source(shown_m)[:, 2].mean()) if len(shown_m) else None

    def _mask(self, group: str, setup: ViewSetup) -> NDArray[np.bool_]:
        seen = setup.seen
        shadow = self._projector.project(
            group, seen.view, seen.world_from_patient, self._settings.least_path_m
        )
        return open_mask(shadow.mask.astype(np.uint8), setup.field_px) > 0

    def _keypoints(self, group: str, setup: ViewSetup, shape_px: tuple[int, ...]) -> Array:
        """Return COCO keypoints of a group's landmarks, shape (L, 3); what the CT lacks is 0."""
        names = self._settings.landmarks_of(group)
        result = np.zeros((len(names), 3))
        known = [row for row, name in enumerate(names) if name in self.points_m]
        if known:
            points_m = np.array([self.points_m[names[row]] for row in known])
            world_m = transform_points(setup.seen.world_from_patient, points_m)
            result[known] = keypoints_of(
                setup.seen.view.project(world_m),
                setup.field_px,
                shape_px,
                self._margin_px,
                np.ones(len(known), bool),
            )
        return result


def _landmark_points_m(
    volume: Volume, settings: StructureSampling, table: str | None
) -> dict[str, Array]:
    """Return the landmarks that a CT shows whole, in `patient_lps` [m], shape (3,), by name."""
    marked = {} if table is None else read_points_m(table)
    points: dict[str, Array] = {}
    for name, (structure, place) in settings.landmarks.items():
        if place == POINT:
            points[name] = _marked_point_m(name, marked, volume)
        elif not is_cut(volume, structure):
            centre = (
                vertebral_body_centre_m if place == BODY else Volume.structure_centre_patient_m
            )
            points[name] = centre(volume, structure)
    return points


def _marked_point_m(name: str, marked: dict[str, Array], volume: Volume) -> Array:
    if name not in marked:
        raise ValueError(
            f'landmark {name!r} is a point, but the table of points of {volume.name!r} lists '
            f'{list(marked) or "none"}; add a line, or name the table under points: of structures'
        )
    check_in_volume(name, marked[name], volume)
    return marked[name]
