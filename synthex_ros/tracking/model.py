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
from synthex_ros.tracking.metadata import ModelMetadata, ModelMismatch

Image = NDArray[np.float32]

PITCH_TOLERANCE = 0.02
"""Relative difference of pixel pitch up to which a frame fits a model."""

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
    gives zeros.

    Args:
        counts: detector counts, shape (rows, columns), uint16 or float.
    """
    log = log_counts(counts)
    mean, deviation = cv2.meanStdDev(log)
    scale = 1 / deviation[0, 0] if deviation[0, 0] > _FLAT_STD else 0.0
    return ((log - np.float32(mean[0, 0])) * np.float32(scale)).astype(np.float32, copy=False)


@dataclass(frozen=True)
class Prediction:
    """What the network says about one frame.

    Attributes:
        classes: probability of each class, shape (C, rows, columns), float32.
        heatmaps: landmark heat maps, shape (L, rows / stride, columns / stride), float32.
    """

    classes: Image
    heatmaps: Image

    @property
    def mask(self) -> Image:
        """Probability of any device class, shape (rows, columns), float32."""
        return self.classes[1] if len(self.classes) == 2 else 1 - self.classes[0]

    def labels(self) -> NDArray[np.uint8]:
        """Return the most probable class id of each pixel, shape (rows, columns), uint8."""
        if len(self.classes) == 2:
            return (self.classes[1] > 0.5).astype(np.uint8)
        return np.argmax(self.classes, axis=0).astype(np.uint8)


def open_session(path: str | Path, threads: int) -> ort.InferenceSession:
    """Open a model file for the CPU with `threads` threads.

    Raises:
        FileNotFoundError: no such file.
        ModelMismatch: ONNX Runtime cannot read it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no model file at {path}; the shipped one is cm_tracker.onnx')
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

    def _check_graph(self) -> None:
        meta = self.metadata
        rows, columns = meta.input_shape[2:]
        mask, heat = meta.mask_stride, meta.heatmap_stride
        expected = {
            meta.input_name: list(meta.input_shape),
            meta.mask_name: [1, len(meta.classes), rows // mask, columns // mask],
            meta.heatmaps_name: [1, len(meta.landmarks), rows // heat, columns // heat],
        }
        tensors = [*self._session.get_inputs(), *self._session.get_outputs()]
        actual = {tensor.name: tensor.shape for tensor in tensors}
        for name, shape in expected.items():
            if actual.get(name) != shape:
                raise ModelMismatch(
                    f'{self.path}: metadata describe {name!r} as {shape}, the graph has '
                    f'{actual.get(name, "no such tensor")} (tensors: {sorted(actual)}); '
                    'export the model again with `synthex export`'
                )
        types = [tensor.type for tensor in self._session.get_inputs()]
        if types != ['tensor(float)']:
            raise ModelMismatch(
                f'{self.path} must have one float32 input, got {types}; '
                'export the model again with `synthex export`'
            )

    def _check_numbers(self) -> None:
        rng = np.random.default_rng(_PROBE_SEED)
        probe = rng.integers(1000, 3000, self.metadata.input_shape[2:]).astype(np.uint16)
        prediction = self.infer(probe)
        if not all(np.isfinite(a).all() for a in (prediction.classes, prediction.heatmaps)):
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

    def infer(self, counts: ArrayLike) -> Prediction:
        """Return mask and heat maps of one radiograph.

        Args:
            counts: detector counts, shape (rows, columns) of the model, uint16, larger = more
                X-rays.

        Raises:
            ModelMismatch: the image has another shape.
        """
        counts = np.asarray(counts)
        if counts.shape != self.metadata.input_shape[2:]:
            raise ModelMismatch(
                f'image must have shape {self.metadata.input_shape[2:]}, got {counts.shape}; '
                'change the detector binning or the model'
            )
        feed = {self.metadata.input_name: normalise(counts)[None, None]}
        names = [self.metadata.mask_name, self.metadata.heatmaps_name]
        classes, heatmaps = (out[0] for out in self._session.run(names, feed))
        if self.metadata.mask_stride > 1:
            size = counts.shape[::-1]
            classes = np.stack([cv2.resize(c, size) for c in classes])
        return Prediction(classes, heatmaps)
