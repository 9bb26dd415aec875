"""A model of foreign objects: input, metadata and inference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.tracking.described_session import open_described
from synthex_ros.tracking.detector import local_highpass
from synthex_ros.tracking.metadata import FORMAT, KEY, ModelMismatch
from synthex_ros.tracking.model import normalise, open_session
from synthex_ros.tracking.object_masks import FoundObject, ObjectMaps, decode_objects

KIND = 'objects'
NORMALISATION = 'zscore_log, local_highpass_log / 4'
GRID_PX = 32
"""Rows and columns of the network's input are multiples of this."""

_HIGHPASS_SCALE = 4.0
_REMEDY = 'export it again with `synthex export`'


def object_input(log: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the network's input, shape (2, rows, columns), of a normalised radiograph.

    The logarithm shows plates as they are; the same without what is wide, over its noise, shows
    wires in lung and spine alike.

    Args:
        log: as `synthex_ros.tracking.model.normalise` gives it, shape (rows, columns).
    """
    return np.stack([log, local_highpass(log) / np.float32(_HIGHPASS_SCALE)])


@dataclass(frozen=True)
class ObjectMetadata:
    """Input, outputs and meaning of a model of foreign objects.

    Attributes:
        version: version of the model.
        pixel_pitch_mm: detector pitch that it was trained on [mm].
        frame_px: rows and columns that it was trained for; any others are taken.
        classes: class names, background first; one other.
        min_score: score from which on an object counts as found, for people.
        input_name: name of the input tensor, shape (1, 2, rows, columns).
        output_names: centres, weights, coarse and fine features (`object_masks.ObjectMaps`).
        training: how the model was made; for people and reports.
        licence: licence of the weights.
    """

    version: str
    pixel_pitch_mm: float
    frame_px: tuple[int, int]
    classes: tuple[str, ...]
    min_score: float = 0.4
    input_name: str = 'image'
    output_names: tuple[str, ...] = ('centres', 'weights', 'coarse', 'fine')
    training: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ''

    def __post_init__(self):
        if len(self.classes) != 2 or self.classes[0] != 'background':
            raise ModelMismatch(
                f"classes must be ['background', name], got {list(self.classes)}; {_REMEDY}"
            )
        if not (self.pixel_pitch_mm > 0 and 0 < self.min_score < 1):
            raise ModelMismatch(
                'pixel_pitch_mm must be positive and min_score in 0..1, got '
                f'{self.pixel_pitch_mm:g} and {self.min_score:g}; {_REMEDY}'
            )

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of a frame as the network's input, its sides raised to the network's grid."""
        rows, columns = (-(-n // GRID_PX) * GRID_PX for n in self.frame_px)
        return 1, 2, rows, columns

    def to_json(self) -> str:
        """Return the JSON text stored in a model file."""
        lists = {
            name: list(getattr(self, name)) for name in ('frame_px', 'classes', 'output_names')
        }
        described = asdict(self) | lists | {'training': dict(self.training)}
        return json.dumps(
            {'format': FORMAT, 'kind': KIND, 'normalisation': NORMALISATION, **described}
        )

    @classmethod
    def from_json(cls, text: str) -> ObjectMetadata:
        """Return the metadata of a JSON text.

        Raises:
            ModelMismatch: not a model of foreign objects, or made for another normalisation.
        """
        try:
            data = json.loads(text)
            head = (data.pop('format'), data.pop('kind'), data.pop('normalisation'))
            if head != (FORMAT, KIND, NORMALISATION):
                raise ModelMismatch(
                    f'metadata must be of ({FORMAT}, {KIND!r}, {NORMALISATION!r}), got {head}; '
                    f'{_REMEDY}'
                )
            lists = {name: tuple(data[name]) for name in ('frame_px', 'classes', 'output_names')}
            return cls(**data | lists)
        except ModelMismatch:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelMismatch(
                f'these are no metadata of a model of foreign objects ({error}); {_REMEDY}'
            ) from error


def model_kind(path: str | Path) -> str:
    """Return what kind a model file is: 'tracker', 'detector' or 'objects'.

    Raises:
        FileNotFoundError: no such file.
        ModelMismatch: no model file.
    """
    stored = open_session(path, 1).get_modelmeta().custom_metadata_map
    try:
        return str(json.loads(stored.get(KEY, '{}')).get('kind', 'tracker'))
    except (AttributeError, json.JSONDecodeError) as error:
        raise ModelMismatch(f'metadata of {path} are no JSON object: {error}') from error


class ObjectModel:
    """A network that finds foreign objects, in the form in which it is used.

    Args:
        path: the ONNX file.
        threads: CPU threads for one inference.

    Raises:
        FileNotFoundError: no such file.
        ModelMismatch: not a model of foreign objects.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        self.path = Path(path)
        self._session, self.metadata = open_described(path, threads, ObjectMetadata.from_json)

    def find(self, counts: ArrayLike, least_score: float | None = None) -> list[FoundObject]:
        """Return the foreign objects of a radiograph, the surest first.

        Args:
            counts: detector counts, shape (rows, columns), uint16, larger = more X-rays, at the
                pitch of the model.
            least_score: default that of the metadata.
        """
        counts = np.asarray(counts)
        if counts.ndim != 2:
            raise ModelMismatch(f'image must have shape (rows, columns), got {counts.shape}')
        least = self.metadata.min_score if least_score is None else least_score
        rows, columns = counts.shape
        found = decode_objects(self.maps(padded(normalise(counts))), least)
        cut = [FoundObject(item.score, item.mask[:rows, :columns]) for item in found]
        return [item for item in cut if item.mask.any()]

    def maps(self, log: NDArray[np.float32]) -> ObjectMaps:
        """Return the network's outputs for a normalised radiograph on the network's grid."""
        feed = {self.metadata.input_name: object_input(log)[None]}
        centres, *others = self._session.run(list(self.metadata.output_names), feed)
        return ObjectMaps(centres[0, 0], *(part[0] for part in others))


def padded(log: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an image whose sides are raised to multiples of the network's grid, mirrored."""
    rows, columns = (-n % GRID_PX for n in log.shape)
    if not rows and not columns:
        return log
    wide = cv2.copyMakeBorder(log, 0, rows, 0, columns, cv2.BORDER_REFLECT)
    return np.asarray(wide, np.float32)
