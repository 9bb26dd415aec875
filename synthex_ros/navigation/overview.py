"""A picture of vessels: centrelines and a planned path over the roadmap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.vessels import VesselTree
from synthex_ros.control.magnetic.planner import PlannedPath
from synthex_ros.geometry import View

Points = NDArray[np.float64]

COLOURS = (
    '#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#5b3a8e', '#7a7a00',
)  # fmt: skip
PATH_COLOUR = '#c8102e'


def save_overview(
    picture: NDArray[np.uint8],
    view: View,
    tree: VesselTree,
    path: Path,
    *,
    route: PlannedPath | None = None,
    title: str = '',
) -> Path:
    """Write a PNG with the branches of a tree, and a route, over a mirrored picture of `view`.

    Args:
        picture: grey, shape (rows, columns), mirrored so that the patient's left is on the right.
        view: of the picture before it was mirrored.
        tree: centrelines in `world`.
        path: of the PNG.
        route: planned path in `world`.
        title: above the picture.
    """
    from matplotlib.figure import Figure

    rows, columns = picture.shape
    figure = Figure(figsize=(8.4, 8.6), layout='constrained', facecolor='white')
    axis = figure.add_subplot()
    axis.imshow(picture, cmap='gray', vmin=0, vmax=255)

    def mirrored(points: Points) -> Points:
        pixels = view.project(points)
        return np.stack([columns - 1 - pixels[:, 0], pixels[:, 1]], axis=1)

    _draw_tree(axis, tree, mirrored, (rows, columns))
    if route is not None:
        _draw_route(axis, route, mirrored)
    axis.set_xlim(-0.5, columns - 0.5)
    axis.set_ylim(rows - 0.5, -0.5)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title, fontsize=11)
    axis.text(0.02, 0.98, 'R', transform=axis.transAxes, va='top')
    axis.text(0.98, 0.98, 'L', transform=axis.transAxes, va='top', ha='right')
    axis.legend(loc='lower left', fontsize=8, framealpha=0.9)
    figure.savefig(path, dpi=110)
    return path


def _draw_tree(axis, tree: VesselTree, mirrored, shape: tuple[int, int]) -> None:
    named: set[str] = set()
    colours = _colours(len(tree.names))
    for branch in tree.branches:
        kind = tree.names[tree.structure[branch.nodes[-1]]]
        pixels = mirrored(tree.points_m[branch.nodes])
        colour = colours[tree.names.index(kind)]
        label = None if kind in named else kind.replace('_', ' ')
        named.add(kind)
        axis.plot(*pixels.T, color=colour, linewidth=1.6, label=label)
    ends = mirrored(tree.points_m[list(tree.places.values())])
    inside = np.all((ends >= 0) & (ends < np.array(shape)[::-1]), axis=1)
    axis.plot(*ends[inside].T, 'o', color='black', markersize=4, markerfacecolor='white')


def _colours(count: int) -> list:
    """Return a colour for each of `count` vessels, all different."""
    if count <= len(COLOURS):
        return list(COLOURS)
    from matplotlib import colormaps

    return [colormaps['nipy_spectral'](share) for share in np.linspace(0.05, 0.92, count)]


def _draw_route(axis, route: PlannedPath, mirrored) -> None:
    pixels = mirrored(route.points_m)
    label = f'path, {1e3 * route.length_m:.0f} mm'
    axis.plot(*pixels.T, color=PATH_COLOUR, linewidth=2.6, linestyle=(0, (3, 1.2)), label=label)
    marks = mirrored(np.array([waypoint.position_m for waypoint in route.waypoints]))
    axis.plot(
        *marks.T, 'D', color=PATH_COLOUR, markersize=5, markerfacecolor='white', label='waypoint'
    )
