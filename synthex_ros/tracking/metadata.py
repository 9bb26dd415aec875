"""What a tracker model says about itself: the JSON under the key `synthex` of the ONNX file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KEY = 'synthex'
FORMAT = 1
NORMALISATION = 'zscore_log'
LEAST_PEAK = 0.1
"""Part of a full Gaussian that a peak must reach where a model says nothing else."""

CLOSER_LOOK = 'closer/'
"""What names of a closer look's nodes and outputs begin with in a model file."""

_REMEDY = 'export the model again with `synthex export` of this version'


class ModelMismatch(ValueError):
    """A model file, or a frame given to it, is not what the tracker can work with."""


@dataclass(frozen=True)
class ModelMetadata:
    """Input, outputs and meaning of a tracker model.

    Attributes:
        version: version of the model.
        input_name: name of the input tensor.
        input_shape: shape of the input, (1, 1, rows, columns).
        pixel_pitch_mm: detector pitch that the model was trained on [mm].
        mask_name: output of class probabilities, shape (1, C, rows / mask_stride, ...).
        heatmaps_name: output of landmark heat maps, shape (1, L, rows / heatmap_stride, ...).
        classes: class names in mask order, background first.
        landmarks: landmark names in heat map order.
        heatmap_sigma_px: standard deviation of a landmark's Gaussian [input px].
        heatmap_stride: input pixels a heat map cell, per side.
        mask_stride: input pixels a mask cell, per side.
        max_separation_px: landmarks of one device are never further apart [input px]; None
            where nothing is known.
        training: how the model was made; for people and reports.
        licence: licence of the weights.
        centres_name: output of instance centres, shape (1, 1, rows / heatmap_stride, ...); '' for
            a model of one device.
        votes_name: output of vectors to the instance's centre [px], shape (1, 2, ...).
        overlapping: classes share pixels, each with a probability of its own; the background's is
            1 minus the greatest of them. Otherwise all probabilities of a pixel add up to 1.
        least_peak: peaks below this part of a full Gaussian are no landmark.
        least_mask_px: connected pixels of a device whose probabilities add up to less are none.
        places_name: output of the landmarks' places by a closer look, (u, v) [input px], shape
            (1, L, 2); '' for a model without.
    """

    version: str
    input_name: str
    input_shape: tuple[int, int, int, int]
    pixel_pitch_mm: float
    mask_name: str
    heatmaps_name: str
    classes: tuple[str, ...]
    landmarks: tuple[str, ...]
    heatmap_sigma_px: float
    heatmap_stride: int
    mask_stride: int
    max_separation_px: float | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ''
    centres_name: str = ''
    votes_name: str = ''
    overlapping: bool = False
    least_peak: float = LEAST_PEAK
    least_mask_px: float = 0.0
    places_name: str = ''

    def __post_init__(self):
        rows, columns = self.input_shape[2:]
        if self.input_shape[:2] != (1, 1) or min(rows, columns) < 1:
            raise ModelMismatch(
                f'input shape must be [1, 1, rows, columns], got {list(self.input_shape)}; '
                f'{_REMEDY}'
            )
        for name in ('heatmap_stride', 'mask_stride'):
            stride = getattr(self, name)
            if stride < 1 or rows % stride or columns % stride:
                raise ModelMismatch(
                    f'{name} must divide {rows} x {columns} px, got {stride}; {_REMEDY}'
                )
        if self.max_separation_px is not None and not self.max_separation_px > 0:
            raise ModelMismatch(
                f'max_separation_px must be positive, got {self.max_separation_px}; {_REMEDY}'
            )
        if not (self.pixel_pitch_mm > 0 and self.heatmap_sigma_px > 0):
            raise ModelMismatch(
                'pixel_pitch_mm and heatmap_sigma_px must be positive, got '
                f'{self.pixel_pitch_mm:g} and {self.heatmap_sigma_px:g}; {_REMEDY}'
            )
        if not (0 < self.least_peak < 1 and self.least_mask_px >= 0):
            raise ModelMismatch(
                'least_peak must be in (0, 1) and least_mask_px 0 or more, got '
                f'{self.least_peak:g} and {self.least_mask_px:g}; {_REMEDY}'
            )
        if len(self.classes) < 2 or self.classes[0] != 'background' or not self.landmarks:
            raise ModelMismatch(
                "a tracker model needs classes ['background', ...] and at least one landmark, "
                f'got {list(self.classes)} and {list(self.landmarks)}; {_REMEDY}'
            )
        if self.places_name and self.several_devices:
            raise ModelMismatch(
                'a closer look is at the landmarks of one device, got outputs '
                f'{self.places_name!r} and {self.centres_name!r}; {_REMEDY}'
            )
        if bool(self.centres_name) != bool(self.votes_name):
            raise ModelMismatch(
                'a model of several devices needs both centres and votes, got outputs '
                f'{self.centres_name!r} and {self.votes_name!r}; {_REMEDY}'
            )

    @property
    def several_devices(self) -> bool:
        """Whether the model tells the devices of a frame apart."""
        return bool(self.centres_name)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the network's order."""
        names = (self.mask_name, self.heatmaps_name, self.centres_name, self.votes_name)
        return tuple(name for name in (*names, self.places_name) if name)

    def to_json(self) -> str:
        """Return the JSON text stored in a model file."""
        return json.dumps(
            {
                'format': FORMAT,
                'version': self.version,
                'input': {
                    'name': self.input_name,
                    'shape': list(self.input_shape),
                    'dtype': 'float32',
                    'pixel_pitch_mm': self.pixel_pitch_mm,
                    'normalisation': NORMALISATION,
                },
                'outputs': {'mask': self.mask_name, 'heatmaps': self.heatmaps_name}
                | ({'centres': self.centres_name} if self.centres_name else {})
                | ({'votes': self.votes_name} if self.votes_name else {})
                | ({'places': self.places_name} if self.places_name else {}),
                'classes': list(self.classes),
                'overlapping': self.overlapping,
                'landmarks': list(self.landmarks),
                'heatmap_sigma_px': self.heatmap_sigma_px,
                'heatmap_stride': self.heatmap_stride,
                'mask_stride': self.mask_stride,
                'max_separation_px': self.max_separation_px,
                'least_peak': self.least_peak,
                'least_mask_px': self.least_mask_px,
                'training': dict(self.training),
                'licence': self.licence,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> ModelMetadata:
        """Return the metadata of a JSON text.

        Raises:
            ModelMismatch: not JSON, a key is missing, or a format or normalisation unknown here.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ModelMismatch(f'metadata {KEY!r} is not JSON: {error}; {_REMEDY}') from error
        if not isinstance(data, dict) or data.get('format') != FORMAT:
            got = data.get('format') if isinstance(data, dict) else type(data).__name__
            raise ModelMismatch(f'metadata format must be {FORMAT}, got {got!r}; {_REMEDY}')
        try:
            return cls._from_dict(data)
        except ModelMismatch:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise ModelMismatch(f'metadata lacks or mistypes {error}; {_REMEDY}') from error

    @classmethod
    def _from_dict(cls, data: Mapping[str, Any]) -> ModelMetadata:
        if data.get('kind', 'tracker') != 'tracker':
            raise ModelMismatch(
                f'this is a {data["kind"]} model, not a tracker model; a detector of tiny devices '
                'is opened by `synthex_ros.tracking.detector.DetectorModel`'
            )
        source, outputs = data['input'], data['outputs']
        if (source['normalisation'], source['dtype']) != (NORMALISATION, 'float32'):
            raise ModelMismatch(
                f"input must be float32 normalised by '{NORMALISATION}', got "
                f"{source['dtype']} by '{source['normalisation']}'; {_REMEDY}"
            )
        batch, channels, rows, columns = (int(n) for n in source['shape'])
        return cls(
            version=str(data['version']),
            input_name=str(source['name']),
            input_shape=(batch, channels, rows, columns),
            pixel_pitch_mm=float(source['pixel_pitch_mm']),
            mask_name=str(outputs['mask']),
            heatmaps_name=str(outputs['heatmaps']),
            classes=tuple(data['classes']),
            landmarks=tuple(data['landmarks']),
            heatmap_sigma_px=float(data['heatmap_sigma_px']),
            heatmap_stride=int(data['heatmap_stride']),
            mask_stride=int(data['mask_stride']),
            max_separation_px=_optional(data.get('max_separation_px')),
            least_peak=float(data.get('least_peak', LEAST_PEAK)),
            least_mask_px=float(data.get('least_mask_px', 0.0)),
            training=data['training'],
            licence=str(data['licence']),
            centres_name=str(outputs.get('centres', '')),
            votes_name=str(outputs.get('votes', '')),
            overlapping=bool(data.get('overlapping', False)),
            places_name=str(outputs.get('places', '')),
        )

    @classmethod
    def from_onnx(cls, path) -> ModelMetadata:
        """Return the metadata of a model file.

        Raises:
            ModelMismatch: not a model file, or no usable metadata.
        """
        from synthex_ros.tracking.model import open_session

        return cls.from_session(open_session(path, 1), path)

    @classmethod
    def from_session(cls, session, path) -> ModelMetadata:
        """Return the metadata of an opened ONNX Runtime session; `path` is for messages.

        Raises:
            ModelMismatch: no usable metadata.
        """
        stored = session.get_modelmeta().custom_metadata_map
        if KEY not in stored:
            raise ModelMismatch(
                f'{path} has no {KEY!r} metadata (it has {sorted(stored) or "none"}); '
                'use a model written by `synthex export`, such as models/cm_tracker_quarter.onnx'
            )
        try:
            return cls.from_json(stored[KEY])
        except ModelMismatch as error:
            raise ModelMismatch(f'{path}: {error}') from error


def _optional(value: float | None) -> float | None:
    return None if value is None else float(value)
