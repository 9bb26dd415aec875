"""What is to be rendered: one frozen dataclass, every field with its range, unit and meaning."""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from synthex_ros.simulation.breathing import BREATHING_MODELS
from synthex_ros.xray.cuda.compute import COMPUTE

FORMATS = ('png', 'tiff', 'npy', 'dicom')
"""png and tiff: 16-bit counts; npy: expected counts, float32; dicom: X-ray angiography."""

DEVICES = ('none', 'continuum')
"""Devices by name; anything else is the path of a mesh."""

_POSE = 'x y z [m] roll pitch yaw [rad]'


GRIDS = ('none', 'focused')
"""Anti-scatter grids: none, or a focused one of ratio 10:1."""

CHAINS = ('ideal', 'full')
"""Effects of tube, scatter and panel: none of them, or all."""


def number(default: float, low: float, high: float, doc: str) -> Any:
    """Return a field that holds a number of `low`..`high`; an integer if its default is one."""
    return field(default=default, metadata={'range': (low, high), 'doc': doc})


def several(default: tuple, sizes: tuple[int, ...], doc: str) -> Any:
    """Return a field that holds one of `sizes` numbers; an empty `sizes` allows any number."""
    return field(default=default, metadata={'sizes': sizes, 'doc': doc})


def text(default: str, doc: str) -> Any:
    """Return a field that holds a text."""
    return field(default=default, metadata={'doc': doc})


def switch(default: bool, doc: str) -> Any:
    """Return a field that is on or off."""
    return field(default=default, metadata={'doc': doc})


