"""The tracker network: normalisation, ONNX Runtime inference and the checks before it is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import ArrayLike, NDArray

from synthex_ros.geometry import ProjectionGeometry
from synthex_ros.tracking.mask_parts import without_weak_parts
from synthex_ros.tracking.metadata import ModelMetadata, ModelMismatch
from synthex_ros.tracking.region import GRID_PX, Region

Image = NDArray[np.float32]

PITCH_TOLERANCE = 0.02
"""Relative difference of pixel pitch up to which a frame fits a model."""

DARKEST = 1 / 200
"""Darkest counts that are told apart, over the mean of the image."""

_LOG = np.log1p(np.arange(1 << 16, dtype=np.float64)).astype(np.float32)
_FLAT_STD = 1e-6
_PROBE_SEED = 0


def log_counts(counts: NDArray) -> Image:
    """Return log(1 + counts), float32, of detector counts of any shape."""
    if counts.dtype == np.uint16:
        return _LOG[counts]
    return np.log1p(np.asarray(counts, np.float32))


def normalise(counts: NDArray) -> Image:
    """Return the network input of a radiograph: normalisation 'zscore_log'.

    log(1 + counts), minus the image's mean, divided by its standard deviation; a flat image
    gives zeros. Counts below `DARKEST` of their mean are raised to it first: where a window cut
    dark parts to 0, or a shutter is black, their logarithm would outweigh the whole picture.

    Args:
        counts: detector counts, shape (rows, columns), uint16 or float.
    """
    darkest = np.asarray(DARKEST * counts.mean(), counts.dtype)
    log = log_counts(np.maximum(counts, darkest))
    mean, deviation = cv2.meanStdDev(log)
    scale = 1 / deviation[0, 0] if deviation[0, 0] > _FLAT_STD else 0.0
    return ((log - np.float32(mean[0, 0])) * np.float32(scale)).astype(np.float32, copy=False)


@dataclass(frozen=True)
class Prediction:
    """What the network says about one frame.

    Attributes:
        classes: probability of each class, shape (C, rows, columns), float32.
        heatmaps: landmark heat maps, shape (L, rows / stride, columns / stride), float32.
        centres: heat map of instance centres, like one of `heatmaps`; None for one device.
        votes: vectors (du, dv) to the centre of the cell's instance [px], shape (2, ...); or None.
        places: (u, v) of every landmark by a closer look [px], shape (L, 2), float32; or None.
    """

    classes: Image
    heatmaps: Image
    centres: Image | None = None
    votes: Image | None = None
    places: Image | None = None

    @property
    def mask(self) -> Image:
        """Probability of any device class, shape (rows, columns), float32."""
        return self.classes[1] if len(self.classes) == 2 else 1 - self.classes[0]

    def labels(self) -> NDArray[np.uint8]:
        """Return the most probable class id of each pixel, shape (rows, columns), uint8."""
        if len(self.classes) == 2:
            return (self.classes[1] > 0.5).astype(np.uint8)
        return np.argmax(self.classes, axis=0).astype(np.uint8)

    def class_masks(self, overlapping: bool) -> NDArray[np.bool_]:
        """Return the pixels of every class but the background, shape (C - 1, rows, columns).

        Args:
            overlapping: classes may share pixels, as the metadata say; otherwise `labels` decide.
        """
        if overlapping:
            return self.classes[1:] > 0.5
        return self.labels() == np.arange(1, len(self.classes), dtype=np.uint8)[:, None, None]


def open_session(path: str | Path, threads: int) -> ort.InferenceSession:
    """Open a model file for the CPU with `threads` threads.

    Raises:
        FileNotFoundError: no such file.
        ModelMismatch: ONNX Runtime cannot read it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'no model file at {path}; the shipped one is cm_tracker_quarter.onnx'
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning worker threads would take a core from the other nodes between frames.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    try:
        return ort.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    except Exception as error:  # ONNX Runtime raises its own types, all derived from this one
        raise ModelMismatch(
            f'{path} is not a readable ONNX model: {error}; fetch or export it again'
        ) from error


