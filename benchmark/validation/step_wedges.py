"""Step wedges: the rendered signal behind plates against the integral over the full spectrum."""

from __future__ import annotations

import numpy as np
import trimesh

from benchmark.projector import linear_table
from benchmark.validation.absorbers import pixel_signal_kev
from benchmark.validation.plots import AMBER, COLOURS, MUTED, legend, panels
from benchmark.validation.section import Check, Plot, Section, Table
from synthex_ros.anatomy import Volume
from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.geometry import CArm, View, make_pose
from synthex_ros.xray.anatomy_layer import expose_anatomy
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.device_layer import behind_devices, trace_bodies
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scene import Scene
from synthex_ros.xray.shear_warp import ShearWarpProjector

STEPS_CM = {
    'water': np.linspace(0.5, 40, 16),
    'Al': np.linspace(0.1, 4, 14),
    'bone': np.linspace(0.25, 4, 16),
    'stainless_steel': np.linspace(0.02, 0.3, 15),
}
NAMES = {
    'water': 'water',
    'Al': 'aluminium',
    'bone': 'cortical bone',
    'stainless_steel': 'stainless steel',
}
VOLTAGES_KV = (60, 80, 120)
LIMIT_PERCENT = 0.3
PIXELS, PLATE_M, MIDDLE_M = 32, 0.8, 0.6
VOXEL_M = (4e-3, 2e-3, 4e-3)
CT_STEPS_VOXELS = (25, 50, 100, 150, 200)


def empty_scene() -> Scene:
    """Return a scene whose CT, a few voxels of air, lies far from the beam."""
    air = Volume(np.full((3, 3, 3), -1000, np.int16), (1e-3,) * 3, make_pose(None, (5, 5, 5)))
    return Scene(air)


def plate(view: View, material: str, thickness_cm: float) -> Body:
    """Return a wide plate across the central ray."""
    box = trimesh.creation.box((PLATE_M, PLATE_M, thickness_cm / 100))
    mesh = TriangleMesh(np.array(box.vertices), np.ascontiguousarray(box.faces, np.int32))
    return Body(mesh, material, view.world_from_source @ make_pose(None, (0, 0, MIDDLE_M)))


def mesh_step(renderer: Renderer, view: View, material: str, thickness_cm: float) -> np.ndarray:
    """Return the rendered signal behind a plate drawn as a mesh [keV], (rows, columns)."""
    devices = trace_bodies([plate(view, material, thickness_cm)], view)
    layer, beam = renderer.anatomy(view), renderer.beam()
    covered, signal = behind_devices(devices, layer, renderer.scene, beam), layer.signal_kev.copy()
    signal[covered.pixels()] = covered.values[0]
    return signal


def ct_step(view: View, beam: Beam, voxels: int) -> np.ndarray:
    """Return the rendered signal behind a water slab that is a CT [keV], (rows, columns)."""
    hu = np.pad(np.zeros((100, voxels, 100), np.int16), 1, constant_values=-1000)
    middle = -0.5 * (np.array(hu.shape[::-1]) - 1) * VOXEL_M
    volume = Volume(hu, VOXEL_M, make_pose(None, middle))
    table = linear_table()
    area = ShearWarpProjector(PIXELS).area_density_g_cm2(volume, table, view, np.eye(4))
    return expose_anatomy(area, table.names, view, np.eye(4), beam).signal_kev


def section(quick: bool) -> Section:
    """Measure all steps."""
    view, rows, changes = CArm().view().resized((PIXELS, PIXELS)), [], {}
    transmission = {}
    for voltage in VOLTAGES_KV:
        renderer = Renderer(empty_scene(), Technique(voltage), anatomy_px=PIXELS)
        beam = renderer.beam()
        open_kev = pixel_signal_kev(beam, view.geometry, 'water', 0)
        for material, steps in STEPS_CM.items():
            truth = [pixel_signal_kev(beam, view.geometry, material, cm) for cm in steps]
            ours = [mesh_step(renderer, view, material, cm) for cm in steps]
            changes[material, voltage] = [
                100 * np.abs(a / b - 1).max() for a, b in zip(ours, truth, strict=True)
            ]
            transmission[material, voltage] = [
                tuple(float(image.sum() / open_kev.sum()) for image in pair)
                for pair in zip(ours, truth, strict=True)
            ]
        thick = {n: 100 * n * VOXEL_M[1] for n in CT_STEPS_VOXELS}
        changes['ct', voltage] = [
            100
            * np.abs(
                ct_step(view, beam, n) / pixel_signal_kev(beam, view.geometry, 'water', cm) - 1
            ).max()
            for n, cm in thick.items()
        ]
    for material, steps in STEPS_CM.items():
        for n in (0, len(steps) // 2, len(steps) - 1):
            cells = [f'{NAMES[material]}, {steps[n]:.3g} cm']
            for voltage in VOLTAGES_KV:
                ours, truth = transmission[material, voltage][n]
                cells.append(f'{ours:.5g} ({100 * (ours / truth - 1):+.3f} %)')
            rows.append(tuple(cells))
    checks = [
        Check(
            f'{name} up to {STEPS_CM[material][-1]:g} cm, worst pixel',
            max(max(changes[material, kv]) for kv in VOLTAGES_KV),
            LIMIT_PERCENT,
        )
        for material, name in NAMES.items()
    ]
    checks.append(
        Check(
            'water up to 40 cm as a CT, worst pixel',
            max(max(changes['ct', kv]) for kv in VOLTAGES_KV),
            LIMIT_PERCENT,
        )
    )
    return Section(
        'Attenuation of step wedges',
        f'Plates across the beam of {" ".join(map(str, VOLTAGES_KV))} kV (3 mm Al, 0.1 mm Cu), '
        f'drawn as closed meshes on a detector of {PIXELS} x {PIXELS} pixels: tracer, eight '
        'energies, single-precision kernels. Reference: the sum over the full 1 keV spectrum at '
        "each pixel's oblique path, with inverse square and obliquity, in double precision. "
        'Water once more as a CT through the projector. Expected signal, before noise and '
        'rounding to counts.',
        checks,
        [Table(('transmission', *(f'{kv} kV' for kv in VOLTAGES_KV)), rows)],
        [_plot(transmission, changes)],
    )


def _plot(transmission: dict, changes: dict) -> Plot:
    figure, axes = panels(2, 10.5)
    for colour, (material, steps) in zip(COLOURS, STEPS_CM.items(), strict=False):
        ours, truth = np.array(transmission[material, 80]).T
        share = steps / steps[-1]
        text = f'{NAMES[material]}, {steps[-1]:g} cm'
        axes[0].semilogy(share, truth, color=colour, lw=1.3, label=text)
        axes[0].semilogy(share, ours, 'o', color=colour, ms=4, mfc='none')
        worst = np.max([changes[material, kv] for kv in VOLTAGES_KV], axis=0)
        axes[1].semilogy(share, worst, 'o-', color=colour, ms=3, lw=1.2)
    axes[0].set(
        title='80 kV: lines full spectrum, rings rendered',
        xlabel='thickness over the greatest',
        ylabel='transmission of absorbed energy',
    )
    legend(axes[0], title='greatest thickness')
    axes[1].axhline(LIMIT_PERCENT, color=AMBER, ls='--', lw=1)
    axes[1].text(0.02, LIMIT_PERCENT * 0.8, 'limit', color=MUTED, fontsize=8, va='top')
    axes[1].set(
        title='worst pixel of all voltages',
        xlabel='thickness over the greatest',
        ylabel='deviation [%]',
    )
    return Plot('step_wedges', figure, 'Transmission and its deviation by thickness')
