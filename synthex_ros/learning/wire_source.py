"""Magnetic guidewires for training frames: in the vessels of a CT, or free in the field."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.vessels.model import vessel_tree
from synthex_ros.anatomy.vessels.tree import VesselTree
from synthex_ros.devices.magnetic.guidewire_mesh import WireShape, guidewire_bodies
from synthex_ros.devices.magnetic.guidewire_parameters import LANDMARK_NAMES, GuidewireParameters
from synthex_ros.geometry import make_pose, transform_points
from synthex_ros.learning.sampling import SceneSampling, draw_pose
from synthex_ros.learning.shown_device import ShownDevice, category_of
from synthex_ros.learning.view_setup import ViewSetup
from synthex_ros.learning.wire_curves import STEP_M, bent_tip, free_line, vessel_line

Array = NDArray[np.float64]

_NODE_STEPS = 3
_LINE_STEPS = 5
_TRIES = 20
_SHORTEST_M = 0.06


class WireSource:
    """Draws guidewires; see `DeviceSource`.

    A wire in the vessels has its tip anywhere on a way from the root to an end; its place in the
    lumen wanders from wall to wall. Where the anatomy has no such vessels wires are free.
    """

    def __init__(self, sampling: SceneSampling) -> None:
        self._sampling, self._ranges = sampling, sampling.wire
        self._trees: dict[str, VesselTree | None] = {}
        self.categories = [category_of('guidewire', LANDMARK_NAMES)]
        self.about = {'kind': 'guidewire'}

    def draw(self, setup: ViewSetup, rng: np.random.Generator) -> ShownDevice:
        """Draw wire, pose and shape in a view."""
        wire = self._wire(rng)
        tree = self._tree(setup.anatomy)
        in_vessel = bool(rng.random() < self._ranges.vessel_share) and tree is not None
        if tree is not None and in_vessel:
            line = self._in_view(setup, tree, wire, rng)
        else:
            line = self._free(setup, wire, rng)
        return _shown(wire, line, in_vessel)

    def _wire(self, rng: np.random.Generator) -> GuidewireParameters:
        drawn = {
            field.name: float(rng.uniform(*getattr(self._ranges, field.name)))
            for field in fields(GuidewireParameters)
            if hasattr(self._ranges, field.name)
        }
        return GuidewireParameters(**drawn)  # type: ignore[arg-type]

    def _tree(self, anatomy: str) -> VesselTree | None:
        """Return the vessels of an anatomy in `patient_lps`; None where it has none."""
        if anatomy not in self._trees:
            try:
                found = vessel_tree(self._sampling.volume(anatomy), self._ranges.vessels)
            except ValueError:
                found = None
            self._trees[anatomy] = found
        return self._trees[anatomy]

    def _in_view(
        self,
        setup: ViewSetup,
        tree: VesselTree,
        wire: GuidewireParameters,
        rng: np.random.Generator,
    ) -> Array:
        """Return a line in the vessels, its tip in the open field where one is found."""
        pose, view = setup.seen.world_from_patient, setup.seen.view
        top, bottom, left, right = setup.field_px
        for _ in range(_TRIES):
            line = transform_points(pose, self._in_vessels(tree, wire, rng))
            u, v = view.project(line[-1]) + 0.5
            if left < u < right and top < v < bottom:
                break
        return line

    def _in_vessels(
        self, tree: VesselTree, wire: GuidewireParameters, rng: np.random.Generator
    ) -> Array:
        ends = sorted(name for name, node in tree.places.items() if node != 0)
        path = tree.path(tree.points_m[0], tree.points_m[tree.places[str(rng.choice(ends))]])
        tip_m = rng.uniform(min(_SHORTEST_M, path.length_m / 2), path.length_m)
        shown = path.arc_m <= max(tip_m, path.arc_m[1])
        room = np.maximum(0.85 * path.radius_m[shown] - wire.magnet_diameter_m / 2, 0.0)
        return self._bent(vessel_line(path.points_m[shown], room, rng), wire, rng)

    def _free(
        self, setup: ViewSetup, wire: GuidewireParameters, rng: np.random.Generator
    ) -> Array:
        ranges, sampling, seen = self._ranges, self._sampling, setup.seen
        curvature = float(np.exp(rng.uniform(*np.log(ranges.curvature_per_m))))
        line = self._bent(free_line(rng.uniform(*ranges.free_length_m), curvature, rng), wire, rng)
        pose = draw_pose(
            sampling,
            lambda along: line[-1 - round((1 - along) * wire.flexible_end_m / STEP_M)],
            seen,
            setup.field_px,
            rng,
        )
        return transform_points(pose, line)

    def _bent(self, line: Array, wire: GuidewireParameters, rng: np.random.Generator) -> Array:
        angle = np.radians(rng.uniform(0, self._ranges.tip_bend_deg))
        return bent_tip(line, wire.flexible_end_m, angle, rng)


def _shown(wire: GuidewireParameters, line: Array, in_vessel: bool) -> ShownDevice:
    """Return the wire along a line of `world`, from its entry to its tip, shape (N, 3) [m]."""
    along = line[1] - line[0]
    along /= np.linalg.norm(along)
    side = np.cross(np.eye(3)[int(np.argmin(np.abs(along)))], along)
    side /= np.linalg.norm(side)
    pose = make_pose(np.stack([side, np.cross(along, side), along], axis=1), line[0])
    last = len(line) - 1
    picked = np.unique(np.append(np.arange(last, 0, -_NODE_STEPS), 0))[::-1]
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    behind = np.append(np.cumsum(steps[::-1])[::-1], 0.0)
    nodes = transform_points(np.linalg.inv(pose), line[picked])
    shape = WireShape(behind[picked], nodes, float(behind[0]))
    back = wire.flexible_end_m - wire.marker_length_m / 2
    landmarks = transform_points(pose, shape.at(np.array([back, 0.0])))
    centre_line = line[::-_LINE_STEPS][::-1]
    return ShownDevice(
        guidewire_bodies(wire, shape, pose),
        landmarks,
        centre_line,
        {
            'world_from_device_base': pose.tolist(),
            'in_vessel': in_vessel,
            'centerline_world_m': centre_line.round(5).tolist(),
        },
    )
