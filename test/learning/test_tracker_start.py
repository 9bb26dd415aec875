"""A tracker's training starts from another device's model as far as it fits."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch (extra `train`)')

from synthex_ros.learning.export import write_onnx  # noqa: E402
from synthex_ros.learning.networks.registry import build_network  # noqa: E402
from synthex_ros.learning.tracker_start import start_tracker  # noqa: E402
from synthex_ros.tracking.metadata import ModelMismatch  # noqa: E402

from .metadata import cm_metadata  # noqa: E402

pytestmark = pytest.mark.usefixtures('one_thread')

IMAGES = torch.from_numpy(np.random.default_rng(5).normal(0, 1, (4, 1, 64, 64))).float()


def network_of(name, landmarks, classes, seed):
    torch.manual_seed(seed)
    return build_network(name, landmarks, classes).eval()


@pytest.fixture(params=['compact', 'quarter'])
def name(request):
    return request.param


@pytest.fixture
def model(name, tmp_path):
    path = tmp_path / 'model.onnx'
    write_onnx(network_of(name, 2, 2, seed=1), cm_metadata(64), path)
    return str(path)


def results(network):
    with torch.no_grad():
        return network.eval()(IMAGES)


def test_the_same_landmarks_and_classes_lack_nothing(name, model):
    network = network_of(name, 2, 2, seed=2)
    assert start_tracker(network, model, lambda: IMAGES) == []
    for ours, theirs in zip(results(network), results(network_of(name, 2, 2, 1)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(('landmarks', 'classes'), [(5, 2), (2, 3), (1, 4)])
def test_other_landmarks_and_classes_keep_their_own_last_layers(name, model, landmarks, classes):
    network = network_of(name, landmarks, classes, seed=2)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    lacking = start_tracker(network, model, lambda: IMAGES)
    assert 0 < len(lacking) <= 8
    after = network.state_dict()
    for key in lacking:
        torch.testing.assert_close(after[key], before[key])
    changed = [key for key in after if not torch.equal(after[key], before[key])]
    assert len(changed) > 0.5 * len(after)
    classes_seen, heatmaps = results(network)[:2]
    assert classes_seen.shape[1] == classes - 1
    assert heatmaps.shape[1] == landmarks
    if classes == 2:
        torch.testing.assert_close(
            classes_seen, results(network_of(name, 2, 2, 1))[0], rtol=1e-3, atol=1e-4
        )


def test_a_start_of_another_network_is_refused(name, model):
    other = {'compact': 'quarter', 'quarter': 'compact'}[name]
    with pytest.raises(ModelMismatch, match='does not fit the network of the recipe'):
        start_tracker(network_of(other, 2, 2, seed=2), model, lambda: IMAGES)


def test_a_shipped_model_is_found_by_its_name():
    network = network_of('quarter', 3, 2, seed=2)
    assert start_tracker(network, 'cm_tracker_quarter.onnx', lambda: IMAGES)
    with pytest.raises(FileNotFoundError, match=r"no file 'none\.onnx'.*cm_tracker_quarter"):
        start_tracker(network, 'none.onnx', lambda: IMAGES)