@dataclass(frozen=True)
class RenderSettings:
    """One radiograph, or a cine of `frames` of them.

    The world has its origin at the isocentre and the patient's axes: left, posterior, superior.
    """

    anatomy: str = text('chest', 'chest, head, phantom, or the path of a CT')
    segmentation: str = text('', 'label image on the grid of a CT of yours')
    isocenter_at: str = text('', 'structure whose centre is the isocentre; else the middle of CT')
    isocenter_patient_m: tuple[float, ...] = several(
        (0.0, 0.0, 0.0), (3,), 'isocentre from there, left posterior superior [m]'
    )
    materials: str = text('standard', 'tissues: standard, or detailed with contrast agent')
    anatomy_px: int = number(280, 16, 4096, 'samples of the anatomy along the longer image side')
    compute: str = text('cpu', 'where the anatomy is projected: cpu, or cuda (needs a GPU)')

    lao_deg: float = number(0.0, -180.0, 180.0, 'LAO, negative RAO; DICOM primary angle [deg]')
    cran_deg: float = number(0.0, -90.0, 90.0, 'CRAN, negative CAUD; DICOM secondary angle [deg]')
    source_to_detector_m: float = number(1.020, 0.2, 3.0, 'focal spot to detector [m]')
    source_to_isocenter_m: float = number(0.700, 0.05, 2.9, 'focal spot to isocentre [m]')
    detector_px: int = number(1536, 1, 8192, 'rows and columns of the unbinned detector')
    pixel_pitch_m: float = number(194e-6, 1e-5, 0.02, 'pitch of the unbinned detector [m]')
    binning: int = number(3, 1, 64, 'pixels joined per side; 1 is the native detector')
    field_px: tuple[int, ...] = several(
        (), (0, 4), 'open field of the collimator: top bottom left right [px]; empty is all'
    )

    tube_voltage_kv: float = number(80.0, 40.0, 150.0, 'tube voltage [kV]')
    charge_mas: float = number(0.1, 1e-5, 1000.0, 'charge of a pulse [mAs]')
    pulse_length_s: float = number(0.008, 1e-4, 10.0, 'length of a pulse [s]')
    filtration_al_mm: float = number(3.0, 0.0, 100.0, 'aluminium in the beam [mm]')
    filtration_cu_mm: float = number(0.1, 0.0, 10.0, 'copper in the beam [mm]')
    detector_kerma_ngy: float = number(
        0.0, 0.0, 1e6, 'automatic exposure: median kerma behind the patient [nGy]; 0 is off'
    )

    imaging_chain: str = text(
        'ideal', 'ideal, or full: heel effect, scatter, focal spot and lag as well'
    )
    grid: str = text('none', 'anti-scatter grid of the full chain: none, or focused (10:1)')
    detector_bits: int = number(16, 8, 16, 'bits of the digitiser')
    panel_seed: int = number(-1, -1, 2**31 - 1, 'number of an uneven panel; -1 is an even one')
    image_intensifier: bool = switch(False, 'image intensifier instead of a flat panel')
    intensifier_pincushion_percent: float = number(
        5.0, 0.0, 30.0, 'edge of its field too far out, part of the radius [%]'
    )
    intensifier_s_distortion_deg: float = number(0.0, -20.0, 20.0, 'turn of its edge [deg]')
    intensifier_vignetting_percent: float = number(15.0, 0.0, 90.0, 'light lost at its edge [%]')
    intensifier_glare_percent: float = number(10.0, 0.0, 50.0, 'veiling glare, part of light [%]')
    intensifier_glare_reach_m: float = number(0.025, 1e-3, 0.1, 'mean way of scattered light [m]')
    realism: str = text('realistic', 'realistic; heuristic and naive leave physics out')

    device: str = text('none', 'none, continuum, or the path of a closed STL or OBJ mesh')
    device_pose: tuple[float, ...] = several(
        (0.0,) * 6, (6,), f'base of the device in world: {_POSE}'
    )
    device_pose_end: tuple[float, ...] = several(
        (), (0, 6), 'the same at the last frame of a cine; empty stands still'
    )
    device_joints: tuple[float, ...] = several(
        (0.0, 0.0, 0.0, 0.0), (4,), 'continuum: insertion [m] roll [rad] tendon_1 tendon_2 [m]'
    )
    device_joints_end: tuple[float, ...] = several(
        (), (0, 4), 'the same at the last frame of a cine; empty stands still'
    )
    device_material: str = text('nitinol', 'mesh: name or formula, such as stainless_steel or Ti')
    device_unit: str = text('mm', 'mesh: length unit of the file, mm or m')
    supersampling: int = number(1, 1, 8, 'rays per pixel side through devices; raise for wires')

    frames: int = number(1, 1, 100_000, 'number of frames; more than one is a cine')
    frame_rate_hz: float = number(15.0, 0.1, 1000.0, 'frames a second [Hz]')
    sweep_deg: float = number(0.0, -360.0, 360.0, 'LAO gained from first to last frame [deg]')
    breathing_amplitude_m: float = number(0.0, 0.0, 0.05, 'motion of the anatomy; 0 is off [m]')
    breathing_period_s: float = number(4.0, 0.6, 60.0, 'length of a breath [s]')
    breathing_model: str = text(
        'rigid', 'rigid, or deformable: diaphragm and ribs move, the spine rests'
    )
    heartbeat_amplitude_m: float = number(
        0.0, 0.0, 0.01, 'inward motion of the heart, deformable only; 0 is off [m]'
    )
    heart_rate_hz: float = number(1.1, 0.3, 4.0, 'heartbeats a second [Hz]')

    labels: tuple[str, ...] = field(
        default=(), metadata={'doc': 'structures to project, such as heart vertebrae_T8'}
    )
    label_path_m: float = number(1e-3, 1e-6, 0.5, 'path inside that makes a pixel of a mask [m]')
    instance_mask: bool = switch(False, 'mask of whole devices, with bodies that have no label')

    display_window: tuple[float, ...] = several(
        (), (0, 2), 'counts shown black and white; empty follows the image'
    )
    display_time_constant_s: float = number(
        1.0, 1e-3, 1e4, 'time in which the window of a cine follows the image [s]'
    )
    display_edge_strength: float = number(0.0, 0.0, 20.0, 'edge enhancement; 0 is off')
    display_edge_radius_m: float = number(1e-3, 1e-6, 0.05, 'its radius on the detector [m]')
    display_frame_weight: float = number(
        1.0, 1e-3, 1.0, 'weight of a new frame in the picture of a cine; 1 is no temporal filter'
    )
    display_motion: float = number(
        0.0, 0.0, 10.0, 'change of log(1 + counts) taken as motion by that filter; 0 is off'
    )
    display_inverted: bool = switch(False, 'bone bright, as on film')
    display_mirrored: bool = switch(True, 'columns mirrored to the radiological view')
    display_upside_down: bool = switch(False, 'rows mirrored')
    formats: tuple[str, ...] = field(
        default=('png',), metadata={'doc': f'files to write: {", ".join(FORMATS)}'}
    )
    seed: int = number(0, 0, 2**31 - 1, 'seed of the noise; same seed, same image')

    def __post_init__(self):
        for item in dataclasses.fields(self):
            value = _checked(item, getattr(self, item.name))
            object.__setattr__(self, item.name, value)
        if not self.source_to_isocenter_m < self.source_to_detector_m:
            raise ValueError(
                'source_to_isocenter_m must be below source_to_detector_m '
                f'({self.source_to_detector_m:g} m), got {self.source_to_isocenter_m:g}'
            )
        if self.detector_px % self.binning:
            raise ValueError(
                f'binning must divide detector_px, got {self.binning} and {self.detector_px}'
            )
        self._check_choices()
        self._check_field()

    @property
    def size_px(self) -> int:
        """Rows and columns of the image."""
        return self.detector_px // self.binning

    def with_(self, **changes: Any) -> RenderSettings:
        """Return a copy with some settings changed."""
        return make_settings(**{**dataclasses.asdict(self), **changes})

    def _check_choices(self) -> None:
        if self.device_unit not in ('mm', 'm'):
            raise ValueError(f"device_unit must be 'mm' or 'm', got {self.device_unit!r}")
        if self.imaging_chain not in CHAINS:
            raise ValueError(
                f'imaging_chain must be one of {", ".join(CHAINS)}, got {self.imaging_chain!r}'
                + near_miss(self.imaging_chain, CHAINS)
            )
        if self.compute not in COMPUTE:
            raise ValueError(
                f'compute must be one of {", ".join(COMPUTE)}, got {self.compute!r}'
                + near_miss(self.compute, COMPUTE)
            )
        if self.grid not in GRIDS:
            raise ValueError(
                f'grid must be one of {", ".join(GRIDS)}, got {self.grid!r}'
                + near_miss(self.grid, GRIDS)
            )
        if self.grid != 'none' and self.imaging_chain != 'full':
            raise ValueError(
                f'grid {self.grid!r} needs scatter that it can stop: set imaging_chain to full'
            )
        if self.breathing_model not in BREATHING_MODELS:
            raise ValueError(
                f'breathing_model must be one of {", ".join(BREATHING_MODELS)}, '
                f'got {self.breathing_model!r}' + near_miss(self.breathing_model, BREATHING_MODELS)
            )
        if self.display_window and not self.display_window[0] < self.display_window[1]:
            raise ValueError(f'display_window must be low < high, got {self.display_window}')
        if not self.formats:
            raise ValueError(f'formats must name at least one of {", ".join(FORMATS)}')
        for name in self.formats:
            if name not in FORMATS:
                raise ValueError(
                    f'format must be one of {", ".join(FORMATS)}, got {name!r}'
                    + near_miss(name, FORMATS)
                )

    def _check_field(self) -> None:
        if not self.field_px:
            return
        top, bottom, left, right = self.field_px
        size = self.size_px
        if not (0 <= top < bottom <= size and 0 <= left < right <= size):
            raise ValueError(
                f'field_px must be 0 <= top < bottom <= {size} and 0 <= left < right <= {size}, '
                f'got {self.field_px}'
            )


