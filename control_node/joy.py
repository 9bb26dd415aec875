"""A gamepad as a hand: sticks become velocities, with a dead man's button and fine steps."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import TwistStamped, Vector3
from sensor_msgs.msg import Joy

from control_node.params import ControlParams

DEAD_ZONE = 0.08


class JoyHand:
    """Turns sticks into velocities of the reference; nothing without the dead man's button.

    Args:
        params: axes, buttons and speeds.
    """

    def __init__(self, params: ControlParams) -> None:
        self._axes = (params.joy_axis_x, params.joy_axis_y, params.joy_axis_z)
        self._hold, self._fine = params.joy_button_hold, params.joy_button_fine
        self._speed_m_s = params.teleop_max_speed_m_s
        self._fine_share = params.joy_fine_share
        self._frame = params.world_frame

    def twist(self, message: Joy) -> TwistStamped | None:
        """Return the velocity that a gamepad asks for, None while the button is up.

        Raises:
            ValueError: the gamepad lacks an axis or a button.
        """
        if not _at(message.buttons, self._hold, 'button'):
            return None
        sticks = np.array([_at(message.axes, axis, 'axis') for axis in self._axes], float)
        if not np.all(np.isfinite(sticks)):
            raise ValueError(f'axes must be finite, got {sticks.tolist()}')
        sticks = np.clip(np.where(np.abs(sticks) < DEAD_ZONE, 0.0, sticks), -1, 1)
        share = self._fine_share if _at(message.buttons, self._fine, 'button') else 1.0
        x, y, z = (self._speed_m_s * share * sticks).tolist()
        twist = TwistStamped(header=message.header)
        twist.header.frame_id = self._frame
        twist.twist.linear = Vector3(x=x, y=y, z=z)
        return twist


def _at(values, index: int, kind: str):
    if index >= len(values):
        raise ValueError(f'control/joy has {len(values)} {kind} values, {index} is asked for')
    return values[index]
