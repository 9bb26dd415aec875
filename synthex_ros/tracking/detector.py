"""A detector of tiny devices: normalisation, metadata and inference by tiles."""

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
from synthex_ros.tracking.detections import Detection, DetectorMaps, decode_detections
from synthex_ros.tracking.metadata import FORMAT, ModelMismatch
from synthex_ros.tracking.model import log_counts

KIND = 'detector'
NORMALISATION = 'local_highpass_log'
GRID_PX = 16
"""Tiles start and end on this grid, the network's coarsest."""

_BACKGROUND_SIGMA_PX = 12.0
_NOISE_SIGMA_PX = 1.5
_AROUND_PX = 65
_LEAST_NOISE = 1e-3
_LINEAR = 10.0
_REMEDY = 'export it again with `synthex tiny export`'


def highpass(counts: NDArray) -> NDArray[np.float32]:
    """Return a detector's input of a radiograph: normalisation 'local_highpass_log'.

    log(1 + counts) without what is wider than some tens of pixels, over the noise of the
    surroundings: the mean size of what is left of it without what is wider than a few. A device of
    2 % contrast is lost in the range of a whole frame; here it stands beside the noise, behind
    lung, spine and blades alike. What exceeds 10 times the noise is compressed.

    Args:
        counts: detector counts, shape (rows, columns), uint16 or float.
    """
    return local_highpass(log_counts(counts))