def make_settings(**values: Any) -> RenderSettings:
    """Return settings by name; lists and arrays may stand for tuples.

    Raises:
        ValueError: a name is unknown or a value is refused.
    """
    known = [item.name for item in dataclasses.fields(RenderSettings)]
    for name in values:
        if name not in known:
            raise ValueError(
                f'unknown setting {name!r}{near_miss(name, known)}; '
                'config/render.yaml holds all of them'
            )
    return RenderSettings(**values)


def near_miss(name: str, known: Any) -> str:
    """Return a hint that names the nearest known names, or nothing."""
    close = difflib.get_close_matches(str(name), list(known), n=2, cutoff=0.5)
    return f'; did you mean {" or ".join(close)}?' if close else ''


def _checked(item: dataclasses.Field, value: Any) -> Any:
    """Return a setting's value in its own type, or raise ValueError."""
    if isinstance(item.default, tuple):
        return _checked_tuple(item, value)
    if isinstance(item.default, str):
        if not isinstance(value, str):
            raise ValueError(f'{item.name} must be a text, got {value!r}')
        return value
    if isinstance(item.default, bool):
        if not isinstance(value, (bool, np.bool_)):
            raise ValueError(f'{item.name} must be true or false, got {value!r}')
        return bool(value)
    whole = isinstance(item.default, int)
    value = _number(item.name, value, whole)
    low, high = item.metadata['range']
    if not low <= value <= high:
        raise ValueError(
            f'{item.name} must be {low:g}..{high:g}, got {value:g}'
            + _unit_slip(item.name, value, low, high)
        )
    return value


def _checked_tuple(item: dataclasses.Field, value: Any) -> tuple:
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(value, (tuple, list)):
        raise ValueError(f'{item.name} must be a list, got {value!r}')
    sizes = item.metadata.get('sizes')
    if sizes is None:
        if not all(isinstance(name, str) for name in value):
            raise ValueError(f'{item.name} must be a list of names, got {value!r}')
        return tuple(value)
    if len(value) not in sizes:
        wanted = ' or '.join(map(str, sizes))
        raise ValueError(f'{item.name} must be {wanted} numbers, got {len(value)}: {value!r}')
    whole = item.name.endswith('_px')
    return tuple(_number(item.name, part, whole) for part in value)


def _number(name: str, value: Any, whole: bool) -> Any:
    ok = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not ok or (whole and value != int(value)):
        kind = 'a whole number' if whole else 'a finite number'
        raise ValueError(f'{name} must be {kind}, got {value!r}')
    return int(value) if whole else float(value)


def _unit_slip(name: str, value: float, low: float, high: float) -> str:
    units = {'_m': 'millimetres', '_kv': 'volts', '_s': 'milliseconds', '_mas': 'uAs'}
    for ending, unit in units.items():
        if name.endswith(ending) and low <= value / 1000 <= high:
            return f'; looks like {unit}, pass {value / 1000:g}'
    return ''
