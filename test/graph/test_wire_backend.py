"""The tracker of a guidewire over real DDS, with a model that knows one scene."""

import json

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('domain_coordinator')
pytest.importorskip('onnx')

from synthex_ros.ros import messages, topics  # noqa: E402

from .tracker_bench import VIEW, radiograph  # noqa: E402
from .tracker_model import SIZE, write_model  # noqa: E402

pytestmark = pytest.mark.graph

ENTRY = [0.0, 0.0, -0.08, 0.0, 0.0, 0.0]
RADIUS_M, PARKED_M, INSERTION_M = 0.004, 0.030, 0.07
LENGTH_M = PARKED_M + INSERTION_M
WIRE = np.stack(
    [0.002 * np.ones(200), np.zeros(200), ENTRY[2] + np.linspace(0, LENGTH_M, 200)], axis=1
)
"""Straight along a tube, 2 mm off its middle."""
WIRE_PX = VIEW.project(WIRE)
KNOWN = {'classes': ('background', 'guidewire'), 'landmarks': ('marker', 'tip')}
TUBE = {
    'device': 'guidewire',
    'device_base_pose': ENTRY,
    'vessels': 'tube',
    'vessel_pose': ENTRY,
    'vessel_radius_m': RADIUS_M,
}


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """The scene from the marker to the tip: all that this model shows of the wire."""
    path = tmp_path_factory.mktemp('model') / 'wire.onnx'
    seen = WIRE_PX[np.linalg.norm(WIRE - WIRE[-1], axis=1) < 0.05]
    return str(write_model(path, seen, 1.0, **KNOWN))


@pytest.fixture
def bench(make_bench, model):
    made = make_bench(model=model, joints=(('insertion', 'roll'), [INSERTION_M, 0.0]), **TUBE)
    made.match()
    return made


def test_a_wire_in_a_tube_is_placed_in_it(bench):
    for _ in range(3):
        landmarks, stamp = bench.answer()
    bench.until(lambda: len(bench.topics_of(stamp)) == 4)
    assert np.all(landmarks['score'] > 0.9)
    np.testing.assert_allclose(landmarks['u'][1], WIRE_PX[-1, 0], atol=0.3)
    pose, covariance = messages.from_pose_with_covariance(bench.heard[topics.MEASURED_CP][-1])
    error, forward = pose[:3, 3] - WIRE[-1], VIEW.world_from_source[:3, 2]
    assert np.linalg.norm(error - (error @ forward) * forward) < 1e-3
    assert abs(error @ forward) < RADIUS_M
    assert np.sqrt(forward @ covariance @ forward) > 0.9 * RADIUS_M / 2
    assert pose[2, 2] > 0.98  # it looks along the tube
    line, _ = messages.from_path(bench.heard[topics.CENTERLINE][-1])
    assert np.linalg.norm(line[-1] - line[0]) == pytest.approx(0.05, abs=0.004)
    assert line[-1, 2] > line[0, 2]
    bench.until(lambda: len(bench.names) == 3)
    assert json.loads(bench.names[topics.LANDMARK_NAMES]) == ['marker', 'tip']
    assert bench.report()[0].message == 'tracking'


def test_a_blank_frame_gives_no_line_and_three_of_them_no_tip(bench):
    bench.answer()
    blank = np.full((SIZE, SIZE), 1000, np.uint16)
    for _ in range(3):
        landmarks, stamp = bench.answer(counts=blank)
        np.testing.assert_array_equal(landmarks['score'], [0, 0])
        assert topics.CENTERLINE not in bench.topics_of(stamp)
    assert topics.MEASURED_CP not in bench.topics_of(stamp)
    status, values = bench.report()
    assert (status.message, values['lost_count']) == ('lost', '1')
    for _ in range(2):
        landmarks, stamp = bench.answer(counts=radiograph())
    assert np.all(landmarks['score'] > 0.9)


def test_a_feeder_that_does_not_fit_what_is_seen_is_not_believed(bench):
    for insertion, reason in ((0.3, 'unused_no_route'), (np.nan, 'rejected_joints')):
        bench.measured = (('insertion', 'roll'), [insertion, 0.0])
        landmarks, stamp = bench.answer()
        np.testing.assert_array_equal(landmarks['score'], [0, 0])
        assert topics.CENTERLINE not in bench.topics_of(stamp)
        assert bench.report()[1][reason] == '1'


@pytest.mark.parametrize(
    ('values', 'reason'),
    [
        ({'device_base_pose': [0.1, 0.0, -0.08, 0.0, 0.0, 0.0]}, 'check device_base_pose'),
        ({'device_settings': '{parked: 0.03}'}, 'parked_m'),
        ({'vessel_map': 'no_such_map.json'}, 'no vessel map at no_such_map.json'),
        ({'frame_px': 512}, '512 x 512 px'),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_activation(make_bench, model, values, reason):
    bench = make_bench(model=model, **{**TUBE, **values})
    assert bench.tracker.failed
    assert reason in bench.configure_error()