class TrackerModel:
    """A tracker network that has been checked against its own metadata.

    Args:
        path: the ONNX file.
        threads: CPU threads for one inference.

    Raises:
        FileNotFoundError: no such file.
        ModelMismatch: not a tracker model, or graph and metadata disagree, or it gives NaN.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        if threads < 1:
            raise ValueError(f'threads must be at least 1, got {threads}')
        self.path = Path(path)
        self._session = open_session(path, threads)
        self.metadata = ModelMetadata.from_session(self._session, path)
        self._check_graph()
        self._check_numbers()

    @property
    def any_size(self) -> bool:
        """Whether the network also takes a region of the frame."""
        return not isinstance(self._session.get_inputs()[0].shape[2], int)

    def _expected_shapes(self) -> dict[str, list[int]]:
        meta = self.metadata
        rows, columns = meta.input_shape[2:]
        mask, heat = meta.mask_stride, meta.heatmap_stride
        cells = [rows // heat, columns // heat]
        shapes = {
            meta.input_name: list(meta.input_shape),
            meta.mask_name: [1, len(meta.classes), rows // mask, columns // mask],
            meta.heatmaps_name: [1, len(meta.landmarks), *cells],
        }
        if meta.several_devices:
            shapes |= {meta.centres_name: [1, 1, *cells], meta.votes_name: [1, 2, *cells]}
        if meta.places_name:
            shapes[meta.places_name] = [1, len(meta.landmarks), 2]
        return shapes

    def _check_graph(self) -> None:
        tensors = [*self._session.get_inputs(), *self._session.get_outputs()]
        actual = {tensor.name: tensor.shape for tensor in tensors}
        for name, shape in self._expected_shapes().items():
            if name not in actual or not _agree(actual[name], shape):
                raise self._disagreement(name, shape, actual.get(name, 'no such tensor'))
        types = [tensor.type for tensor in self._session.get_inputs()]
        if types != ['tensor(float)']:
            raise ModelMismatch(
                f'{self.path} must have one float32 input, got {types}; '
                'export the model again with `synthex export`'
            )

    def _disagreement(self, name: str, expected: list[int], got: object) -> ModelMismatch:
        return ModelMismatch(
            f'{self.path}: metadata describe {name!r} as {expected}, the graph has {got}; '
            'export the model again with `synthex export`'
        )

    def _check_numbers(self) -> None:
        rng = np.random.default_rng(_PROBE_SEED)
        probe = rng.integers(1000, 3000, self.metadata.input_shape[2:]).astype(np.uint16)
        for name, values in self._run(normalise(probe)).items():
            if list(values.shape) != (expected := self._expected_shapes()[name]):
                raise self._disagreement(name, expected, list(values.shape))
        prediction = self.infer(probe)
        given = (prediction.classes, prediction.heatmaps, prediction.places)
        if not all(np.isfinite(part).all() for part in given if part is not None):
            raise ModelMismatch(
                f'{self.path} gives NaN or infinity for an ordinary image: its weights are '
                'damaged; export it again from a good checkpoint'
            )
        if prediction.classes.min() < -1e-3 or prediction.classes.max() > 1 + 1e-3:
            raise ModelMismatch(
                f'{self.path}: output {self.metadata.mask_name!r} must be probabilities 0..1, got '
                f'{prediction.classes.min():g}..{prediction.classes.max():g}; export softmax'
            )

    def require(self, classes: Sequence[str] = (), landmarks: Sequence[str] = ()) -> None:
        """Refuse a model that does not know what the caller tracks.

        Raises:
            ModelMismatch: a class or landmark is missing.
        """
        for kind, wanted, known in (
            ('class', classes, self.metadata.classes),
            ('landmark', landmarks, self.metadata.landmarks),
        ):
            missing = [name for name in wanted if name not in known]
            if missing:
                raise ModelMismatch(
                    f'{self.path} does not know {kind} {missing}, it knows {list(known)}; '
                    'choose the model that was trained for this device'
                )

    def check_frame(self, geometry: ProjectionGeometry) -> None:
        """Refuse frames whose size or pixel pitch is not what the model was trained on.

        Raises:
            ModelMismatch: another size, or a pitch more than 2 % off.
        """
        shape = self.metadata.input_shape[2:]
        if tuple(geometry.shape_px) != shape:
            raise ModelMismatch(
                f'frames are {geometry.shape_px[0]} x {geometry.shape_px[1]} px, {self.path.name} '
                f'takes {shape[0]} x {shape[1]}; change the detector binning or the model'
            )
        pitch = self.metadata.pixel_pitch_mm
        for got in geometry.pixel_pitch_m:
            if abs(got * 1e3 / pitch - 1) > PITCH_TOLERANCE:
                raise ModelMismatch(
                    f'pixel pitch is {got * 1e3:.4g} mm, {self.path.name} was trained at '
                    f'{pitch:.4g} mm (allowed +-{PITCH_TOLERANCE:.0%}); change binning or model'
                )

    def infer(self, counts: ArrayLike, region: Region | None = None) -> Prediction:
        """Return mask and heat maps of one radiograph.

        Args:
            counts: detector counts, shape (rows, columns) of the model, uint16, larger = more
                X-rays.
            region: look at this part alone, with the whole frame's normalisation; elsewhere there
                is background without landmarks.

        Raises:
            ModelMismatch: the image has another shape, or the network takes no regions.
        """
        counts = np.asarray(counts)
        if counts.shape != self.metadata.input_shape[2:]:
            raise ModelMismatch(
                f'image must have shape {self.metadata.input_shape[2:]}, got {counts.shape}; '
                'change the detector binning or the model'
            )
        image = normalise(counts)
        if region is None:
            return self._prediction(self._run(image), counts.shape)
        self.require_regions()
        part = self._run(np.ascontiguousarray(region.of(image)))
        inside = self._prediction(part, (region.rows, region.columns))
        return self._placed(inside, region, counts.shape)

    def require_regions(self) -> None:
        """Refuse a network that takes whole frames only.

        Raises:
            ModelMismatch: it has a fixed size, or its rows or columns are no multiple of 32.
        """
        shape = self.metadata.input_shape[2:]
        if not self.any_size or any(n % GRID_PX for n in shape):
            raise ModelMismatch(
                f'{self.path} takes whole frames of {shape[0]} x {shape[1]} px only, no regions; '
                'set roi_mode: false, or export a fully convolutional one with `synthex export`'
            )

    def _run(self, image: Image) -> dict[str, Image]:
        """Return the outputs, by name, of a normalised image, shape (rows, columns)."""
        names = list(self.metadata.output_names)
        feed = {self.metadata.input_name: image[None, None]}
        return dict(zip(names, self._session.run(names, feed), strict=True))

    def _prediction(self, outputs: dict[str, Image], shape: tuple[int, ...]) -> Prediction:
        meta = self.metadata
        classes = outputs[meta.mask_name][0]
        if meta.mask_stride > 1:
            classes = np.stack([cv2.resize(c, (shape[1], shape[0])) for c in classes])
        if meta.least_mask_px:
            classes = without_weak_parts(classes, meta.least_mask_px)
        if not meta.several_devices:
            places = outputs[meta.places_name][0] if meta.places_name else None
            return Prediction(classes, outputs[meta.heatmaps_name][0], places=places)
        centres, votes = outputs[meta.centres_name][0, 0], outputs[meta.votes_name][0]
        return Prediction(classes, outputs[meta.heatmaps_name][0], centres, votes)

    def _placed(self, part: Prediction, region: Region, shape: tuple[int, ...]) -> Prediction:
        """Return a region's prediction in its place in the frame."""
        stride = self.metadata.heatmap_stride

        def placed(values: Image, cell: int) -> Image:
            size = (*values.shape[:-2], shape[0] // cell, shape[1] // cell)
            whole = np.zeros(size, np.float32)
            region.of(whole, cell)[:] = values
            return whole

        classes = placed(part.classes, 1)
        background = np.ones(shape, np.float32)
        region.of(background)[:] = part.classes[0]
        classes[0] = background
        heatmaps = placed(part.heatmaps, stride)
        if part.centres is None or part.votes is None:
            corner = np.array([region.left, region.top], np.float32)
            places = None if part.places is None else part.places + corner
            return Prediction(classes, heatmaps, places=places)
        return Prediction(
            classes, heatmaps, placed(part.centres, stride), placed(part.votes, stride)
        )


def _agree(actual: Sequence[object], expected: Sequence[int]) -> bool:
    """Tell whether a graph's shape is the expected one; names in it stand for any number."""
    if len(actual) != len(expected):
        return False
    return all(not isinstance(a, int) or a == b for a, b in zip(actual, expected, strict=True))
