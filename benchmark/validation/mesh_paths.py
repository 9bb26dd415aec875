"""Path lengths through meshes against analytic solids, exact polyhedra and gVXR."""

from __future__ import annotations

import numpy as np
import trimesh

from benchmark.validation import solids
from benchmark.validation.gvxr_paths import LONGEST_EDGE_M, GvxrMissingError, paths_m
from benchmark.validation.plots import COLOURS, legend, panels
from benchmark.validation.section import Check, Plot, Section, Table
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.mesh import continuum_bodies
from synthex_ros.geometry import CArm, pose_from_parameters, transform_points
from synthex_ros.xray.mesh_tracer import trace

LIMIT_PERCENT = 0.1
EXACT_LIMIT_M = 1e-12
GVXR_LIMIT_PERCENT = 0.2
BENT = {'insertion_m': 0.03, 'roll_rad': 2.2, 'tendons_m': (0.003, -0.003)}
CENTRE_M, RPY = (0.012, -0.017, 0.69), (0.4, 1.1, -0.3)
RADIUS_M, BORE_M, LENGTH_M, SIDES_M = 3e-3, 2e-3, 35e-3, (0.03, 0.02, 0.04)
SPHERE_M = 15e-3
SECTIONS = (16, 32, 64, 128, 256, 512)


def traced(mesh: trimesh.Trimesh, geometry) -> np.ndarray:
    """Return the path image of a mesh at the common pose [m]."""
    pose = pose_from_parameters(CENTRE_M, RPY)
    vertices = transform_points(pose, mesh.vertices)
    return trace(vertices, np.asarray(mesh.faces, np.int32), geometry).full(geometry.shape_px)


def manipulator() -> trimesh.Trimesh:
    """Return the notched tube of the manipulator, bent, about its middle [m]."""
    kinematics = ContinuumKinematics()
    angles = kinematics.notch_angles(kinematics.control_of_tendons(*BENT['tendons_m']))
    bodies = continuum_bodies(kinematics, angles, BENT['insertion_m'], BENT['roll_rad'], np.eye(4))
    tube = next(body for body in bodies if body.label)
    mesh = trimesh.Trimesh(tube.vertices_world_m(), tube.mesh.faces, process=False)
    mesh.apply_translation(-mesh.bounds.mean(axis=0))
    return mesh


def against_gvxr(geometry) -> dict[str, tuple[int, np.ndarray, np.ndarray]]:
    """Return by mesh the number of faces, our path image and gVXR's [m].

    Raises:
        GvxrMissingError: gVXR cannot run here.
    """
    meshes = {
        'sphere': trimesh.creation.icosphere(4, SPHERE_M),
        'cylinder': trimesh.creation.cylinder(RADIUS_M, LENGTH_M, sections=64),
        'tube': trimesh.creation.annulus(BORE_M, RADIUS_M, LENGTH_M, sections=64),
        'box': trimesh.creation.box(SIDES_M),
        'continuum manipulator': manipulator(),
    }
    pose = pose_from_parameters(CENTRE_M, RPY)
    posed = [
        trimesh.Trimesh(transform_points(pose, m.vertices), m.faces, process=False)
        for m in meshes.values()
    ]
    peers = paths_m(posed, geometry)
    return {
        name: (len(mesh.faces), traced(mesh, geometry), peer)
        for (name, mesh), peer in zip(meshes.items(), peers, strict=True)
    }


def rmse_percent(image: np.ndarray, truth: np.ndarray) -> float:
    """Return the relative RMSE [%]."""
    return 100 * float(np.sqrt(np.mean((image - truth) ** 2) / np.mean(truth**2)))


Errors = dict[str, list[tuple[int, float]]]


def solid_errors(geometry, rays: solids.Rays, levels: range) -> Errors:
    """Return faces and relative RMSE [%] against the ideal solid, by solid and finer and finer."""
    tall = solids.cylinder(rays, RADIUS_M, LENGTH_M)
    wall = tall - solids.cylinder(rays, BORE_M, LENGTH_M)
    ball = solids.sphere(rays, SPHERE_M)
    meshes = [('sphere', trimesh.creation.icosphere(level, SPHERE_M), ball) for level in levels]
    for count in SECTIONS:
        rod = trimesh.creation.cylinder(RADIUS_M, LENGTH_M, sections=count)
        tube = trimesh.creation.annulus(BORE_M, RADIUS_M, LENGTH_M, sections=count)
        meshes += [('cylinder', rod, tall), ('tube', tube, wall)]
    errors: Errors = {'sphere': [], 'cylinder': [], 'tube': []}
    for name, mesh, truth in meshes:
        errors[name].append((len(mesh.faces), rmse_percent(traced(mesh, geometry), truth)))
    return errors


