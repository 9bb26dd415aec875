"""One rendered radiograph with everything that is true about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros import __version__
from synthex_ros.rendering.display import make_chain
from synthex_ros.rendering.request import RenderSettings
from synthex_ros.xray.display import DisplayChain
from synthex_ros.xray.label_projection import StructureImage
from synthex_ros.xray.radiograph import Radiograph
from synthex_ros.xray.renderer import AnatomyLayer


@dataclass(frozen=True)
class Landmark:
    """A point and its image.

    Attributes:
        name: 'base', 'tip', 'device_middle', or the structure whose centre it is.
        world_m: position in `world`, (x, y, z) [m].
        pixel_px: image (u, v) [px]; (nan, nan) for a point behind the focal spot.
        depth_m: optical depth of the point, along the axis to the detector [m].
        visible: its image lies on the detector, inside the open field.
    """

    name: str
    world_m: tuple[float, float, float]
    pixel_px: tuple[float, float]
    depth_m: float
    visible: bool


@dataclass(frozen=True)
class Instance:
    """One device in the instance mask, however many bodies it consists of.

    Attributes:
        id: its number in the mask, from 1.
        name: 'continuum', or the name of a mesh file without its ending.
        labels: class ids of its bodies in the mask of the device; 0 is not labelled there.
        materials: what its bodies are made of, in the same order.
    """

    id: int
    name: str
    labels: tuple[int, ...]
    materials: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Stages:
    """What the image is made of, in counts before noise, blur and saturation.

    Attributes:
        anatomy: layer of the view, with the area density of each material [g/cm^2].
        materials: names of the layer's materials.
        primary_counts: primary X-rays, shape (rows, columns), float32.
        scatter_counts: scattered X-rays, same shape; zero where scatter is not modelled.
    """

    anatomy: AnatomyLayer
    materials: tuple[str, ...]
    primary_counts: NDArray[np.float32]
    scatter_counts: NDArray[np.float32]

    @property
    def expected_counts(self) -> NDArray[np.float32]:
        """Primary and scatter together, shape (rows, columns), float32."""
        return self.primary_counts + self.scatter_counts


@dataclass(frozen=True, eq=False)
class RenderedFrame:
    """A radiograph, its labels and its camera.

    Attributes:
        index: number in the cine.
        time_s: time since the first frame [s].
        settings: what was asked for.
        radiograph: counts, device mask, view, technique and air kerma.
        primary_deg: DICOM positioner primary angle, LAO positive [deg].
        secondary_deg: DICOM positioner secondary angle, CRAN positive [deg].
        landmarks: points of the device and centres of the structures asked for.
        structures: the structures asked for, by name.
        depth_m: distance along the ray from the focal spot to the device's near surface [m],
            shape (rows, columns), float32; NaN where its mask is empty.
        world_from_patient: pose of the patient, shape (4, 4) [m].
        world_from_device: pose of the device's base, shape (4, 4) [m], or None.
        volume_sha256: hash of the CT.
        open_field: pixels that collimator and image intensifier leave open, (rows, columns).
        make_stages: computes `stages`.
        instances: devices, in the order of their ids; empty where not asked for.
        instance_mask: id of the instance that each pixel shows, (rows, columns), uint8, or None.
        inspiration: share of full inspiration, 0..1.
        contraction: share of the heart's full contraction, 0..1.
    """

    index: int
    time_s: float
    settings: RenderSettings
    radiograph: Radiograph
    primary_deg: float
    secondary_deg: float
    landmarks: tuple[Landmark, ...]
    structures: dict[str, StructureImage]
    depth_m: NDArray[np.float32]
    world_from_patient: NDArray[np.float64]
    world_from_device: NDArray[np.float64] | None
    volume_sha256: str
    open_field: NDArray[np.bool_]
    make_stages: Callable[[], Stages]
    instances: tuple[Instance, ...] = ()
    instance_mask: NDArray[np.uint8] | None = None
    inspiration: float = 0.0
    contraction: float = 0.0

    @property
    def counts(self) -> NDArray[np.uint16]:
        """Detector counts, shape (rows, columns), uint16, larger = more X-rays."""
        return self.radiograph.counts

    @property
    def mask(self) -> NDArray[np.uint8]:
        """Class ids of the device, shape (rows, columns), uint8."""
        return self.radiograph.mask

    def stages(self) -> Stages:
        """Return what the image is made of; computed anew at every call."""
        return self.make_stages()

    def display_chain(self) -> DisplayChain:
        """Return a new display chain as the settings want it."""
        geometry = self.radiograph.view.geometry
        return make_chain(self.settings, geometry, self.open_field)

    def display(self, chain: DisplayChain | None = None) -> NDArray[np.uint8]:
        """Return the picture for people: logarithm, window, patient's left on the right.

        Args:
            chain: the one that has shown the frames before; default `display_chain()`, which
                shows a frame as if there were no other.
        """
        chain = chain or self.display_chain()
        return chain.show(self.counts, 1 / self.settings.frame_rate_hz)

    def save(self, path: str | Path) -> list[Path]:
        """Write the image, the picture for people and the annotation beside it.

        Args:
            path: ends in .png, .tif, .tiff (16-bit counts), .npy (expected counts, float32) or
                .dcm; `chest.png` comes with `chest_display.png` and `chest.json`, and with
                `chest_mask.png` where there is a device.

        Raises:
            ValueError: another ending.
            OSError: the file cannot be written.
        """
        from synthex_ros.rendering.writers import save_single

        return save_single(self, Path(path))

    def annotation(self) -> dict[str, Any]:
        """Return everything that is known about the frame, in JSON types."""
        return {
            **self._moment(),
            **self._camera(),
            'technique': self._technique(),
            'air_kerma_gy': self.radiograph.air_kerma_gy,
            'kerma_area_product_gy_m2': self.radiograph.kerma_area_product_gy_m2,
            'landmarks': {mark.name: _landmark(mark) for mark in self.landmarks},
            'device_pixels': int(np.count_nonzero(self.mask)),
            'image_intensifier': self.settings.image_intensifier,
            **self._pixels(),
        }

    def _moment(self) -> dict[str, Any]:
        return {
            'index': self.index,
            'time_s': self.time_s,
            'inspiration': self.inspiration,
            'contraction': self.contraction,
        }

    def _camera(self) -> dict[str, Any]:
        """Return geometry and poses of tube, patient and device, and the open field."""
        view = self.radiograph.view
        geometry = view.geometry
        return {
            'shape_px': list(geometry.shape_px),
            'k': geometry.intrinsics().tolist(),
            'world_from_source': view.world_from_source.tolist(),
            'world_from_patient': self.world_from_patient.tolist(),
            'world_from_device': _listed(self.world_from_device),
            'pixel_pitch_m': list(geometry.pixel_pitch_m),
            'source_to_detector_m': geometry.source_to_detector_m,
            'source_to_isocenter_m': self.settings.source_to_isocenter_m,
            'positioner_primary_deg': self.primary_deg,
            'positioner_secondary_deg': self.secondary_deg,
            'field_px': list(self.settings.field_px) or None,
        }

    def _technique(self) -> dict[str, Any]:
        technique = self.radiograph.technique
        return {
            'tube_voltage_kv': technique.tube_voltage_kv,
            'charge_mas': technique.charge_mas,
            'pulse_length_s': technique.pulse_length_s,
            'filtration_mm': dict(technique.filtration_mm),
        }

    def _pixels(self) -> dict[str, Any]:
        """Return how many pixels show each device and each structure."""
        return {
            'instances': [
                {**vars(item), 'pixels': int(np.count_nonzero(self.instance_mask == item.id))}
                for item in self.instances
            ],
            'structure_pixels': {
                name: int(np.count_nonzero(image.mask)) for name, image in self.structures.items()
            },
        }

    def origin(self) -> dict[str, Any]:
        """Return what the frame was made from, in JSON types: the same again makes it again."""
        return {
            'software': f'synthex_ros {__version__}',
            'notice': 'synthetic image, not for clinical use',
            'anatomy': self.settings.anatomy,
            'volume_sha256': self.volume_sha256,
            'seed': self.settings.seed,
            'settings': json.loads(json.dumps(vars(self.settings))),
        }


def _listed(matrix: NDArray | None) -> list | None:
    return None if matrix is None else matrix.tolist()


def _landmark(mark: Landmark) -> dict[str, Any]:
    return {
        'pixel_px': [_finite(value) for value in mark.pixel_px],
        'world_m': list(mark.world_m),
        'depth_m': mark.depth_m,
        'visible': mark.visible,
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
