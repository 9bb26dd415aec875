"""The guidewire of the demo is found in its radiographs by the shipped model, over DDS."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy')

from synthex_ros import resources  # noqa: E402
from synthex_ros.evaluation.bag_reader import BagReader  # noqa: E402
from synthex_ros.evaluation.run_data import load_run  # noqa: E402
from synthex_ros.ros.bringup import load_scenario  # noqa: E402
from synthex_ros.ros.task_run import VESSEL_TASK, execute, prepare  # noqa: E402

MODEL = resources.share_folder() / 'models' / 'wire_tracker.onnx'
pytestmark = [
    pytest.mark.graph,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not MODEL.is_file(), reason='there is no models/wire_tracker.onnx'),
]

SCENARIO = 'guidewire_in_aorta.yaml'
DURATION_S = 8.0


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """The first seconds of the demo, as its bag tells them."""
    start_s = load_scenario(SCENARIO).node('sim').parameters['start_time_s']
    whole = prepare(VESSEL_TASK, tmp_path_factory.mktemp('wire'), SCENARIO, ['tracker:=onnx'])
    whole.scenario.sections['sim']['end_time_s'] = start_s + DURATION_S
    short = replace(whole, task=replace(whole.task, duration_s=DURATION_S))
    execute(short, lambda _progress: None, lambda _text: None, lambda _section, _line: None)
    with BagReader(short.bag) as bag:
        return load_run(bag)


def common(first, second):
    """Return the values of two tracks at the stamps that both have."""
    _, mine, others = np.intersect1d(first.stamps_ns, second.stamps_ns, return_indices=True)
    return first.values[mine], second.values[others]


def test_the_tip_is_found_in_the_image_and_moves_on(run):
    found, true = common(run.landmarks, run.truth_landmarks)
    assert len(found) > 0.9 * 10 * DURATION_S
    seen = found[:, -1, 2] > 0
    assert seen[3:].mean() > 0.9
    off_px = np.linalg.norm(found[seen, -1, :2] - true[seen, -1, :2], axis=1)
    assert np.median(off_px) < 2.0
    assert np.percentile(off_px, 95) < 6.0
    fed_m = np.linalg.norm(run.truth_tip.values[-1] - run.truth_tip.values[0])
    assert fed_m > 0.03


def test_the_tip_is_where_it_is_but_for_its_depth_in_the_vessel(run):
    found, true = common(run.tip, run.truth_tip)
    error = found - true
    rays = true - run.poses.values[0][:3, 3]
    rays /= np.linalg.norm(rays, axis=1)[:, None]
    deep = np.sum(error * rays, axis=1)
    across = np.linalg.norm(error - deep[:, None] * rays, axis=1)
    assert np.median(across) < 1e-3
    assert np.percentile(across, 95) < 3e-3
    assert np.percentile(np.abs(deep), 95) < 0.015  # the aorta is 20 mm wide