def exact_checks(geometry, rays: solids.Rays) -> list[Check]:
    """Compare a box with the ideal one, and convex meshes with their own half-spaces."""
    meshes = {
        'box': trimesh.creation.box(SIDES_M),
        'cylinder of 64 sides': trimesh.creation.cylinder(RADIUS_M, LENGTH_M, sections=64),
        'sphere of 1280 faces': trimesh.creation.icosphere(3, SPHERE_M),
    }
    paths = {name: traced(mesh, geometry) for name, mesh in meshes.items()}
    box = rmse_percent(paths['box'], solids.box(rays, SIDES_M))
    return [
        Check('box, relative RMSE', box, LIMIT_PERCENT),
        *(
            Check(
                f'{name} against its half-spaces, worst ray',
                float(np.abs(paths[name] - solids.polyhedron(rays, mesh)).max()),
                EXACT_LIMIT_M,
                'm',
            )
            for name, mesh in meshes.items()
        ),
    ]


def gvxr_checks(geometry) -> tuple[list[Check], list[Plot], str]:
    """Compare with gVXR where it runs; return checks, plots and a note."""
    try:
        peers = against_gvxr(geometry)
    except GvxrMissingError as error:
        note = f'gVXR, an independent renderer of meshes, is not part of this run: {error}.'
        return [], [], note
    checks = [
        Check(
            f'{name}, {faces} faces, against gVXR, relative RMSE',
            rmse_percent(ours, peer),
            GVXR_LIMIT_PERCENT,
        )
        for name, (faces, ours, peer) in peers.items()
    ]
    note = (
        'gVXR 2.1 on software OpenGL computes in single precision on pixels of the graphics '
        'pipeline and interpolates distances within a triangle, so its copy of each mesh is '
        f'cut to edges of {1e3 * LONGEST_EDGE_M:g} mm.'
    )
    return checks, [_gvxr_plot(*peers['continuum manipulator'][1:])], note


def section(quick: bool) -> Section:
    """Compare solids, refine their meshes, and compare with the meshes' own half-spaces."""
    geometry = CArm().geometry()
    rays = solids.Rays.of(geometry, CENTRE_M, RPY)
    errors = solid_errors(geometry, rays, range(2, 6 if quick else 7))
    solid_checks = [
        Check(f'{name}, {pairs[-1][0]} faces, relative RMSE', pairs[-1][1], LIMIT_PERCENT)
        for name, pairs in errors.items()
    ]
    peer_checks, peer_plots, note = gvxr_checks(geometry)
    return Section(
        'Path length through meshes',
        'A sphere, a rod, a tube and a box, turned and off the axis, on 512 x 512 pixels. '
        'First against the chords of the ideal solids: what remains is the flatness of the faces, '
        'and falls with their number. Then against the convex hull of the very same faces, cut '
        'out of each ray by half-spaces: what remains is the tracer alone, in metres. Last, the '
        'same meshes, and the bent manipulator, through gVirtualXray.',
        [*solid_checks, *exact_checks(geometry, rays), *peer_checks],
        [_table(errors)],
        [_plot(errors), *peer_plots],
        note,
    )


def _table(errors: Errors) -> Table:
    def row(name: str, pairs: list[tuple[int, float]]) -> tuple[str, ...]:
        shown = pairs[:: max(1, len(pairs) // 4)][:4]
        return name, *(f'{error:.3f} % ({faces})' for faces, error in shown)

    rows = [row(name, pairs) for name, pairs in errors.items()]
    return Table(('relative RMSE (faces)', 'coarse', 'finer', 'fine', 'finest'), rows)


def _plot(errors: Errors) -> Plot:
    figure, axes = panels(1, 5.6)
    for colour, (name, pairs) in zip(COLOURS, errors.items(), strict=False):
        axes[0].loglog(*zip(*pairs, strict=True), 'o-', ms=4, lw=1.3, color=colour, label=name)
    axes[0].set(xlabel='faces of the mesh', ylabel='relative RMSE of the path [%]')
    legend(axes[0])
    return Plot('mesh_paths', figure, 'Deviation from the ideal solid by number of faces')


def _gvxr_plot(ours: np.ndarray, peer: np.ndarray) -> Plot:
    figure, axes = panels(2, 9.2)
    rows, columns = (np.flatnonzero((ours > 0).any(axis=k)) for k in (1, 0))
    part = slice(max(rows[0] - 6, 0), rows[-1] + 7), slice(max(columns[0] - 6, 0), columns[-1] + 7)
    pictures = (
        (
            1e3 * ours[part],
            'path through the bent manipulator',
            'gray',
            (0, 1e3 * ours.max()),
            'mm',
        ),
        (1e6 * (ours - peer)[part], 'less gVXR', 'RdBu_r', (-1, 1), 'µm'),
    )
    for axis, (image, title, colours, (low, high), unit) in zip(axes, pictures, strict=True):
        drawn = axis.imshow(image, cmap=colours, vmin=low, vmax=high, interpolation='nearest')
        axis.set_title(title)
        axis.set_axis_off()
        figure.colorbar(drawn, ax=axis, shrink=0.85, label=unit, pad=0.02)
    return Plot('mesh_gvxr', figure, 'Path through the bent manipulator, and less gVXR')
