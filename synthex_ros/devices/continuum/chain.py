"""MuJoCo model of the notched tube: a chain of hinges and two tendons through its pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.devices.continuum.parameters import ContinuumParameters

Array = NDArray[np.float64]

LONGEST_TIMESTEP_S = 1e-3
SHORTEST_TIMESTEP_S = 2e-5


def chain_timestep_s(parameters: ContinuumParameters) -> float:
    """Return the time step [s]: half the fastest relaxation time of the damped chain, or 1 ms.

    Tendons load all n notches alike, so the stiffest mode has k + 2 n k_tendon r^2 a notch.

    Raises:
        ValueError: the mechanics are too stiff for their damping to be integrated in real time.
    """
    tendons = 2 * parameters.notch_count * parameters.tendon_stiffness_n_m
    stiffness = parameters.notch_stiffness_nm_rad + tendons * parameters.tendon_offset_m**2
    relaxation_s = parameters.notch_damping_nm_s_rad / stiffness
    if relaxation_s < 2 * SHORTEST_TIMESTEP_S:
        raise ValueError(
            f'notch_damping_nm_s_rad {parameters.notch_damping_nm_s_rad:g} relaxes in '
            f'{relaxation_s:.2g} s, at least {2 * SHORTEST_TIMESTEP_S:g} s is needed: '
            'raise it or lower tendon_stiffness_n_m'
        )
    return min(LONGEST_TIMESTEP_S, relaxation_s / 2)


def wall_mass_kg(parameters: ContinuumParameters, length_m: float) -> float:
    """Return the mass [kg] of `length_m` [m] of notched tube, averaged over a pitch."""
    full = parameters.outer_diameter_m**2 - parameters.inner_diameter_m**2
    cut = parameters.notch_width_fraction * (1 - parameters.bridge_angle_rad / (2 * np.pi))
    return parameters.density_kg_m3 * np.pi / 4 * full * (1 - cut) * length_m


def chain_xml(parameters: ContinuumParameters, stiffness_nm_rad: Array) -> str:
    """Return the MJCF model of the chain for the stiffness of each notch, shape (n,).

    The actuators are springs on the tendons that only pull: control is the wanted length [m].
    """
    inside = ''
    for piece in range(parameters.notch_count, 0, -1):
        inside = _piece_xml(parameters, piece, float(stiffness_nm_rad[piece - 1]), inside)
    base_end = (parameters.notch_pitch_m - parameters.notch_width_m) / 2
    base = _holes_xml(parameters, 0, 0.0, base_end)
    tendons = ''.join(_tendon_xml(side, parameters.notch_count) for side in (1, 2))
    servos = ''.join(_servo_xml(parameters, side) for side in (1, 2))
    return (
        '<mujoco model="continuum"><compiler angle="radian" autolimits="false"/>'
        f'<option timestep="{chain_timestep_s(parameters):.9g}" gravity="0 0 0" '
        'integrator="Euler"><flag contact="disable" autoreset="disable"/></option>'
        f'<worldbody>{base}{inside}</worldbody>'
        f'<tendon>{tendons}</tendon><actuator>{servos}</actuator></mujoco>'
    )


def _piece_xml(
    parameters: ContinuumParameters, piece: int, stiffness_nm_rad: float, inside: str
) -> str:
    """Return the rigid piece behind notch `piece`, as a hollow cylinder, holding `inside`."""
    pitch, width = parameters.notch_pitch_m, parameters.notch_width_m
    is_tip = piece == parameters.notch_count
    start = pitch / 2 if piece == 1 else pitch
    length, centre = (pitch / 2, pitch / 4) if is_tip else (pitch, pitch / 2)
    mass = wall_mass_kg(parameters, length)
    radii_squared = (parameters.outer_diameter_m**2 + parameters.inner_diameter_m**2) / 4
    across = mass * (3 * radii_squared + length**2) / 12
    along = mass * radii_squared / 2
    holes = _holes_xml(parameters, piece, width / 2, length if is_tip else pitch - width / 2)
    return (
        f'<body name="piece_{piece}" pos="0 0 {start:.12g}">'
        f'<joint name="notch_{piece}" type="hinge" axis="0 1 0" '
        f'stiffness="{stiffness_nm_rad:.12g}" '
        f'damping="{parameters.notch_damping_nm_s_rad:.12g}"/>'
        f'<inertial pos="0 0 {centre:.12g}" mass="{mass:.12g}" '
        f'diaginertia="{across:.12g} {across:.12g} {along:.12g}"/>{holes}{inside}</body>'
    )


def _holes_xml(parameters: ContinuumParameters, piece: int, start_m: float, end_m: float) -> str:
    """Return where the tendons enter and leave a piece, z from `start_m` to `end_m` [m]."""
    return ''.join(
        f'<site name="hole_{side}_{piece}_{rim}" pos="{x:.12g} 0 {z:.12g}"/>'
        for side, x in ((1, parameters.tendon_offset_m), (2, -parameters.tendon_offset_m))
        for rim, z in enumerate((start_m, end_m))
    )


def _tendon_xml(side: int, notch_count: int) -> str:
    holes = ''.join(
        f'<site site="hole_{side}_{piece}_{rim}"/>'
        for piece in range(notch_count + 1)
        for rim in (0, 1)
    )
    return f'<spatial name="tendon_{side}">{holes}</spatial>'


def _servo_xml(parameters: ContinuumParameters, side: int) -> str:
    """Return the spring force -(pretension + k (length - control)), never a push."""
    stiffness = parameters.tendon_stiffness_n_m
    return (
        f'<general tendon="tendon_{side}" gainprm="{stiffness:.12g}" biastype="affine" '
        f'biasprm="{-parameters.pretension_n:.12g} {-stiffness:.12g} 0" forcelimited="true" '
        f'forcerange="{-parameters.tension_max_n:.12g} 0"/>'
    )
