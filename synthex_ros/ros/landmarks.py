"""Landmarks as a point cloud in pixels: one row of u, v, score, id."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

_CODES = ('f4', 'f4', 'f4', 'u4')

_FIELDS = {
    'u': PointField.FLOAT32,
    'v': PointField.FLOAT32,
    'score': PointField.FLOAT32,
    'id': PointField.UINT32,
}

LANDMARK_DTYPE = np.dtype([(name, f'<{code}') for name, code in zip(_FIELDS, _CODES, strict=True)])
"""One landmark: pixel (u, v), score 0..1, id as in the model's landmark names."""


def byte_buffer(values: NDArray) -> array.array:
    """Return the bytes of an array, as the one form that messages take without a slow check."""
    buffer = array.array('B')
    contiguous: Any = np.ascontiguousarray(values)
    buffer.frombytes(memoryview(contiguous).cast('B'))
    return buffer


def to_landmarks(
    points_px: ArrayLike, scores: ArrayLike, header: Header, ids: ArrayLike | None = None
) -> PointCloud2:
    """Return landmarks as one row of u, v [px], score, id.

    Args:
        points_px: pixel of each landmark (u, v), shape (N, 2).
        scores: confidence 0..1 of each, shape (N,); 0 means not found.
        header: stamp and optical frame of the exposure.
        ids: landmark numbers, shape (N,); default 0..N-1.
    """
    points = np.asarray(points_px, float).reshape(-1, 2)
    rows = np.zeros(len(points), LANDMARK_DTYPE)
    rows['u'], rows['v'], rows['score'] = points[:, 0], points[:, 1], scores
    rows['id'] = np.arange(len(points)) if ids is None else ids
    fields = [
        PointField(name=name, offset=4 * k, datatype=kind, count=1)
        for k, (name, kind) in enumerate(_FIELDS.items())
    ]
    size = LANDMARK_DTYPE.itemsize
    return PointCloud2(
        header=header,
        height=1,
        width=len(rows),
        fields=fields,
        is_bigendian=False,
        point_step=size,
        row_step=size * len(rows),
        data=byte_buffer(rows.view(np.uint8)) if len(rows) else array.array('B'),
        is_dense=bool(np.all(np.isfinite(points))),
    )


def from_landmarks(message: PointCloud2) -> NDArray:
    """Return landmarks as a record array of `LANDMARK_DTYPE`, shape (N,), in message order.

    Raises:
        ValueError: a field is missing or of another type, or the buffer size does not match.
    """
    offsets = {field.name: field.offset for field in message.fields}
    for field in message.fields:
        if field.name in _FIELDS and field.datatype != _FIELDS[field.name]:
            raise ValueError(f'field {field.name!r} has datatype {field.datatype}, not allowed')
    missing = [name for name in _FIELDS if name not in offsets]
    if missing:
        raise ValueError(f'landmarks need the fields u, v, score, id; missing {missing}')
    if len(message.data) != message.width * message.height * message.point_step:
        raise ValueError(
            f'{message.width * message.height} landmarks of {message.point_step} bytes do not '
            f'fill {len(message.data)} bytes'
        )
    wire = np.dtype(
        {
            'names': list(_FIELDS),
            'formats': [('>' if message.is_bigendian else '<') + code for code in _CODES],
            'offsets': [offsets[name] for name in _FIELDS],
            'itemsize': message.point_step,
        }
    )
    return np.frombuffer(message.data, wire).astype(LANDMARK_DTYPE)
