"""A second solver of the same rod: rigid pieces on ball joints in MuJoCo, in open space.

It shares nothing with `rod` but the table of the material, so the two check each other; what it
costs is in `benchmark/magnetic_devices.py`.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.devices.magnetic.rod import RodTable

Array = NDArray[np.float64]

DENSITY_KG_M3 = 6450.0


class RodChain:
    """The part of a rod beyond its entry, held at the origin along +z.

    Args:
        table: the material.
        inserted_m: length beyond the entry [m].
        damping_nm_s_rad: damping of the joints [N m s/rad].
        time_step_s: time step [s].
    """

    def __init__(
        self,
        table: RodTable,
        inserted_m: float,
        damping_nm_s_rad: float = 1e-6,
        time_step_s: float = 1e-3,
    ) -> None:
        count = table.node_count(inserted_m)
        self.rest_m = np.append(
            np.diff(table.node_m[:count]), inserted_m - table.node_m[count - 1]
        )
        self._moment = (table.magnetization_a_m[:count] * self.rest_m)[::-1]
        xml = _xml(table, self.rest_m, damping_nm_s_rad, time_step_s)
        self._model = mujoco.MjModel.from_xml_string(xml)
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)

    def step(self, duration_s: float, field_t: ArrayLike) -> None:
        """Advance by `duration_s` [s] in an even field, shape (3,) [T].

        Raises:
            FloatingPointError: the chain became unstable.
        """
        field = np.asarray(field_t, float)
        for _ in range(round(duration_s / self._model.opt.timestep)):
            along = self._data.xmat[1:].reshape(-1, 3, 3)[:, :, 2]
            self._data.xfrc_applied[1:, 3:] = np.cross(self._moment[:, None] * along, field)
            mujoco.mj_step(self._model, self._data)
        if self._data.warning[mujoco.mjtWarning.mjWARN_BADQACC].number:
            raise FloatingPointError('the chain became unstable; shorten the time step')

    @property
    def nodes_m(self) -> Array:
        """Nodes from the tip to the entry, shape (n + 1, 3) [m]."""
        joints = self._data.xpos[1:]
        tip = joints[-1] + self.rest_m[0] * self._data.xmat[-1].reshape(3, 3)[:, 2]
        return np.vstack([joints, tip])[::-1].copy()


def _xml(table: RodTable, rest_m: Array, damping: float, time_step_s: float) -> str:
    count = len(rest_m)
    halves = rest_m / (2 * table.bending_n_m2[:count])
    stiffness = np.append(1 / (halves[:-1] + halves[1:]), 1 / halves[-1])
    inside = ''
    for element in range(count):
        length, radius = rest_m[element], table.radius_m[element]
        mass = DENSITY_KG_M3 * np.pi * radius**2 * length
        across = mass * (3 * radius**2 + length**2) / 12
        start = 0.0 if element == count - 1 else rest_m[element + 1]
        spring = f'stiffness="{stiffness[element]:.12g}" damping="{damping:.12g}"'
        inertia = f'{across:.12g} {across:.12g} {mass * radius**2 / 2:.12g}'
        inside = (
            f'<body pos="0 0 {start:.12g}"><joint type="ball" {spring}/>'
            f'<inertial pos="0 0 {length / 2:.12g}" mass="{mass:.12g}" diaginertia="{inertia}"/>'
            f'{inside}</body>'
        )
    return (
        '<mujoco model="rod"><compiler autolimits="false" boundmass="0" boundinertia="0"/>'
        f'<option timestep="{time_step_s:.9g}" gravity="0 0 0" integrator="discrete">'
        '<flag contact="disable"/></option>'
        f'<worldbody>{inside}</worldbody></mujoco>'
    )
