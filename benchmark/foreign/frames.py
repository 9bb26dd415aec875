"""Frames of a foreign chain as a COCO folder: same seed, same frames; interrupted runs go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.foreign.device import DevicePaths, PlacedDevice, device_paths, place_device
from benchmark.foreign.exports import EXPORTS, Export, exported
from benchmark.foreign.panel import (
    Beam,
    Exposure,
    Settings,
    System,
    burnt_out,
    draw_system,
    expected_counts,
    read_out,
    settle,
    shadow_between,
    with_scatter,
)
from benchmark.foreign.patient import ForeignPatient
from synthex_ros import __version__
from synthex_ros.anatomy import load_volume
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.learning.coco import CocoWriter, annotation_of, write_image
from synthex_ros.learning.device_sources import device_source
from synthex_ros.learning.sampling import (
    SceneSampling,
    ViewSample,
    draw_view,
    frame_rng,
    view_rng,
)
from synthex_ros.learning.truth import keypoints_of, local_contrast
from synthex_ros.settings import as_plain

FRAMES_PER_VIEW = 2
"""A raw frame and a processed one, each with a device of its own."""
VIEWS_AT_ONCE = 12
CHAIN = 3
"""Number of the chain. In the first, the bare beam beside a patient scattered too, and exposure
and gain were controlled by the median of the whole image, bare beam included. In the second,
windows were drawn about what is burnt out, too, so that patients were nearly black beside it, and
what was seen of a device was judged before its frame was windowed and written with 8 bits."""
LANDMARK_SHARE = 0.5
"""Part of the device around a landmark that its file must still show."""
_LANDMARK_PX = 8.0


@dataclass(frozen=True, eq=False)
class _View:
    """A view behind a patient, on a system; `without` is its exposure without device."""

    anatomy: str
    seen: ViewSample
    system: System
    beam: Beam
    area_density_g_cm2: NDArray[np.float32]
    settings: Settings
    without: Exposure

    @property
    def pitch_mm(self) -> float:
        """Pixel pitch of the detector."""
        return _pitch_mm(self.seen)

    def exposure(self, device_m: NDArray[np.float32]) -> Exposure:
        """Return what the screen absorbs behind patient and device, with scatter."""
        primary = self.beam.exposure(self.area_density_g_cm2, device_m)
        return with_scatter(primary, self.settings.scatter, self.system, self.pitch_mm)

    def snr(self, exposure: Exposure, other: Exposure, mask: NDArray | None = None) -> float:
        """Return how well an ideal observer tells exposures apart, from the pixels of a mask."""
        shadow = shadow_between(exposure, other, self.system, self.settings)
        if mask is not None:
            seen = np.flatnonzero(mask)
            shadow = replace(
                shadow, lost_kev=shadow.lost_kev[seen], quantum_kev2=shadow.quantum_kev2[seen]
            )
        return shadow.snr()

    def burnt_out(self, *exposures: Exposure) -> NDArray[np.bool_]:
        """Tell which pixels are at full scale in each of some exposures."""
        return np.all([burnt_out(e, self.system, self.settings) for e in exposures], axis=0)


@dataclass(frozen=True, eq=False)
class _Plan:
    """A frame before anything is rendered."""

    index: int
    seen: ViewSample
    device: PlacedDevice | None
    rng: np.random.Generator


class ForeignFrames:
    """Makes frames of a foreign chain.

    Args:
        seed: of the whole set.
        anatomies: names or paths of CTs, taken in turn.
        sampling: ranges of poses; its imaging chain is not used.
    """

    def __init__(
        self,
        seed: int,
        anatomies: tuple[str, ...] = ('chest', 'head'),
        sampling: SceneSampling | None = None,
    ) -> None:
        self.seed, self.anatomies = seed, anatomies
        self.sampling = sampling or SceneSampling()
        self._kinematics = ContinuumKinematics()
        self._patients = {name: ForeignPatient(load_volume(name)) for name in anatomies}

    def information(self) -> dict[str, Any]:
        """Return COCO's `info`: everything that the frames depend on but their number."""
        return {
            'description': 'radiographs of a continuum manipulator by ITK-RTK and gVirtualXray',
            'version': __version__,
            'chain': CHAIN,
            'seed': self.seed,
            'anatomies': list(self.anatomies),
            'sampling': as_plain(self.sampling),
            'volume_sha256': {name: p.sha256 for name, p in self._patients.items()},
        }

    def frames(self, indices: list[int]) -> Iterator[tuple[dict[str, Any], NDArray]]:
        """Yield COCO's entries and pixels of some frames."""
        plans = [self._plan(index) for index in indices]
        shown = [plan for plan in plans if plan.device is not None]
        traced: dict[int, DevicePaths] = {}
        if shown:
            paths = device_paths(
                self._kinematics,
                [plan.device for plan in shown if plan.device],
                shown[0].seen.view.geometry,
            )
            traced = {plan.index: path for plan, path in zip(shown, paths, strict=True)}
        view: tuple[int, _View] | None = None
        for plan in plans:
            number = plan.index // FRAMES_PER_VIEW
            if view is None or view[0] != number:
                view = number, self._view(number)
            yield self._frame(plan, view[1], traced.get(plan.index))

    def _seen(self, number: int) -> tuple[str, ViewSample, np.random.Generator]:
        rng = view_rng(self.seed, number)
        anatomy = self.anatomies[number % len(self.anatomies)]
        centre = self._patients[anatomy].centre_patient_m
        return anatomy, draw_view(self.sampling, centre, rng), rng

    def _view(self, number: int) -> _View:
        anatomy, seen, rng = self._seen(number)
        system = draw_system(rng)
        beam = Beam(system)
        tissues = self._patients[anatomy].area_density_g_cm2(seen.view, seen.world_from_patient)
        primary, pitch_mm = beam.exposure(tissues), _pitch_mm(seen)
        settings = settle(primary, beam.bare_kev, system, pitch_mm)
        without = with_scatter(primary, settings.scatter, system, pitch_mm)
        return _View(anatomy, seen, system, beam, tissues, settings, without)

    def _plan(self, index: int) -> _Plan:
        rng = frame_rng(self.seed, index)
        _, seen, _ = self._seen(index // FRAMES_PER_VIEW)
        device = place_device(self.sampling, self._kinematics, seen, rng)
        shown = rng.random() >= self.sampling.negative_share
        return _Plan(index, seen, device if shown else None, rng)

    def export_name(self, index: int) -> str:
        """Return what is done to frame `index`: even ones are raw, exports come in turn."""
        if index % FRAMES_PER_VIEW == 0:
            return 'raw'
        turn = index // (FRAMES_PER_VIEW * len(self.anatomies))
        return sorted(EXPORTS)[turn % len(EXPORTS)]

    def _frame(
        self, plan: _Plan, view: _View, paths: DevicePaths | None
    ) -> tuple[dict[str, Any], NDArray]:
        exposure = view.without if paths is None else view.exposure(paths.path_m)
        counts = read_out(exposure, view.system, view.settings, view.pitch_mm, plan.rng)
        name = self.export_name(plan.index)
        expected = [
            expected_counts(one, view.system, view.settings, view.pitch_mm)
            for one in (exposure, view.without)
        ]
        export = exported(counts, view.system.bits, view.pitch_mm, name, plan.rng, expected)
        image = self._image(plan, view, export, name)
        annotations = []
        if paths is not None:
            annotations = self._annotations(plan, view, exposure, paths, export, image)
        return {'image': image, 'annotations': annotations}, export.pixels()

    def _image(self, plan: _Plan, view: _View, export: Export, name: str) -> dict[str, Any]:
        seen, (rows, columns) = view.seen, export.picture.shape
        return {
            'id': plan.index,
            'file_name': f'{plan.index:06d}.png',
            'width': columns,
            'height': rows,
            'pixel_pitch_mm': export.pixel_pitch_mm,
            'source_to_detector_mm': seen.view.geometry.source_to_detector_m * 1e3,
            'source_to_object_mm': seen.source_to_isocenter_m * 1e3,
            'inverted': export.inverted,
            'anatomy': view.anatomy,
            'view': seen.name,
            'processing': name,
            'chain': asdict(view.system),
            'seed': self.seed,
        }

    def _annotations(
        self,
        plan: _Plan,
        view: _View,
        exposure: Exposure,
        paths: DevicePaths,
        export: Export,
        image: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """Return the annotation of the device, or none where nothing of it is seen."""
        device, without = plan.device, view.without
        mask = np.where(view.burnt_out(exposure, without), 0, paths.mask).astype(np.uint8)
        whole = export.mask(mask)
        shown = export.left_of(whole)
        if device is None or not shown.any():
            return []
        sample, seen = device.sample, plan.seen.view
        raw_points = seen.project(sample.landmarks_world_m)
        depth = seen.to_source(sample.landmarks_world_m)[:, 2]
        image['source_to_object_mm'] = float(depth.mean() * 1e3)
        contrast = 1 - exposure.energy_kev / without.energy_kev
        at_landmarks = local_contrast(contrast, mask, raw_points)
        ratios = np.array([view.snr(exposure, view.exposure(m)) for m in paths.moved_m])
        points = export.points(raw_points)
        rows, columns = shown.shape
        keypoints = keypoints_of(
            points,
            (0.0, rows, 0.0, columns),
            shown.shape,
            self.sampling.landmark_margin_px,
            (at_landmarks >= self.sampling.least_contrast)
            & (ratios >= self.sampling.least_landmark_snr)
            & _inside(export.shutter, points, self.sampling.landmark_margin_px)
            & (_share_near(shown, whole, points) >= LANDMARK_SHARE),
        )
        return [
            annotation_of(
                plan.index,
                shown > 0,
                keypoints,
                contrast=round(float(np.median(contrast[mask > 0])), 5),
                keypoint_contrast=[round(float(value), 5) for value in at_landmarks],
                keypoint_snr=[round(float(value), 3) for value in ratios],
                snr=round(view.snr(exposure, without, mask), 3),
                world_from_device_base=sample.world_from_device_base.tolist(),
                roll_rad=sample.roll,
                control_rad=sample.control_rad.tolist(),
            )
        ]


def _pitch_mm(seen: ViewSample) -> float:
    return seen.view.geometry.pixel_pitch_m[0] * 1e3


def _share_near(
    shown: NDArray[np.uint8], whole: NDArray[np.uint8], points_px: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how much of a mask is shown near points (u, v), shape (N, 2); 0 where it is not."""
    rows, columns = np.nonzero(whole)
    shares = np.zeros(len(points_px))
    for index, (u, v) in enumerate(points_px):
        near = np.hypot(columns - u, rows - v) <= _LANDMARK_PX
        if near.any():
            shares[index] = np.mean(shown[rows[near], columns[near]] > 0)
    return shares


def _inside(
    shutter: NDArray[np.bool_], points_px: NDArray[np.float64], margin_px: float
) -> NDArray[np.bool_]:
    """Tell which points (u, v), shape (N, 2), lie at least a margin inside the shutter."""
    rows, columns = np.nonzero(~shutter)
    if not len(rows):
        return np.ones(len(points_px), bool)
    squared = [(columns - u) ** 2 + (rows - v) ** 2 for u, v in points_px]
    return np.array([distance.min() > margin_px**2 for distance in squared])


def make(frames: ForeignFrames, count: int, root: str | Path) -> Iterator[int]:
    """Write `count` frames to folder `root` and yield how many are there, as they come.

    Raises:
        ValueError: the folder holds frames of another seed or other settings.
        GvxrMissingError: gVXR is not installed, or finds no OpenGL.
    """
    writer = CocoWriter(root, frames.information(), device_source(frames.sampling).categories)
    have = writer.known()
    missing = [index for index in range(count) if index not in have]
    done = count - len(missing)
    yield done
    step = FRAMES_PER_VIEW * VIEWS_AT_ONCE
    for first in range(0, len(missing), step):
        for item, pixels in frames.frames(missing[first : first + step]):
            write_image(root, item['image']['file_name'], pixels)
            writer.append([item])
            done += 1
            yield done
    writer.finish()
