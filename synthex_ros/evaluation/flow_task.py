"""The task of the demos of bodies without tether: hold in a flow, and move against it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthex_ros.control.magnetic.untethered import UntetheredSettings
from synthex_ros.evaluation.tasks import DWELL_S, Goal, Task

Array = NDArray[np.float64]

HOLD_S = 1.0
PATH_M = 0.010
POINT_S = 0.1
END_S = 3.0
LIMITS = {'tip_error_median_mm': 0.5, 'tip_error_p95_mm': 1.0, 'path_rms_mm': 0.7}
"""As MG-3 asks of a flow at rest, and MG-5 of a magnet on an arm."""


def flow_task(device: str, start_m: ArrayLike, upstream: ArrayLike, speed_max_m_s: float) -> Task:
    """Return the task: stay, step against the flow, then go on against it at an even speed.

    Args:
        device: what it is for, in the title.
        start_m: where the centre of the body lies on the wall at first, in `world`, (3,) [m].
        upstream: against the flow, unit vector in `world`, shape (3,).
        speed_max_m_s: highest speed that the controller asks for [m/s].
    """
    start, against = np.asarray(start_m, float), np.asarray(upstream, float)
    speed_m_s = min(0.7 * speed_max_m_s, 3e-3)
    second = start + speed_m_s * DWELL_S / 2 * against
    path_s = HOLD_S + 2 * DWELL_S + 2.0
    times_s = np.arange(0, PATH_M / speed_m_s + END_S, POINT_S)
    way_m = np.minimum(speed_m_s * times_s, PATH_M)
    return Task(
        name='flow',
        title=f'hold and move a {device.replace("_", " ")} against flow',
        duration_s=path_s + float(times_s[-1]) + 0.5,
        targets=(Goal(HOLD_S, start), Goal(HOLD_S + DWELL_S, second)),
        path=tuple(
            Goal(path_s + float(time_s), second + way * against)
            for time_s, way in zip(times_s, way_m, strict=True)
        ),
        scenario={'sim.latency_s': 0.1},
        limits=dict(LIMITS),
    )


def place_in_tube(
    world_from_entry: ArrayLike, base_m: ArrayLike, room_m: float, flow_m_s: float
) -> tuple[Array, Array]:
    """Return where a body rests on the posterior wall of a tube, (3,) [m], and the way up-flow.

    Args:
        world_from_entry: where the tube begins; it runs along +z, shape (4, 4) [m].
        base_m: where the body starts, shape (3,) [m].
        room_m: radius of the tube less that of the body [m].
        flow_m_s: mean speed, away from the entry [m/s].
    """
    pose, base = np.asarray(world_from_entry, float), np.asarray(base_m, float)
    along = pose[:3, 2]
    on_axis = pose[:3, 3] + along * float((base - pose[:3, 3]) @ along)
    down = -np.array(UntetheredSettings().up)
    across = down - along * float(down @ along)
    wall = on_axis + room_m * across / np.linalg.norm(across)
    return wall, -along if flow_m_s >= 0 else along
