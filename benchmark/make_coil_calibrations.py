"""Write config/coils/*.yaml: coil systems placed by geometry to have the published numbers.

    python benchmark/make_coil_calibrations.py [folder]

Each coil is one dipole on its axis, whose distance and moment give the wanted field and largest
gradient component of one ampere at the centre. The wanted numbers are those that the published
calibrations of OctoMag, Navion 2 and CardioMag have there (Tesla_core_public, Multi-Scale Robotics
Lab, ETH Zurich); the files themselves are not copied, so fields away from the centre differ.
Prints what comes out.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from synthex_ros import magnetics

NOTE = """\
# {title}
#
# {what}
# Field and gradient of one ampere at the centre are those of the published calibration; coil axes
# are chosen by symmetry so that the condition number of the field and gradient matrix comes out.
# Every coil is one equivalent dipole: right at the centre, plausible in the workspace.
# Assumed, not published: {assumed}.
# Written by benchmark/make_coil_calibrations.py. Licence: Apache-2.0, as the package.
"""


@dataclass(frozen=True)
class Ring:
    """Coils at equal angles around z, at one elevation above the horizontal plane."""

    elevation_deg: float
    first_azimuth_deg: float
    fields_t: tuple[float, ...]
    gradients_t_m: tuple[float, ...]

    def coils(self):
        """Return (position, moment of one ampere) of each coil."""
        step = 360 / len(self.fields_t)
        elevation = np.radians(self.elevation_deg)
        for n, (field, gradient) in enumerate(zip(self.fields_t, self.gradients_t_m, strict=True)):
            azimuth = np.radians(self.first_azimuth_deg + n * step)
            axis = np.array(
                [
                    np.cos(elevation) * np.cos(azimuth),
                    np.cos(elevation) * np.sin(azimuth),
                    np.sin(elevation),
                ]
            )
            unit = magnetics.dipoles_at(np.zeros((1, 3)), axis[None], axis[None])[0]
            ratio = np.abs(magnetics.gradient_matrix(unit[3:])).max() / np.linalg.norm(unit[:3])
            distance = ratio * field / gradient
            yield distance * axis, field * distance**3 / 2e-7 * axis


def spread(low, high, count):
    """Return `count` values from low to high."""
    return tuple(float(v) for v in np.linspace(low, high, count))


def sensors(distance_m, azimuth_deg):
    """Return eight places at the corners of a box around the workspace."""
    angles = np.radians(azimuth_deg + 90 * np.arange(4))
    return [
        [round(float(v), 4) for v in distance_m * np.array([np.cos(a), np.sin(a), z]) / 1.2]
        for z in (-0.66, 0.66)
        for a in angles
    ]


SYSTEMS = {
    'octomag_like': dict(
        title='Eight coils around a small workspace, after OctoMag',
        what='Published: 1.8-2.6 mT/A, 0.041-0.055 T/m per A, condition 58 (8 x 8, SI).',
        assumed='20 A, resistance, rate, lag, heating, limits of field and gradient, sensors',
        rings=(
            Ring(42, 0, spread(1.8e-3, 2.0e-3, 4), spread(0.041, 0.046, 4)),
            Ring(-19, 45, spread(2.3e-3, 2.6e-3, 4), spread(0.048, 0.055, 4)),
        ),
        saturation='none',
        limits=dict(
            current_max_a=20.0, current_rate_a_s=400.0, resistance_ohm=1.2, power_max_w=2000.0,
            time_constant_s=0.020, heat_capacity_j_k=1200.0, thermal_resistance_k_w=0.5,
        ),
        workspace_radius_m=0.03,
        sensors=dict(positions_m=sensors(0.055, 22.5), noise_t=50e-6),
    ),
    'navion_like': dict(
        title='Three large coils below the patient, after Navion 2',
        what='Published: 0.51-0.55 mT/A, 0.0037-0.0040 T/m per A, condition 1.11 (3 x 3).',
        assumed='rate, lag, heating, sensors (35 A, 7.5 ohm and 32 kW are published)',
        rings=(Ring(-33.6, 90, (0.51e-3, 0.55e-3, 0.54e-3), (0.0040, 0.0037, 0.0037)),),
        saturation='none',
        limits=dict(
            current_max_a=35.0, current_rate_a_s=350.0, resistance_ohm=7.5, power_max_w=32000.0,
            time_constant_s=0.050, heat_capacity_j_k=20000.0, thermal_resistance_k_w=0.012,
        ),
        workspace_radius_m=0.12,
        sensors=dict(positions_m=sensors(0.16, 0.0), noise_t=50e-6),
    ),
    'cardiomag_like': dict(
        title='Eight coils with saturating cores around a chest, after CardioMag',
        what='Published: 1.4-3.0 mT/A, 0.006-0.021 T/m per A, condition 40, a erf(b i).',
        assumed='35 A, resistance, rate, lag, heating, limits of field and gradient, sensors',
        rings=(
            Ring(26, 0, spread(2.45e-3, 2.95e-3, 4), spread(0.018, 0.021, 4)),
            Ring(-40.4, 45, spread(1.44e-3, 1.66e-3, 4), spread(0.0063, 0.0078, 4)),
        ),
        saturation='erf',
        ceilings=spread(16.8, 20.1, 8),
        limits=dict(
            current_max_a=35.0, current_rate_a_s=500.0, resistance_ohm=1.0, power_max_w=5000.0,
            time_constant_s=0.030, heat_capacity_j_k=5000.0, thermal_resistance_k_w=0.10,
        ),
        workspace_radius_m=0.12,
        sensors=dict(positions_m=sensors(0.16, 22.5), noise_t=50e-6),
    ),
}  # fmt: skip


def content(system):
    """Return what the file of a system holds."""
    coils = []
    for ring in system['rings']:
        for position, moment in ring.coils():
            dipole = {
                'position_m': [round(float(v), 5) for v in position],
                'moment_m2': [round(float(v), 5) for v in moment],
            }
            coils.append({'name': f'coil_{len(coils) + 1}', 'dipoles': [dipole]})
    for coil, ceiling in zip(coils, system.get('ceilings', ()), strict=False):
        # slope one at small currents: a b = sqrt(pi) / 2 for the error function
        coil['ceiling_a'] = round(ceiling, 3)
        coil['per_a'] = round(float(np.sqrt(np.pi) / 2 / ceiling), 5)
    keys = ('workspace_radius_m', 'saturation', 'limits', 'sensors')
    return {'coils': coils, **{key: system[key] for key in keys}}


def main() -> None:
    """Write the files and print field, gradient and condition number of each."""
    from synthex_ros.devices.magnetic.coils import CoilArray

    folder = Path(sys.argv[1] if len(sys.argv) > 1 else 'config/coils')
    folder.mkdir(parents=True, exist_ok=True)
    table = Table(title='At the centre, one ampere')
    for column in ('system', 'mT', 'T/m', 'condition 8 rows', 'condition of the field'):
        table.add_column(column)
    for name, system in SYSTEMS.items():
        path = folder / f'{name}.yaml'
        note = NOTE.format(**{key: system[key] for key in ('title', 'what', 'assumed')})
        body = yaml.safe_dump(content(system), sort_keys=False, default_flow_style=None, width=99)
        path.write_text(note + body, encoding='utf-8')
        unit = CoilArray.from_calibration(path).unit_matrix([0, 0, 0])
        fields = 1e3 * np.linalg.norm(unit[:3], axis=0)
        gradients = np.abs(magnetics.gradient_matrix(unit[3:].T)).max(axis=(1, 2))
        table.add_row(
            name,
            f'{fields.min():.2f}..{fields.max():.2f}',
            f'{gradients.min():.4f}..{gradients.max():.4f}',
            f'{np.linalg.cond(unit):.1f}',
            f'{np.linalg.cond(unit[:3]):.2f}',
        )
    Console(width=99).print(table)


if __name__ == '__main__':
    main()
