"""Weights to start from, out of model files."""

import logging

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch (extra `train`)')

from torch import nn  # noqa: E402

from synthex_ros.learning.closer_graph import (  # noqa: E402
    closer_metadata,
    write_with_closer_look,
)
from synthex_ros.learning.export import write_graph, write_onnx  # noqa: E402
from synthex_ros.learning.networks.closer_look import CloserLook  # noqa: E402
from synthex_ros.learning.networks.compact import TrackerNetwork  # noqa: E402
from synthex_ros.learning.networks.objects import ExportedObjects, ObjectNetwork  # noqa: E402
from synthex_ros.learning.networks.registry import build_network  # noqa: E402
from synthex_ros.learning.quantize import to_int8  # noqa: E402
from synthex_ros.learning.warm_start import start_weights_of, tracker_networks  # noqa: E402
from synthex_ros.tracking.metadata import ModelMismatch  # noqa: E402
from synthex_ros.tracking.objects import ObjectMetadata  # noqa: E402

from .metadata import cm_metadata  # noqa: E402

pytestmark = pytest.mark.usefixtures('one_thread')

IMAGES = torch.from_numpy(np.random.default_rng(5).normal(0, 1, (4, 1, 64, 64))).float()
CLOSE = {'rtol': 1e-3, 'atol': 1e-4}


def learnt(name):
    """Return a network whose normalisations are as uneven as after a training."""
    torch.manual_seed(3)
    network = build_network(name, 2, 2)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values, low, high in (
                (layer.weight, 0.5, 1.5),
                (layer.bias, -0.3, 0.3),
                (layer.running_mean, -0.2, 0.2),
                (layer.running_var, 0.3, 2.0),
            ):
                nn.init.uniform_(values, low, high)
    return network.eval()


def restarted(name, path):
    state = start_weights_of(path, tracker_networks(2, 2), lambda: IMAGES)
    network = build_network(name, 2, 2)
    network.load_state_dict(state)
    return network.eval()


@pytest.mark.parametrize('name', ['compact', 'compact_wide', 'quarter'])
def test_network_of_a_model_file_gives_what_the_file_was_made_from(name, tmp_path):
    network = learnt(name)
    write_onnx(network, cm_metadata(64), tmp_path / 'model.onnx')
    again = restarted(name, tmp_path / 'model.onnx')
    with torch.no_grad():
        for ours, theirs in zip(again(IMAGES), network(IMAGES), strict=True):
            torch.testing.assert_close(ours, theirs, **CLOSE)


def test_normalisations_know_the_images_so_that_training_goes_on_where_it_was(
    tmp_path,
):
    network = learnt('compact')
    write_onnx(network, cm_metadata(64), tmp_path / 'model.onnx')
    again = restarted('compact', tmp_path / 'model.onnx')
    with torch.no_grad():
        wanted = again(IMAGES)[0]
        learning = again.train()(IMAGES)[0]
        far = learnt('compact').train()(IMAGES)[0]
    assert (learning - wanted).abs().max() < 0.05 * (far - wanted).abs().max()


def test_closer_look_of_a_file_is_left_out(tmp_path):
    plain, closer = tmp_path / 'model.onnx', tmp_path / 'closer.onnx'
    write_onnx(learnt('compact'), cm_metadata(64), plain)
    metadata = closer_metadata(cm_metadata(64))
    write_with_closer_look(plain, CloserLook(2).eval(), metadata, closer)
    with torch.no_grad():
        wanted, again = (restarted('compact', path)(IMAGES)[0] for path in (plain, closer))
    torch.testing.assert_close(again, wanted)


def test_model_of_other_landmarks_is_refused(tmp_path):
    write_onnx(learnt('compact'), cm_metadata(64), tmp_path / 'model.onnx')
    with pytest.raises(ModelMismatch, match=r'holds no network of the kinds .*TrackerNetwork'):
        start_weights_of(tmp_path / 'model.onnx', tracker_networks(3, 2), lambda: IMAGES)


def test_quantised_model_is_refused(tmp_path):
    write_onnx(learnt('compact'), cm_metadata(64), tmp_path / 'model.onnx')
    rng = np.random.default_rng(1)
    counts = [rng.integers(500, 3000, (64, 64)).astype(np.uint16) for _ in range(2)]
    to_int8(tmp_path / 'model.onnx', tmp_path / 'int8.onnx', counts)
    with pytest.raises(ModelMismatch, match='holds no network of the kinds'):
        start_weights_of(tmp_path / 'int8.onnx', tracker_networks(2, 2), lambda: IMAGES)


def test_quantisation_leaves_the_warnings_of_the_program_alone(tmp_path):
    write_onnx(learnt('compact'), cm_metadata(64), tmp_path / 'model.onnx')
    counts = [np.full((64, 64), 1000, np.uint16)]
    before = logging.getLogger().level
    to_int8(tmp_path / 'model.onnx', tmp_path / 'int8.onnx', counts)
    assert logging.getLogger().level == before


def test_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / 'model.onnx').write_bytes(b'no model')
    with pytest.raises(ModelMismatch, match='not a readable ONNX model'):
        start_weights_of(tmp_path / 'model.onnx', tracker_networks(2, 2), lambda: IMAGES)


def test_network_of_more_channels_is_passed_over_for_one_that_fits(tmp_path):
    network = learnt('compact')
    write_onnx(network, cm_metadata(64), tmp_path / 'model.onnx')
    two = IMAGES.repeat(1, 2, 1, 1)
    kinds = ObjectNetwork(), TrackerNetwork()
    state = start_weights_of(tmp_path / 'model.onnx', kinds, lambda: two)
    torch.testing.assert_close(
        state['heatmaps.1.weight'], network.state_dict()['heatmaps.1.weight']
    )


def test_network_for_foreign_objects_goes_on_from_its_file(tmp_path):
    torch.manual_seed(2)
    network = ObjectNetwork().eval()
    metadata = ObjectMetadata('1', 0.582, (64, 64), ('background', 'foreign_object'))
    write_graph(ExportedObjects(network).eval(), metadata, tmp_path / 'objects.onnx', True)
    images = IMAGES.repeat(1, 2, 1, 1)
    again = ObjectNetwork()
    kinds = ObjectNetwork(), TrackerNetwork()
    again.load_state_dict(start_weights_of(tmp_path / 'objects.onnx', kinds, lambda: images))
    with torch.no_grad():
        for ours, theirs in zip(again.eval()(images), network(images), strict=True):
            torch.testing.assert_close(ours, theirs, **CLOSE)
