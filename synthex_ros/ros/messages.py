"""Messages to arrays and back; the only place where message fields are filled.

Images are arrays [row, column], points are [m], stamps are nanoseconds. Buffers go in as
`array.array`: every other form is copied byte by byte when field checks are on.
"""

from __future__ import annotations

import array
from collections.abc import Mapping, Sequence

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Point, Pose, PoseStamped, PoseWithCovarianceStamped, Quaternion
from nav_msgs.msg import Path
from numpy.typing import ArrayLike, NDArray
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from transforms3d import quaternions

from synthex_ros.geometry import Array, check_pose, make_pose
from synthex_ros.ros.camera_info import geometry_from_camera_info, to_camera_info
from synthex_ros.ros.landmarks import LANDMARK_DTYPE, byte_buffer, from_landmarks, to_landmarks

__all__ = [
    'LANDMARK_DTYPE',
    'from_exposure',
    'from_image',
    'from_joint_state',
    'from_landmarks',
    'from_path',
    'from_pose_with_covariance',
    'geometry_from_camera_info',
    'make_header',
    'pose_matrix',
    'stamp_ns',
    'to_camera_info',
    'to_exposure',
    'to_image',
    'to_joint_state',
    'to_landmarks',
    'to_path',
    'to_pose',
    'to_pose_stamped',
    'to_pose_with_covariance',
    'to_stamp',
]

_ENCODINGS = {'mono16': 'u2', '16UC1': 'u2', 'mono8': 'u1', '8UC1': 'u1', '32FC1': 'f4'}
_ENCODING_OF = {'uint16': 'mono16', 'uint8': 'mono8', 'float32': '32FC1'}
_NANOSECONDS = 1_000_000_000

UNKNOWN_ROTATION_RAD2 = float(np.pi**2)
"""Variance of an orientation nobody has measured: the whole circle."""


def stamp_ns(stamp: Time) -> int:
    """Return a message stamp in nanoseconds."""
    return stamp.sec * _NANOSECONDS + stamp.nanosec


def to_stamp(time_ns: int) -> Time:
    """Return nanoseconds as a message stamp."""
    seconds, rest = divmod(int(time_ns), _NANOSECONDS)
    return Time(sec=seconds, nanosec=rest)


def make_header(time_ns: int, frame_id: str) -> Header:
    """Return a header with a stamp [ns] and a frame."""
    return Header(stamp=to_stamp(time_ns), frame_id=frame_id)


def to_image(pixels: NDArray, header: Header) -> Image:
    """Wrap an image, shape (rows, columns), dtype uint16, uint8 or float32.

    Raises:
        ValueError: not two axes, no pixels, or another dtype.
    """
    if pixels.ndim != 2 or pixels.size == 0:
        raise ValueError(f'pixels must have shape (rows, columns), got {pixels.shape}')
    if pixels.dtype.name not in _ENCODING_OF:
        raise ValueError(f'dtype must be one of {list(_ENCODING_OF)}, got {pixels.dtype}')
    pixels = pixels.astype(pixels.dtype.newbyteorder('<'), copy=False)
    rows, columns = pixels.shape
    return Image(
        header=header,
        height=rows,
        width=columns,
        encoding=_ENCODING_OF[pixels.dtype.name],
        is_bigendian=0,
        step=columns * pixels.dtype.itemsize,
        data=byte_buffer(pixels),
    )


def from_image(message: Image) -> NDArray:
    """Return the pixels, shape (rows, columns); a view of the message where byte order allows.

    Raises:
        ValueError: an encoding other than one-channel 8, 16 or 32-bit float, or a buffer whose
            size does not match height, width and step.
    """
    code = _ENCODINGS.get(message.encoding)
    if code is None:
        raise ValueError(f'encoding must be one of {list(_ENCODINGS)}, got {message.encoding!r}')
    dtype = np.dtype(('>' if message.is_bigendian else '<') + code)
    rows, columns, step = message.height, message.width, message.step
    if rows == 0 or columns == 0:
        raise ValueError(f'image is empty: height {rows}, width {columns}')
    if step < columns * dtype.itemsize or len(message.data) != rows * step:
        raise ValueError(
            f'{message.encoding} of {rows} x {columns} px needs step >= '
            f'{columns * dtype.itemsize} and height * step bytes, got step {step} and '
            f'{len(message.data)} bytes'
        )
    lines = np.frombuffer(message.data, np.uint8).reshape(rows, step)
    pixels = lines[:, : columns * dtype.itemsize]
    if step != columns * dtype.itemsize:
        pixels = np.ascontiguousarray(pixels)
    return pixels.view(dtype).astype(dtype.newbyteorder('='), copy=False)


