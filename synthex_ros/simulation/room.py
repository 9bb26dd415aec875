"""The simulated operating room: patient, C-arm and device, and what an exposure shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.bodies import Body
from synthex_ros.geometry import Array, View
from synthex_ros.simulation.breathing import Breathing
from synthex_ros.simulation.carm_axes import CArmAxes
from synthex_ros.simulation.deforming_anatomy import DeformingAnatomy
from synthex_ros.xray.anatomy_layer import AnatomyLayer
from synthex_ros.xray.exposure_control import ExposureControl
from synthex_ros.xray.lag import LagMemory
from synthex_ros.xray.radiograph import Radiograph
from synthex_ros.xray.renderer import Renderer


class VisibleDevice(Protocol):
    """What the room needs of a device; `synthex_ros.devices.base.Device` is one."""

    def step(self, duration_s: float) -> object:
        """Advance the device by `duration_s` [s]."""

    def bodies(self, world_from_device_base: ArrayLike) -> list[Body]:
        """Return the closed meshes to draw, posed in `world`."""

    def landmarks(self, world_from_device_base: ArrayLike) -> Array:
        """Return the landmark positions in `world`, shape (K, 3) [m]."""

    def centerline(self, world_from_device_base: ArrayLike) -> Array:
        """Return points from base to tip in `world`, shape (N, 3) [m]."""

    def tip_pose(self, world_from_device_base: ArrayLike) -> Array:
        """Return the tip frame in `world`, shape (4, 4) [m]."""


@dataclass(frozen=True)
class Exposure:
    """One radiograph with everything that is true about it.

    Attributes:
        index: number of the exposure since the last reset; gaps in what arrives are losses.
        stamp_ns: exposure time [ns].
        view: projection geometry and pose of the C-arm.
        radiograph: detector counts, label mask, technique and dose.
        world_from_tip: true tip frame, shape (4, 4) [m].
        landmarks_px: true landmarks (u, v) [px], shape (K, 2).
        landmarks_visible: which of them the beam reaches, shape (K,).
        centerline_world_m: true centre line, shape (N, 3) [m].
    """

    index: int
    stamp_ns: int
    view: View
    radiograph: Radiograph
    world_from_tip: Array
    landmarks_px: Array
    landmarks_visible: NDArray[np.bool_]
    centerline_world_m: Array


class Room:
    """Patient, C-arm and device in one world.

    Args:
        renderer: makes radiographs of the patient; `world_from_patient` at rest is its scene's.
        axes: the C-arm.
        device: the device under the beam.
        world_from_device_base: where the device's base stands, shape (4, 4) [m].
        breathing: motion of the anatomy.
        seed: seed of the quantum and electronic noise.
        control: sets the charge of every view; None leaves the renderer's technique.
        interval_s: from frame to frame; only lag asks [s].
        deforming: breathing and heartbeat as a deformation, instead of `breathing`. The device
            stands in the world and does not move with the tissue round it.
    """

    def __init__(
        self,
        renderer: Renderer,
        axes: CArmAxes,
        device: VisibleDevice,
        world_from_device_base: NDArray[np.float64],
        breathing: Breathing,
        seed: int,
        control: ExposureControl | None = None,
        interval_s: float = 1 / 15,
        deforming: DeformingAnatomy | None = None,
    ) -> None:
        self._renderer, self.axes, self._device = renderer, axes, device
        self._world_from_device_base = world_from_device_base
        self._breathing, self._seed = breathing, seed
        self._control, self._interval_s = control, interval_s
        self.deforming = deforming
        self.reset()

    def reset(self) -> None:
        """Start again at time zero: same seed, same frames. The device is reset by its owner."""
        self.time_s = 0.0
        self.exposures = 0
        self.air_kerma_gy = 0.0
        self._memory: LagMemory | None = None
        self.axes.reset()

    def prepare(self) -> None:
        """Render a frame of the present view now and throw it away.

        So no frame has to wait for its anatomy, nor the first one for kernels to be compiled.
        """
        view, renderer = self.axes.view(), self._renderer
        renderer.render(
            view,
            self._device.bodies(self._world_from_device_base),
            np.random.default_rng(self._seed),
            layer=self._anatomy(view, all_phases=True),
            memory=renderer.chain.memory(view.geometry.shape_px),
            interval_s=self._interval_s,
        )

    def advance(self, duration_s: float) -> None:
        """Move C-arm and device on by `duration_s` [s]."""
        if duration_s < 0:
            raise ValueError(f'time cannot go back: duration_s must be >= 0, got {duration_s:g}')
        self.axes.advance(duration_s)
        self._device.step(duration_s)
        self.time_s += duration_s

    def expose(self, stamp_ns: int) -> Exposure:
        """Take one radiograph now and stamp it `stamp_ns` [ns]."""
        view, base = self.axes.view(), self._world_from_device_base
        noise = np.random.default_rng([self._seed, self.exposures])
        radiograph = self._renderer.render(
            view,
            self._device.bodies(base),
            noise,
            layer=self._anatomy(view),
            memory=self._lag(view),
            interval_s=self._interval_s,
        )
        landmarks_px = self._renderer.project(view, self._device.landmarks(base))
        exposure = Exposure(
            index=self.exposures,
            stamp_ns=stamp_ns,
            view=view,
            radiograph=radiograph,
            world_from_tip=self._device.tip_pose(base),
            landmarks_px=landmarks_px,
            landmarks_visible=self._renderer.chain.shows(landmarks_px, view.geometry),
            centerline_world_m=self._device.centerline(base),
        )
        self.exposures += 1
        self.air_kerma_gy += radiograph.air_kerma_gy
        return exposure

    def _lag(self, view: View) -> LagMemory | None:
        """Return the detector's memory; another frame size is another detector, at rest."""
        shape = view.geometry.shape_px
        if self._memory is None or self._memory.states.shape[1:] != shape:
            self._memory = self._renderer.chain.memory(shape)
        return self._memory

    def _anatomy(self, view: View, all_phases: bool = False) -> AnatomyLayer:
        """Return the anatomy now; a draft while the C-arm moves, so that no frame is late."""
        renderer, draft = self._renderer, self.axes.moving and not all_phases
        rest, technique = renderer.scene.world_from_patient, None
        if self._control is not None:
            technique = renderer.regulated(self._control, view, rest, draft=draft)
        if self.deforming is not None:
            tip_m = self._device.tip_pose(self._world_from_device_base)[:3, 3]
            return self.deforming.layer(view, technique, self.time_s, tip_m, draft)
        if self._breathing.amplitude_m == 0:
            return renderer.anatomy(view, rest, technique, draft=draft)
        inspiration = self._breathing.inspiration(self.time_s)
        if draft:
            moved = rest @ self._breathing.displacement(inspiration)
            return renderer.anatomy(view, moved, technique, draft=True)

        def phase(inspiration: float) -> AnatomyLayer:
            moved = rest @ self._breathing.displacement(inspiration)
            return renderer.anatomy(view, moved, technique)

        if all_phases:
            for step in range(self._breathing.phases):
                phase(step / (self._breathing.phases - 1))
        low, high, weight = self._breathing.neighbours(inspiration)
        return renderer.blend(phase(low), phase(high), weight)
