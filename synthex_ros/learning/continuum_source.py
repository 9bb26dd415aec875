"""Continuum manipulators for training frames: free in the field, bent at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.mesh import continuum_bodies, shorter_tubes
from synthex_ros.devices.continuum.parameters import LANDMARK_NAMES
from synthex_ros.learning.sampling import SceneSampling, draw_device
from synthex_ros.learning.shown_device import ShownDevice, category_of
from synthex_ros.learning.view_setup import ViewSetup
from synthex_ros.settings import as_plain

_CENTERLINE_POINTS = 9


class ContinuumSource:
    """Draws continuum manipulators; see `DeviceSource`."""

    def __init__(self, sampling: SceneSampling) -> None:
        self._sampling, self._kinematics = sampling, ContinuumKinematics()
        self.categories = [category_of('continuum_manipulator', LANDMARK_NAMES)]
        self.about = as_plain(self._kinematics.parameters)

    def draw(self, setup: ViewSetup, rng: np.random.Generator) -> ShownDevice:
        """Draw pose and shape in a view."""
        sample = draw_device(self._sampling, self._kinematics, setup.seen, setup.field_px, rng)
        pose = sample.world_from_device_base
        base, tip = sample.landmarks_world_m
        share = np.linspace(0, 1, _CENTERLINE_POINTS)[:, None]
        bodies = continuum_bodies(self._kinematics, sample.notch_angles, 0.0, sample.roll, pose)
        return ShownDevice(
            bodies,
            sample.landmarks_world_m,
            base + share * (tip - base),
            {
                'world_from_device_base': pose.tolist(),
                'roll_rad': sample.roll,
                'control_rad': sample.control_rad.tolist(),
            },
            [[tube, bodies[1]] for tube in self._moved(bodies[0], sample.notch_angles)],
        )

    def _moved(self, tube: Body, notch_angles: NDArray[np.float64]) -> list[Body]:
        """Return the tube with its base, then with its tip, a notch further in."""
        return [replace(tube, mesh=mesh) for mesh in shorter_tubes(self._kinematics, notch_angles)]