def local_highpass(log: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what `highpass` makes of log(1 + counts); gain and offset of it change nothing.

    Args:
        log: logarithm of detector counts, shape (rows, columns).
    """
    fine = log - cv2.GaussianBlur(log, (0, 0), _BACKGROUND_SIGMA_PX)
    rough = np.abs(log - cv2.GaussianBlur(log, (0, 0), _NOISE_SIGMA_PX))
    noise = cv2.blur(rough, (_AROUND_PX, _AROUND_PX))
    scaled = fine / np.maximum(noise, _LEAST_NOISE)
    return np.asarray(_LINEAR * np.arcsinh(scaled / _LINEAR), np.float32)


@dataclass(frozen=True)
class DetectorMetadata:
    """Input, outputs and meaning of a detector.

    Attributes:
        version: version of the model.
        pixel_pitch_mm: detector pitch that it was trained on [mm].
        classes: class names, background first.
        stride: input pixels a cell of centres and boxes, per side.
        tile_px: greatest side of a tile [px]; a smaller picture is one smaller tile.
        overlap_px: how far a tile reaches over what is used of it, on each side [px].
        min_score: least score of a detection.
        input_name: name of the input tensor, shape (1, 1, rows, columns), of any size.
        centres_name: output of centres, shape (1, C - 1, rows / stride, columns / stride).
        boxes_name: output of boxes, shape (1, 4, rows / stride, columns / stride).
        mask_name: output of class probabilities, shape (1, C - 1, rows, columns).
        devices_name: output of a second look at the most probable centres, shape (N, 3 + C), see
            `DetectorMaps.devices`; empty without one.
        training: how the model was made; for people and reports.
        licence: licence of the weights.
    """

    version: str
    pixel_pitch_mm: float
    classes: tuple[str, ...]
    stride: int = 2
    tile_px: int = 608
    overlap_px: int = 48
    min_score: float = 0.3
    input_name: str = 'image'
    centres_name: str = 'centres'
    boxes_name: str = 'boxes'
    mask_name: str = 'mask'
    devices_name: str = ''
    training: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ''

    def __post_init__(self):
        if len(self.classes) < 2 or self.classes[0] != 'background':
            raise ModelMismatch(
                f"classes must be ['background', ...], got {list(self.classes)}; {_REMEDY}"
            )
        if self.tile_px % GRID_PX or self.overlap_px % GRID_PX:
            raise ModelMismatch(
                f'tile_px and overlap_px must be multiples of {GRID_PX}, got {self.tile_px} and '
                f'{self.overlap_px}; {_REMEDY}'
            )
        if not 0 <= 2 * self.overlap_px < self.tile_px:
            raise ModelMismatch(
                f'overlap_px must leave something of a tile of {self.tile_px} px, got '
                f'{self.overlap_px}; {_REMEDY}'
            )
        if not (self.pixel_pitch_mm > 0 and self.stride >= 1 and 0 < self.min_score < 1):
            raise ModelMismatch(
                'pixel_pitch_mm and stride must be positive and min_score in 0..1, got '
                f'{self.pixel_pitch_mm:g}, {self.stride} and {self.min_score:g}; {_REMEDY}'
            )

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of one tile as the network's input."""
        return 1, 1, self.tile_px, self.tile_px

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the network's order."""
        maps = self.centres_name, self.boxes_name, self.mask_name
        return (*maps, self.devices_name) if self.devices_name else maps

    def to_json(self) -> str:
        """Return the JSON text stored in a model file."""
        described = asdict(self) | {'classes': list(self.classes), 'training': dict(self.training)}
        return json.dumps(
            {'format': FORMAT, 'kind': KIND, 'normalisation': NORMALISATION, **described}
        )

    @classmethod
    def from_json(cls, text: str) -> DetectorMetadata:
        """Return the metadata of a JSON text.

        Raises:
            ModelMismatch: not a detector's, or made for another normalisation.
        """
        try:
            data = json.loads(text)
            head = (data.pop('format'), data.pop('kind'), data.pop('normalisation'))
            if head != (FORMAT, KIND, NORMALISATION):
                raise ModelMismatch(
                    f'metadata must be of ({FORMAT}, {KIND!r}, {NORMALISATION!r}), got {head}; '
                    f'{_REMEDY}'
                )
            return cls(**data | {'classes': tuple(data['classes'])})
        except ModelMismatch:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelMismatch(
                f'these are no metadata of a detector ({error}); choose one, such as '
                f'tiny_detector, or {_REMEDY}'
            ) from error


class DetectorModel:
    """A detector network, used by tiles.

    Args:
        path: the ONNX file.
        threads: CPU threads for one inference.

    Raises:
        FileNotFoundError: no such file.
        ModelMismatch: not a detector.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        self.path = Path(path)
        self._session, self.metadata = open_described(path, threads, DetectorMetadata.from_json)

    def detect(self, counts: ArrayLike, min_score: float | None = None) -> list[Detection]:
        """Return the devices of a radiograph, the surest first.

        Args:
            counts: detector counts, shape (rows, columns), uint16, larger = more X-rays.
            min_score: least score; default that of the model.
        """
        meta = self.metadata
        limit = meta.min_score if min_score is None else min_score
        return decode_detections(self.maps(counts), meta.classes[1:], meta.stride, limit)

    def maps(self, counts: ArrayLike) -> DetectorMaps:
        """Return the maps of a radiograph, shape (rows, columns), from its tiles."""
        counts = np.asarray(counts)
        if counts.ndim != 2:
            raise ModelMismatch(f'image must have shape (rows, columns), got {counts.shape}')
        image = highpass(counts)
        meta, (rows, columns) = self.metadata, counts.shape
        smallest = -(-max(rows, columns) // GRID_PX) * GRID_PX
        core = min(meta.tile_px - 2 * meta.overlap_px, smallest)
        side = core + 2 * meta.overlap_px
        down, across = (-(-n // core) for n in (rows, columns))
        sides = meta.overlap_px
        padded = cv2.copyMakeBorder(
            image, sides, sides + down * core - rows, sides, sides + across * core - columns,
            cv2.BORDER_REFLECT,
        )  # fmt: skip
        whole, devices = self._blank(down * core, across * core), []
        for top in range(0, down * core, core):
            for left in range(0, across * core, core):
                tile = padded[top : top + side, left : left + side]
                seen = self._place(tile, whole, top, left, core)
                devices += [found + np.pad([left - sides, top - sides], (0, found.shape[1] - 2))
                            for found in seen]  # fmt: skip
        cells = (-(-rows // meta.stride), -(-columns // meta.stride))
        centres, boxes, mask = whole
        return DetectorMaps(
            centres[:, : cells[0], : cells[1]],
            boxes[:, : cells[0], : cells[1]],
            mask[:, :rows, :columns],
            np.concatenate(devices) if devices else None,
        )

    def _blank(self, rows: int, columns: int) -> tuple[NDArray[np.float32], ...]:
        count, stride = len(self.metadata.classes) - 1, self.metadata.stride
        cells = (rows // stride, columns // stride)
        shapes = ((count, *cells), (4, *cells), (count, rows, columns))
        return tuple(np.zeros(shape, np.float32) for shape in shapes)

    def _place(
        self, tile: NDArray, whole: tuple[NDArray, ...], top: int, left: int, core: int
    ) -> list[NDArray[np.float32]]:
        """Run one tile and put the part that sees enough around it where it belongs.

        Returns its devices in its own pixels, if the model has a second look.
        """
        meta = self.metadata
        feed = {meta.input_name: np.ascontiguousarray(tile)[None, None]}
        outputs = self._session.run(list(meta.output_names), feed)
        for values, target, cell in zip(
            outputs[:3], whole, (meta.stride, meta.stride, 1), strict=True
        ):
            start, size = meta.overlap_px // cell, core // cell
            row, column = top // cell, left // cell
            inner = values[0][:, start : start + size, start : start + size]
            target[:, row : row + size, column : column + size] = inner
        return outputs[3:]
