"""Classes and landmarks of any model over real DDS, with a model that knows one scene."""

import json

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('domain_coordinator')
pytest.importorskip('onnx')

from synthex_ros.ros import topics  # noqa: E402

from .tracker_model import SIZE, silhouette, write_model  # noqa: E402

pytestmark = pytest.mark.graph

SPINE_PX = np.column_stack([np.linspace(90, 140, 50), np.linspace(40, 200, 50)])
KNOWN = {
    'classes': ('background', 'vertebrae'),
    'landmarks': ('T5', 'T9'),
    'overlapping': True,
}


@pytest.fixture(params=['anatomy', 'other'])
def bench(make_bench, tmp_path, request):
    """The scene's landmarks lie at both ends of its spine."""
    model = write_model(tmp_path / 'spine.onnx', SPINE_PX, 20.0, **KNOWN)
    made = make_bench(model=str(model), device=request.param)
    feeds = [feed for feed in made.publishers if feed is not made.joints]
    made.until(lambda: all(feed.get_subscription_count() for feed in feeds))
    answers = [publisher for publisher, _ in made.tracker_publishers()]
    made.until(lambda: all(answer.get_subscription_count() for answer in answers))
    return made


def test_frames_are_answered_with_structures_and_landmarks_alone(bench):
    landmarks, stamp = bench.answer()
    assert bench.topics_of(stamp) == [topics.MASK, topics.LANDMARKS]
    np.testing.assert_allclose(landmarks['u'], SPINE_PX[[0, -1], 0], atol=0.1)
    np.testing.assert_allclose(landmarks['v'], SPINE_PX[[0, -1], 1], atol=0.1)
    assert np.all(landmarks['score'] > 0.9)
    mask = np.reshape(bench.heard[topics.MASK][-1].data, (SIZE, SIZE))
    np.testing.assert_array_equal(mask, silhouette(SPINE_PX, 20.0))
    bench.until(lambda: len(bench.names) == 3)
    assert json.loads(bench.names[topics.LANDMARK_NAMES]) == ['T5', 'T9']
    assert bench.report()[0].message == 'tracking'


def test_ground_truth_knows_no_anatomy(make_bench):
    made = make_bench(backend='ground_truth', device='anatomy')
    assert made.tracker.failed
    assert 'device must be one of continuum' in made.configure_error()


def test_a_blank_frame_shows_nothing(bench):
    landmarks, _ = bench.answer(counts=np.full((SIZE, SIZE), 1000, np.uint16))
    np.testing.assert_array_equal(landmarks['score'], [0, 0])
    status, values = bench.report()
    assert status.message == 'lost'
    assert values['unused_constant'] == '1'