def to_pose(pose: ArrayLike) -> Pose:
    """Return a rigid 4x4 transform [m] as position and unit quaternion."""
    matrix = check_pose(pose)
    w, x, y, z = map(float, quaternions.mat2quat(matrix[:3, :3]))
    return Pose(position=_point(matrix[:3, 3]), orientation=Quaternion(x=x, y=y, z=z, w=w))


def _point(values: ArrayLike) -> Point:
    x, y, z = map(float, np.asarray(values, float))
    return Point(x=x, y=y, z=z)


def pose_matrix(pose: Pose) -> Array:
    """Return the 4x4 transform [m] of a pose.

    Raises:
        ValueError: NaN or infinity, or a quaternion whose length differs from 1 by over 1e-3.
    """
    position, q = pose.position, pose.orientation
    values = np.array([position.x, position.y, position.z, q.w, q.x, q.y, q.z])
    if not np.all(np.isfinite(values)):
        raise ValueError(f'pose must be finite, got position and quaternion {values.tolist()}')
    length = float(np.linalg.norm(values[3:]))
    if abs(length - 1) > 1e-3:
        hint = '; an unset orientation is w = 1, not all zero' if length == 0 else ''
        raise ValueError(f'quaternion must have length 1, got {length:g}{hint}')
    return make_pose(quaternions.quat2mat(values[3:] / length), values[:3])


def to_pose_stamped(pose: ArrayLike, header: Header) -> PoseStamped:
    """Return a rigid 4x4 transform [m] with its header."""
    return PoseStamped(header=header, pose=to_pose(pose))


def to_pose_with_covariance(
    pose: ArrayLike,
    covariance_m2: ArrayLike,
    header: Header,
    rotation_variance_rad2: float = UNKNOWN_ROTATION_RAD2,
) -> PoseWithCovarianceStamped:
    """Return a measured pose.

    Args:
        pose: rigid transform, shape (4, 4) [m].
        covariance_m2: covariance of the position in the header's frame, shape (3, 3) [m^2].
        header: stamp of the exposure and the frame of the pose.
        rotation_variance_rad2: variance of each rotation [rad^2]; the default says 'unknown'.

    Raises:
        ValueError: the covariance is not finite, symmetric and positive semi-definite.
    """
    covariance = np.asarray(covariance_m2, float)
    if covariance.shape != (3, 3) or not np.all(np.isfinite(covariance)):
        raise ValueError(f'covariance_m2 must be a finite 3x3 matrix, got {covariance.tolist()}')
    scale = float(np.abs(covariance).max())
    if not np.allclose(covariance, covariance.T, rtol=0, atol=1e-9 * scale):
        raise ValueError(f'covariance_m2 must be symmetric, got {covariance.tolist()}')
    if np.linalg.eigvalsh(covariance).min() < -1e-9 * scale:
        raise ValueError('covariance_m2 must be positive semi-definite, got a negative variance')
    message = PoseWithCovarianceStamped(header=header)
    message.pose.pose = to_pose(pose)
    full = np.diag([0.0] * 3 + [float(rotation_variance_rad2)] * 3)
    full[:3, :3] = covariance
    message.pose.covariance = full.ravel()
    return message


