"""Recorded messages as arrays; the messages are those of the bag library, not of ROS itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transforms3d.quaternions import quat2mat

from synthex_ros.evaluation.bag_reader import BagReader
from synthex_ros.evaluation.metrics import Array
from synthex_ros.geometry import make_pose

_POINT_FIELD_DTYPES = {
    1: 'i1',
    2: 'u1',
    3: '<i2',
    4: '<u2',
    5: '<i4',
    6: '<u4',
    7: '<f4',
    8: '<f8',
}


def read_images(bag: BagReader, topic: str, stamps_ns: Iterable[int]) -> dict[int, NDArray]:
    """Return the images of a topic by stamp, those of the given stamps [ns] that are there."""
    wanted = {int(stamp) for stamp in stamps_ns}
    found = {}
    for record in bag.records(topic):
        stamp = stamp_ns(record.message.header)
        if stamp in wanted:
            found[stamp] = image_array(record.message)
    return found


def stamp_ns(header: Any) -> int:
    """Return a header's stamp [ns]."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


def image_array(message: Any) -> NDArray:
    """Return the pixels of a one-channel 8 or 16-bit Image, shape (rows, columns).

    Raises:
        ValueError: another encoding, or a buffer that does not match the size.
    """
    kinds = {'mono8': 'u1', '8UC1': 'u1', 'mono16': 'u2', '16UC1': 'u2'}
    if message.encoding not in kinds:
        raise ValueError(f'encoding must be one of {sorted(kinds)}, got {message.encoding!r}')
    dtype = np.dtype(('>' if message.is_bigendian else '<') + kinds[message.encoding])
    rows, columns, step = message.height, message.width, message.step
    if step < columns * dtype.itemsize or len(message.data) != rows * step:
        raise ValueError(f'{rows} x {columns} px need {rows * step} bytes, {len(message.data)=}')
    lines = np.ascontiguousarray(message.data).view(np.uint8).reshape(rows, step)
    pixels = np.ascontiguousarray(lines[:, : columns * dtype.itemsize])
    return pixels.view(dtype).astype(dtype.newbyteorder('='))


def landmark_array(message: Any) -> Array:
    """Return (u, v, score) by landmark id, shape (L, 3); score is 1 where it has no field.

    Raises:
        ValueError: u, v or id missing, or a buffer that does not match the size.
    """
    formats = {item.name: _POINT_FIELD_DTYPES[item.datatype] for item in message.fields}
    missing = {'u', 'v', 'id'} - formats.keys()
    if missing:
        raise ValueError(f'landmarks need the fields u, v and id; {sorted(missing)} missing')
    dtype = np.dtype(
        {
            'names': list(formats),
            'formats': list(formats.values()),
            'offsets': [item.offset for item in message.fields],
            'itemsize': message.point_step,
        }
    )
    points = np.frombuffer(np.ascontiguousarray(message.data).tobytes(), dtype)
    count = int(points['id'].max()) + 1 if len(points) else 0
    if count > 64:
        raise ValueError(f'landmark ids must be below 64, got {count - 1}')
    table = np.full((count, 3), np.nan)
    table[points['id'].astype(int), 0] = points['u']
    table[points['id'].astype(int), 1] = points['v']
    table[points['id'].astype(int), 2] = points['score'] if 'score' in formats else 1.0
    return table


def path_array(message: Any) -> Array:
    """Return the positions of a Path [m], shape (N, 3)."""
    points = [position(item.pose.position) for item in message.poses]
    return np.array(points, float).reshape(-1, 3)


def position(value: Any) -> tuple[float, float, float]:
    """Return a Point or Vector3 as (x, y, z)."""
    return value.x, value.y, value.z


def pose_array(pose: Any) -> Array:
    """Return a Pose as a 4x4 transform [m]."""
    q = pose.orientation
    return make_pose(quat2mat([q.w, q.x, q.y, q.z]), position(pose.position))
