"""A magnetic guidewire steered by what its tracker says: where that is wrong, and what it costs.

    python benchmark/wire_tracking.py [truth | drawn | worse | MODEL.onnx ...] [--seconds 40]

The scene, the path and the controller are those of `synthex demo magnetic`; nodes and messages are
left out. `truth` repeats the truth with noise, as `tracker: ground_truth` does; `drawn` gives the
tracker predictions drawn from the truth, `worse` with gaps, noise and shaken landmarks; a model
sees rendered frames. Errors of the tip are along its vessel, across it in the image plane, and
along the ray; of the line, along the ray in the last 60 mm.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree

from control_node.magnetic import (
    back_distance_m,
    build_magnetic_controller,
    end_of_line,
    line_of,
    lumen_path,
)
from control_node.params import ControlParams
from sim_node.params import SimParams
from sim_node.settings import room_settings
from synthex_ros.control.frame import TrackedFrame
from synthex_ros.control.magnetic.field_guard import FieldCommand
from synthex_ros.devices.magnetic.guidewire_parameters import JOINT_NAMES
from synthex_ros.evaluation.drawn_wire import DrawnWire
from synthex_ros.evaluation.vessel_task import vessel_task
from synthex_ros.ros import parameters
from synthex_ros.ros.bringup import load_scenario
from synthex_ros.simulation.build import build_room
from synthex_ros.tracking.model import TrackerModel
from synthex_ros.tracking.wire_tracker import WireFrame
from tracker_node.build import build_wire_tracker
from tracker_node.params import TrackerParams

SCENARIO = 'guidewire_in_aorta.yaml'
LATENCY_S, TRUTH_SIGMA_M = 0.1, 3e-4
WORSE = {'gaps_px': [(20, 34), (110, 126), (220, 232)], 'jitter_px': 1.0, 'noise': 0.12}
LINE_M = 0.06


def values(kind, section, overrides=()):
    """Return the parameters of a node in the scenario."""
    given = dict(load_scenario(SCENARIO, overrides).node(section).parameters)
    known = kind.__dataclass_fields__
    return parameters.build(kind, {key: given[key] for key in given if key in known})


@dataclass
class Log:
    """Rows of one run: a frame each."""

    errors_m: list = field(default_factory=list)
    deviations: list = field(default_factory=list)
    line_m: list = field(default_factory=list)
    turns_deg: list = field(default_factory=list)
    reasons: list = field(default_factory=list)
    spent_s: list = field(default_factory=list)
    tips_m: list = field(default_factory=list)


class Bench:
    """The demo without its nodes.

    Args:
        source: 'truth', 'drawn', 'worse', or the path of a model.
        seed: of all noise.
    """

    def __init__(self, source, seed):
        tracker = [f'model:={source}'] if source.endswith('.onnx') else []
        self.sim = values(SimParams, 'sim')
        self.settings = room_settings(self.sim)
        self.base = self.settings.world_from_device_base
        built = build_room(self.settings)
        self.room, self.device = built.room, built.device
        self.view = self.room.axes.view()
        task = vessel_task(
            self.sim.anatomy, self.sim.isocenter_patient_m, self.sim.vessels, self.base[:3, 3]
        )
        radii = json.dumps(task.scenario['control.path_radii_m'])
        self.control = values(ControlParams, 'control', [f'control.path_radii_m:={radii}'])
        self.controller = build_magnetic_controller(self.control)
        self.goal = lumen_path([one.position_world_m for one in task.path], self.control)
        self.route = self.goal.path
        self.source, self.rng = source, np.random.default_rng(seed)
        params = values(TrackerParams, 'tracker', tracker)
        self.network = DrawnWire(
            self.view.geometry, seed=seed, **(WORSE if source == 'worse' else {})
        )
        if source.endswith('.onnx'):
            self.network = TrackerModel(source, params.threads)
        self.tracker, self.parked_m = build_wire_tracker(params, self.network)
        self.log = Log()

    def frame(self, stamp_ns):
        """Return what the controller gets to know of an exposure now."""
        if self.source == 'truth':
            return self._true_frame(stamp_ns)
        counts = np.array([[1000, 1001]], np.uint16)
        if isinstance(self.network, DrawnWire):
            line = self.device.centerline(self.base)
            self.network.show(self.view, line, self.device.landmarks(self.base))
        else:
            counts = self.room.expose(stamp_ns).radiograph.counts
        inserted = self.parked_m + float(self.device.state.joints[0])
        result = self.tracker.track(WireFrame(counts, self.view, inserted, stamp_ns * 1e-9))
        self.log.reasons.append(result.reason)
        self.log.spent_s.append((result.inference_s, result.fit_s))
        tip = next(one for one in result.landmarks if one.name == 'tip')
        if not tip.score > 0 or result.centerline_world_m is None:
            return TrackedFrame(stamp_ns, 'lost')
        self._note(result)
        return self._tracked(
            stamp_ns, np.array([tip.u, tip.v]), tip.score, result.world_from_tip[:3, 3],
            result.covariance_m2, result.centerline_world_m,
        )  # fmt: skip

    def _true_frame(self, stamp_ns):
        line = self.device.centerline(self.base)
        tip = line[-1] + TRUTH_SIGMA_M * self.rng.standard_normal(3)
        spread = TRUTH_SIGMA_M**2 * np.eye(3)
        self.log.reasons.append('')
        return self._tracked(stamp_ns, self.view.project(tip), 1.0, tip, spread, line)

    def _tracked(self, stamp_ns, pixel, score, tip, covariance, line):
        back = back_distance_m(self.control)
        return TrackedFrame(
            stamp_ns, view=self.view, tip_px=pixel, score=score, tip_world_m=tip,
            covariance_m2=covariance, shape_world_m=end_of_line(line, back),
            line_world_m=line_of(line, self.control),
        )  # fmt: skip

    def _note(self, result):
        true = self.device.tip_pose(self.base)
        forward = self.view.world_from_source[:3, 2]
        error = result.world_from_tip[:3, 3] - true[:3, 3]
        ray = true[:3, 3] - self.view.source_world_m
        deep = error @ forward / (ray @ forward) * np.linalg.norm(ray)
        error = error - deep * ray / np.linalg.norm(ray)
        arc, _ = self.route.nearest(true[:3, 3])
        along = self.route.tangent(arc)
        along = along - (along @ forward) * forward
        along = along / max(np.linalg.norm(along), 1e-9)
        beside = np.cross(forward, along)
        self.log.errors_m.append((error @ along, error @ beside, deep))
        deviation = np.sqrt(forward @ result.covariance_m2 @ forward)
        self.log.deviations.append(deep / deviation)
        turn = np.clip(result.world_from_tip[:3, 2] @ true[:3, 2], -1, 1)
        self.log.turns_deg.append(np.degrees(np.arccos(turn)))
        line = self.device.centerline(self.base)
        fine = np.stack([np.interp(np.linspace(0, len(line) - 1, 4000), np.arange(len(line)), c)
                         for c in line.T], axis=1)  # fmt: skip
        seen = result.centerline_world_m
        seen = seen[np.linalg.norm(seen - seen[-1], axis=1) < LINE_M]
        _, index = cKDTree(self.view.project(fine)).query(self.view.project(seen))
        off = self.view.to_source(seen)[:, 2] - self.view.to_source(fine[index])[:, 2]
        self.log.line_m.append(np.sqrt(np.mean(off**2)))

    def run(self, seconds):
        """Run the loop; return the distance from the end of the path [m]."""
        self.controller.goals.add(self.goal)
        period_s, waiting = 1 / self.sim.frame_rate_hz, []
        for tick in range(round(seconds / 0.01)):
            now_ns = 1_000_000_000 + tick * 10_000_000
            self.controller.measured(now_ns, self.device.state.joints)
            if tick % round(period_s / 0.01) == 0:
                waiting.append(self.frame(now_ns))
                self.log.tips_m.append(self.device.tip_pose(self.base)[:3, 3])
            while waiting and now_ns - waiting[0].stamp_ns >= LATENCY_S * 1e9:
                self._answer(waiting.pop(0), now_ns)
            self.device.step(0.01)
        return float(np.linalg.norm(self.log.tips_m[-1] - self.route.points_m[-1]))

    def _answer(self, frame, now_ns):
        self.controller.pressed(self.device.wall_force_n)
        answer = self.controller.answer(frame, now_ns)
        point = self.device.point_m if answer.held else self.controller.law.tip_world_m()
        stamp_s, now_s = frame.stamp_ns * 1e-9, now_ns * 1e-9
        command = FieldCommand('world', answer.field_t, point, answer.force_n, stamp_s)
        joints = None if answer.joints is None else (JOINT_NAMES, answer.joints)
        self.device.servo_all(command, joints, stamp_s, now_s)


def row(source, bench, end_m, took_s):
    """Return the numbers of a run."""
    log = bench.log
    counted = np.mean([not reason for reason in log.reasons])
    cells = [source, f'{1e3 * end_m:.1f}', f'{100 * counted:.1f}']
    if log.errors_m:
        error = 1e3 * np.abs(log.errors_m)
        cells += [f'{np.median(c):.2f} / {np.percentile(c, 95):.2f}' for c in error.T]
        cells += [
            f'{np.sqrt(np.mean(np.square(log.deviations))):.2f}',
            f'{1e3 * np.median(log.line_m):.1f}',
            f'{np.median(log.turns_deg):.0f} / {np.percentile(log.turns_deg, 95):.0f}',
        ]
        spent = 1e3 * np.array(log.spent_s)
        cells.append(f'{np.median(spent[:, 0]):.1f} + {np.median(spent[:, 1]):.1f}')
    return [*cells, *[''] * (10 - len(cells)), f'{took_s:.0f}']


def main() -> int:
    """Run the loops and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('sources', nargs='*', default=['truth', 'drawn', 'worse'])
    parser.add_argument('--seconds', type=float, default=40.0)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    table = Table(
        'predictions', 'end of path mm', 'counted %', 'along mm', 'across mm', 'depth mm',
        'depth / sigma', 'line depth mm', 'tip turned deg', 'ms a frame', 'took s',
        caption='errors: median / 95th percentile; time: network + the rest',
    )  # fmt: skip
    reasons = {}
    for source in args.sources:
        started = time.monotonic()
        bench = Bench(source, args.seed)
        end_m = bench.run(args.seconds)
        table.add_row(*row(source, bench, end_m, time.monotonic() - started))
        names, counts = np.unique([one for one in bench.log.reasons if one], return_counts=True)
        reasons[source] = dict(zip(names.tolist(), counts.tolist(), strict=True))
    console = Console(width=150)
    console.print(table)
    console.print(reasons)
    return 0


if __name__ == '__main__':
    sys.exit(main())