def from_pose_with_covariance(message: PoseWithCovarianceStamped) -> tuple[Array, Array]:
    """Return the pose, shape (4, 4) [m], and the position covariance, shape (3, 3) [m^2]."""
    covariance = np.array(message.pose.covariance, float).reshape(6, 6)[:3, :3]
    if not np.all(np.isfinite(covariance)):
        raise ValueError('the covariance must be finite, got NaN or infinity')
    return pose_matrix(message.pose.pose), covariance


def to_path(points_m: ArrayLike, header: Header, stamps_ns: Sequence[int] | None = None) -> Path:
    """Return points, shape (N, 3) [m], as a path.

    Args:
        points_m: points in the header's frame.
        header: stamp of the exposure (or of the plan) and the frame of the points.
        stamps_ns: time of each pose [ns]; default: the header's stamp for all.
    """
    points = np.asarray(points_m, float).reshape(-1, 3)
    if not np.all(np.isfinite(points)):
        raise ValueError('points_m must be finite, got NaN or infinity')
    stamps = [stamp_ns(header.stamp)] * len(points) if stamps_ns is None else stamps_ns
    path = Path(header=header)
    path.poses = [
        PoseStamped(header=make_header(stamp, header.frame_id), pose=Pose(position=_point(point)))
        for point, stamp in zip(points, stamps, strict=True)
    ]
    return path


def from_path(message: Path) -> tuple[Array, NDArray[np.int64]]:
    """Return the points, shape (N, 3) [m], and the stamp of each, shape (N,) [ns].

    Raises:
        ValueError: a point is not finite.
    """
    points = np.array(
        [(p.pose.position.x, p.pose.position.y, p.pose.position.z) for p in message.poses], float
    ).reshape(-1, 3)
    if not np.all(np.isfinite(points)):
        raise ValueError('every point of a path must be finite, got NaN or infinity')
    stamps = np.array([stamp_ns(p.header.stamp) for p in message.poses], np.int64)
    return points, stamps


def to_joint_state(
    names: Sequence[str],
    positions: ArrayLike,
    header: Header,
    velocities: ArrayLike | None = None,
    efforts: ArrayLike | None = None,
) -> JointState:
    """Return joint positions [m or rad], with velocities [m/s, rad/s] and efforts if given.

    Raises:
        ValueError: an array whose length differs from the number of names.
    """
    message = JointState(header=header, name=list(names))
    columns = {'position': positions, 'velocity': velocities, 'effort': efforts}
    for key, values in columns.items():
        if values is None:
            continue
        flat = np.asarray(values, float).ravel()
        if len(flat) != len(message.name):
            raise ValueError(f'{key} must have {len(message.name)} values, got {len(flat)}')
        setattr(message, key, array.array('d', flat))
    return message


def from_joint_state(message: JointState, names: Sequence[str]) -> Array:
    """Return the positions of `names`, in that order, shape (N,); they may be NaN.

    Raises:
        ValueError: a joint is missing or doubled, or names and positions differ in number.
    """
    if len(message.position) != len(message.name) or len(set(message.name)) != len(message.name):
        raise ValueError(
            f'a joint state needs one position a name and no name twice, got '
            f'{len(message.position)} positions for {list(message.name)}'
        )
    position = dict(zip(message.name, message.position, strict=True))
    missing = [name for name in names if name not in position]
    if missing:
        raise ValueError(f'joint state lacks {missing}, it has {list(message.name)}')
    return np.array([position[name] for name in names], float)


def to_exposure(
    values: Mapping[str, float], header: Header, name: str = 'exposure'
) -> DiagnosticArray:
    """Return exposure data (keys with units) as diagnostics; the numbers survive exactly."""
    pairs = [KeyValue(key=key, value=repr(float(value))) for key, value in values.items()]
    status = DiagnosticStatus(
        level=DiagnosticStatus.OK, name=name, message='exposed', values=pairs
    )
    return DiagnosticArray(header=header, status=[status])


def from_exposure(message: DiagnosticArray) -> dict[str, float]:
    """Return exposure data by key.

    Raises:
        ValueError: no status, or a value that is not a number.
    """
    if not message.status:
        raise ValueError('an exposure message needs one status, got none')
    return {pair.key: float(pair.value) for pair in message.status[0].values}
