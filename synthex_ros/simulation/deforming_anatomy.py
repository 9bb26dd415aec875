"""The patient's anatomy while breathing and heartbeat deform it: cached states, interpolated.

A state is a share of full inspiration and one of full contraction. The states of the present view
are projected one after the other and kept; a frame is interpolated between those around it. In
the background, frames do not wait: they use the states that are there, first of all the CT at
rest. A deformed CT exists in slabs only, each of which is dropped once it is projected: the
area densities of slabs add up to the whole's.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from synthex_ros.anatomy.materials import MaterialTable
from synthex_ros.anatomy.motion import ChestMotion
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import Array, View, invert_pose, make_pose, transform_points
from synthex_ros.simulation.breathing import Breathing
from synthex_ros.xray.beam import Technique
from synthex_ros.xray.parallel import parallel
from synthex_ros.xray.renderer import AnatomyLayer, Renderer
from synthex_ros.xray.shear_warp import ShearWarpProjector

LAYER_BYTES = 320 * 2**20
"""Memory that the states of a view may take; larger images get fewer states."""

SLAB_SLICES = 17
"""Slices that are deformed and projected at once: short kernels, so that no frame waits long."""

_LEVELS = ((9, 4), (7, 4), (7, 3), (5, 3), (5, 2), (3, 2))


class _SupersededError(Exception):
    """The states of another view are wanted by now."""


@dataclass
class _Job:
    """The states of one view; rows are levels of contraction."""

    key: Hashable
    view: View
    technique: Technique | None
    levels: tuple[int, int]
    rows: list[dict[int, AnatomyLayer]] = field(default_factory=list)
    failure: BaseException | None = None


class DeformingAnatomy:
    """Layers of a chest at any time of its breath and heartbeat.

    Args:
        renderer: makes layers; its scene is the CT at rest.
        motion: how far the parts of the chest move; 0 m of the heart is no heartbeat.
        breathing: period and curve of the breath; its rigid amplitude is not used.
        heart_rate_hz: heartbeats a second [Hz].
        background: make states on a thread of their own; otherwise a frame waits for them all,
            which gives the same images in every run.
        layer_bytes: memory for the states of a view.
    """

    def __init__(
        self,
        renderer: Renderer,
        motion: ChestMotion,
        breathing: Breathing,
        heart_rate_hz: float = 1.1,
        *,
        background: bool = True,
        layer_bytes: int = LAYER_BYTES,
    ) -> None:
        self._renderer, self.motion, self._breathing = renderer, motion, breathing
        self._heart_rate_hz, self._background = heart_rate_hz, background
        self._layer_bytes = layer_bytes
        scene = renderer.scene
        regions = scene.table.regions
        self._at_rest = replace(
            scene.volume, labels=None if regions is None else regions.of_voxel, structures={}
        )
        self._job: _Job | None = None
        self._thread: threading.Thread | None = None

    def shares(self, time_s: float) -> tuple[float, float]:
        """Return the shares of full inspiration and contraction, 0..1, at `time_s` [s]."""
        squeeze = self.motion.contraction(time_s * self._heart_rate_hz)
        return self._breathing.inspiration(time_s), squeeze

    def pose(self, near_world_m: Array, time_s: float) -> Array:
        """Return the rigid pose of the patient that moves as the tissue at a point now does."""
        rest = self._renderer.scene.world_from_patient
        now = transform_points(invert_pose(rest), near_world_m)
        origin = self.motion.pull_back_at(now, *self.shares(time_s))
        return rest @ make_pose(translation_m=now - origin)

    def layer(
        self,
        view: View,
        technique: Technique | None,
        time_s: float,
        near_world_m: Array,
        moving: bool = False,
    ) -> AnatomyLayer:
        """Return the anatomy at a time.

        Args:
            view: geometry and pose of the exposure.
            technique: tube settings; default the renderer's.
            time_s: since the start [s]; the CT's own state is time 0.
            near_world_m: where the device is, in `world` [m], shape (3,): the tissue that it
                displaces, and the anatomy of a moving C-arm, move as the tissue there does.
            moving: the C-arm moves; the CT at rest is then shifted, not deformed.

        Raises:
            RuntimeError: the states could not be made.
        """
        pose = self.pose(near_world_m, time_s)
        if moving:
            return self._renderer.anatomy(view, pose, technique, draft=True)
        job = self._states(view, technique)
        if job.failure is not None:
            raise RuntimeError('the deformed anatomy could not be projected') from job.failure
        return replace(self._between(job, *self.shares(time_s)), world_from_patient=pose)

    def exact(
        self, view: View, technique: Technique | None, time_s: float, near_world_m: Array
    ) -> AnatomyLayer:
        """Return the anatomy at a time, made for one frame: nothing is kept or interpolated.

        Args:
            view: geometry and pose of the exposure.
            technique: tube settings; default the renderer's.
            time_s: since the start [s].
            near_world_m: where the device is [m]; see `layer`.
        """
        self._job = job = _Job((), view, technique, (1, 1))
        layer = self._make(job, *self.shares(time_s))
        if layer is None:
            raise RuntimeError('another view was asked for while this one was made')
        return replace(layer, world_from_patient=self.pose(near_world_m, time_s))

    def wait(self) -> None:
        """Wait until all states of the present view are made."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Stop making states."""
        self._job = None
        self.wait()

    def _states(self, view: View, technique: Technique | None) -> _Job:
        key = (view.geometry, view.world_from_source.tobytes(), technique)
        if self._job is not None and self._job.key == key:
            return self._job
        rest = self._renderer.anatomy(view, None, technique)
        breaths, beats = self._levels(rest.nbytes)
        rows: list[dict[int, AnatomyLayer]] = [{} for _ in range(beats)]
        rows[0][0] = rest
        self._job = job = _Job(key, view, technique, (breaths, beats), rows)
        if self._background:
            self._thread = threading.Thread(
                target=self._fill, args=(job,), name='deforming-anatomy', daemon=True
            )
            self._thread.start()
        else:
            self._fill(job)
        return job

    def _levels(self, layer_bytes: int) -> tuple[int, int]:
        """Return how many levels of inspiration and contraction are kept."""
        breathes = self.motion.diaphragm_m > 0 or self.motion.breastbone_m > 0
        beats = self.motion.heart_m > 0 and self.motion.heart_centre_m is not None
        choices = [(b if breathes else 1, h if beats else 1) for b, h in _LEVELS]
        fitting = [c for c in choices if c[0] * c[1] * layer_bytes <= self._layer_bytes]
        return (fitting or choices[-1:])[0]

    def _fill(self, job: _Job) -> None:
        breaths, beats = job.levels
        try:
            for beat in coarse_to_fine(beats):
                for breath in coarse_to_fine(breaths):
                    if breath in job.rows[beat]:
                        continue
                    layer = self._make(job, breath / max(breaths - 1, 1), beat / max(beats - 1, 1))
                    if layer is None:
                        return
                    job.rows[beat][breath] = layer
        except Exception as error:
            job.failure = error
            if not self._background:
                raise

    def _make(self, job: _Job, inspiration: float, contraction: float) -> AnatomyLayer | None:
        """Return the layer of a state, or None if another view is wanted by now."""
        renderer, projector = self._renderer, self._renderer.projector
        scene, rest = renderer.scene, renderer.scene.world_from_patient
        slabs = self._slabs(job, inspiration, contraction)
        view = renderer.grid(job.view).view(job.view)
        try:
            if isinstance(projector, ShearWarpProjector) and projector.adds_up(
                scene.volume, view, rest
            ):
                area = projector.of_slabs(scene.volume, slabs, view, rest)
            else:
                whole = self._slab((0, len(scene.volume.hu)), inspiration, contraction)
                area = projector.area_density_g_cm2(*whole, view, rest)
        except _SupersededError:
            return None
        return renderer.expose(area, job.view, rest, job.technique)

    def _slabs(
        self, job: _Job, inspiration: float, contraction: float
    ) -> Iterator[tuple[int, Volume, MaterialTable]]:
        count = len(self._renderer.scene.volume.hu)
        edges = np.linspace(0, count, max(1, round(count / SLAB_SLICES)) + 1).astype(int).tolist()
        for slices in itertools.pairwise(edges):
            if self._job is not job:
                raise _SupersededError
            start = time.monotonic()
            yield slices[0], *self._slab(slices, inspiration, contraction)
            if self._background:
                time.sleep(min(time.monotonic() - start, 0.1))  # leaves half a core to frames

    def _slab(
        self, slices: tuple[int, int], inspiration: float, contraction: float
    ) -> tuple[Volume, MaterialTable]:
        """Return slices of the deformed CT, and the table with their regions."""
        volume, table = self._at_rest, self._renderer.scene.table
        if self._background:
            slab = self.motion.slab(volume, inspiration, contraction, slices, alone=True)
        else:
            with parallel():
                slab = self.motion.slab(volume, inspiration, contraction, slices)
        if table.regions is None or slab.labels is None:
            return slab, table
        return slab, replace(table, regions=replace(table.regions, of_voxel=slab.labels))

    def _between(self, job: _Job, inspiration: float, contraction: float) -> AnatomyLayer:
        breaths, beats = job.levels
        full = [0, *(h for h in range(1, beats) if len(job.rows[h]) == breaths)]
        low, high, share = neighbours(full, contraction * (beats - 1))
        layers = [self._row(job.rows[h], inspiration * (breaths - 1)) for h in (low, high)]
        return self._renderer.blend(layers[0], layers[1], share)

    def _row(self, row: dict[int, AnatomyLayer], position: float) -> AnatomyLayer:
        low, high, share = neighbours(sorted(row), position)
        return self._renderer.blend(row[low], row[high], share)


def neighbours(ready: list[int], position: float) -> tuple[int, int, float]:
    """Return the levels of a rising list around a position, and the weight of the upper one."""
    low = max((level for level in ready if level <= position), default=ready[0])
    high = min((level for level in ready if level > position), default=low)
    return low, high, 0.0 if high == low else (position - low) / (high - low)


def coarse_to_fine(count: int) -> list[int]:
    """Return 0..count-1: both ends first, then the middles of what lies between."""
    order, gaps = [0] if count == 1 else [0, count - 1], [(0, count - 1)]
    while gaps:
        low, high = gaps.pop(0)
        middle = (low + high) // 2
        if high - low > 1:
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return order
