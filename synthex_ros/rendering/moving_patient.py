"""Where the patient's tissue is during a cine: breathing as a whole, or as a deforming chest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import View, transform_points
from synthex_ros.rendering.request import RenderSettings
from synthex_ros.simulation.breathing import Breathing
from synthex_ros.simulation.chest import chest_motion
from synthex_ros.simulation.deforming_anatomy import DeformingAnatomy
from synthex_ros.xray.label_projection import LabelProjector, StructureImage
from synthex_ros.xray.projector import Projector
from synthex_ros.xray.renderer import AnatomyLayer, Renderer, Technique

Array = NDArray[np.float64]

_FURTHEST_M = 2e-3
"""A structure may be moved by this more than the amplitudes say: voxels and interpolation."""


class MovingPatient:
    """Anatomy, structures and their centres at any time of a cine.

    Args:
        settings: breathing and heartbeat.
        world_from_rest: pose of the patient at the end of expiration, shape (4, 4) [m].
        renderer: makes the anatomy; for a deformation its scene must lie at `world_from_rest`.
        labels: structures of the CT at rest.
        projector: of moving structures.

    Raises:
        ValueError: the motion does not fit the CT.
    """

    def __init__(
        self,
        settings: RenderSettings,
        world_from_rest: Array,
        renderer: Renderer,
        labels: LabelProjector,
        projector: Projector,
    ) -> None:
        self._settings, self._rest, self._renderer = settings, world_from_rest, renderer
        self._breathing = Breathing(settings.breathing_amplitude_m, settings.breathing_period_s)
        self._labels, self._deforming = labels, None
        breath_m, heart_m = settings.breathing_amplitude_m, settings.heartbeat_amplitude_m
        self._motion = chest_motion(labels.volume, settings.breathing_model, breath_m, heart_m)
        if self._motion is not None:
            self._deforming = DeformingAnatomy(
                renderer, self._motion, self._breathing, settings.heart_rate_hz, background=False
            )
            room_m = breath_m + heart_m + _FURTHEST_M
            self._labels = LabelProjector(labels.volume, projector, room_m)

    def shares(self, time_s: float) -> tuple[float, float]:
        """Return the shares of full inspiration and contraction, 0..1, at a time [s]."""
        if self._deforming is None:
            return self._breathing.inspiration(time_s), 0.0
        return self._deforming.shares(time_s)

    def world_from_patient(self, time_s: float) -> Array:
        """Return the rigid pose of the patient at a time; a deforming chest rests as a whole."""
        if self._deforming is not None:
            return self._rest
        return self._rest @ self._breathing.displacement(self._breathing.inspiration(time_s))

    def layer(
        self, view: View, technique: Technique, time_s: float, near_world_m: Array
    ) -> AnatomyLayer:
        """Return the anatomy of a frame.

        Args:
            view: geometry and pose of the exposure.
            technique: tube settings.
            time_s: since the first frame [s].
            near_world_m: where the device is [m]: it displaces the tissue that lies there now.
        """
        if self._deforming is None or self.shares(time_s) == (0.0, 0.0):
            return self._renderer.anatomy(view, self.world_from_patient(time_s), technique)
        return self._deforming.exact(view, technique, time_s, near_world_m)

    def structure(self, name: str, view: View, time_s: float) -> StructureImage:
        """Return a structure as it lies at a time, in a view."""
        pose, least_m = self.world_from_patient(time_s), self._settings.label_path_m
        if self._motion is None:
            return self._labels.project(name, view, pose, least_m)
        motion, shares = self._motion, self.shares(time_s)

        def moved(box: Volume) -> Volume:
            return motion.slab(box, *shares)

        return self._labels.project(name, view, pose, least_m, moved)

    def centre_world_m(self, name: str, time_s: float) -> Array:
        """Return the centre of a structure at a time in `world` [m], shape (3,)."""
        centre = self._labels.centre_patient_m(name)
        if self._motion is not None:
            settings = self._settings
            breath = time_s / settings.breathing_period_s
            centre = self._motion.moved(centre, breath, time_s * settings.heart_rate_hz)
        return transform_points(self.world_from_patient(time_s), centre)
