"""What is seen apart from the anatomy: the device of a request, at any instant of a cine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.mesh import continuum_bodies
from synthex_ros.devices.continuum.parameters import LANDMARK_NAMES
from synthex_ros.geometry import View, pose_from_parameters, transform_points
from synthex_ros.rendering.mesh_file import read_mesh
from synthex_ros.rendering.request import RenderSettings
from synthex_ros.xray.attenuation import density_g_cm3

Points = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class DeviceShot:
    """A device at one instant.

    Attributes:
        bodies: closed meshes, posed in `world`.
        landmarks_world_m: points by name [m], each of shape (3,).
        world_from_device: pose of its base, shape (4, 4) [m].
        name: of the device, for people.
    """

    bodies: list[Body]
    landmarks_world_m: Points
    world_from_device: NDArray[np.float64]
    name: str


class Subject(Protocol):
    """A device that can be asked where it is."""

    def at(self, share: float) -> DeviceShot | None:
        """Return the device at `share` = 0 (first frame) to 1 (last frame); None without one."""


def make_subject(settings: RenderSettings) -> Subject:
    """Return the device that the settings name.

    Raises:
        ValueError, OSError: its joints are out of range, or its mesh is missing or unfit.
    """
    if settings.device == 'none':
        return _Nothing()
    if settings.device == 'continuum':
        return _Continuum(settings)
    return _Mesh(settings)


def check_in_front(bodies: list[Body], view: View) -> None:
    """Raise ValueError where a body reaches to the focal spot or behind the detector."""
    detector_m = view.geometry.source_to_detector_m
    for body in bodies:
        depth = view.to_source(body.vertices_world_m())[:, 2]
        if depth.min() <= 1e-3:
            raise ValueError(
                f'the device reaches depth {depth.min():.3f} m, at or behind the focal spot '
                f'(isocentre and detector are in front of it, the detector at {detector_m:g} m); '
                'check device_pose, metres from the isocentre'
            )
        if depth.max() > detector_m:
            raise ValueError(
                f'the device reaches depth {depth.max():.3f} m, behind the detector at '
                f'{detector_m:g} m; check device_pose, metres from the isocentre'
            )


class _Nothing:
    def at(self, share: float) -> None:
        """Return None."""


class _Continuum:
    """The notched manipulator, bent as its nominal kinematics says."""

    def __init__(self, settings: RenderSettings) -> None:
        self._settings = settings
        self._kinematics = ContinuumKinematics()
        limits = self._kinematics.parameters.limits
        for name in ('device_joints', 'device_joints_end'):
            joints = np.array(getattr(settings, name))
            if joints.size and not limits.contains(joints):
                ranges = ', '.join(
                    f'{joint} {low:g}..{high:g}'
                    for joint, low, high in zip(
                        limits.names, limits.lower, limits.upper, strict=True
                    )
                )
                raise ValueError(f'{name} must be within {ranges}, got {joints.tolist()}')

    def at(self, share: float) -> DeviceShot:
        """Return the manipulator at `share` of the cine."""
        settings = self._settings
        joints = _between(settings.device_joints, settings.device_joints_end, share)
        pose = _pose(settings, share)
        insertion, roll = float(joints[0]), float(joints[1])
        control = self._kinematics.control_of_tendons(joints[2], joints[3])
        angles = self._kinematics.notch_angles(control)
        ends = transform_points(pose, self._kinematics.landmarks(angles, insertion, roll))
        bodies = continuum_bodies(self._kinematics, angles, insertion, roll, pose)
        marks = dict(zip(LANDMARK_NAMES, ends, strict=True))
        return DeviceShot(bodies, marks, pose, 'continuum')


class _Mesh:
    """A rigid body from a file; its landmark is the middle of its corners' box."""

    def __init__(self, settings: RenderSettings) -> None:
        self._settings = settings
        density_g_cm3(settings.device_material)  # refuse an unknown one before the CT is read
        self._mesh = read_mesh(settings.device, settings.device_unit)
        corners = self._mesh.vertices_m
        self._middle = (corners.min(axis=0) + corners.max(axis=0)) / 2

    def at(self, share: float) -> DeviceShot:
        """Return the body at `share` of the cine."""
        pose = _pose(self._settings, share)
        body = Body(self._mesh, self._settings.device_material, pose, label=1)
        middle = transform_points(pose, self._middle)
        name = Path(self._settings.device).stem
        return DeviceShot([body], {'device_middle': middle}, pose, name)


def _between(first: tuple[float, ...], last: tuple[float, ...], share: float) -> NDArray:
    start = np.array(first)
    return start + share * (np.array(last) - start) if last else start


def _pose(settings: RenderSettings, share: float) -> NDArray[np.float64]:
    values = _between(settings.device_pose, settings.device_pose_end, share)
    return pose_from_parameters(values[:3], values[3:])
