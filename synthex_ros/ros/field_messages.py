"""Messages of commanded and measured magnetic fields."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Point, PointStamped, Vector3, WrenchStamped
from numpy.typing import ArrayLike
from sensor_msgs.msg import MagneticField
from std_msgs.msg import Header

from synthex_ros.geometry import Array


def to_field(field_t: ArrayLike, header: Header, sigma_t: float = 0.0) -> MagneticField:
    """Return a field, shape (3,) [T], in the axes of the header's frame.

    Args:
        field_t: the field [T].
        header: stamp and frame.
        sigma_t: standard deviation of each component [T]; 0 is unknown, as for a command.
    """
    message = MagneticField(header=header, magnetic_field=_vector(field_t))
    message.magnetic_field_covariance = (sigma_t**2 * np.eye(3)).ravel()
    return message


def from_field(message: MagneticField) -> Array:
    """Return the field of a message, shape (3,) [T]; it may be NaN."""
    return _array(message.magnetic_field)


def to_force(force_n: ArrayLike, header: Header) -> WrenchStamped:
    """Return a wrench of a force alone, shape (3,) [N]."""
    message = WrenchStamped(header=header)
    message.wrench.force = _vector(force_n)
    return message


def from_force(message: WrenchStamped) -> Array:
    """Return the force of a wrench, shape (3,) [N]; it may be NaN."""
    return _array(message.wrench.force)


def to_point(point_m: ArrayLike, header: Header) -> PointStamped:
    """Return a point, shape (3,) [m], in the header's frame."""
    x, y, z = np.asarray(point_m, float).tolist()
    return PointStamped(header=header, point=Point(x=x, y=y, z=z))


def from_point(message: PointStamped) -> Array:
    """Return the point of a message, shape (3,) [m]; it may be NaN."""
    return _array(message.point)


def _vector(values: ArrayLike) -> Vector3:
    x, y, z = np.asarray(values, float).tolist()
    return Vector3(x=x, y=y, z=z)


def _array(value: Vector3 | Point) -> Array:
    return np.array([value.x, value.y, value.z], float)
