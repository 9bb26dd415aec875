"""Every network of the registry leaves as a file that the tracker runs; what sets them apart."""

import dataclasses

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip('torch', reason='training needs torch (extra `train`)')

from synthex_ros.learning.export import difference, write_onnx  # noqa: E402
from synthex_ros.learning.networks.instances import InstanceNetwork  # noqa: E402
from synthex_ros.learning.networks.registry import NETWORKS, build_network  # noqa: E402
from synthex_ros.learning.networks.transunet import (  # noqa: E402
    PAPER,
    SMALL,
    TransUNet,
    TransUNetSize,
)
from synthex_ros.tracking.metadata import ModelMismatch  # noqa: E402
from synthex_ros.tracking.model import TrackerModel  # noqa: E402
from synthex_ros.tracking.region import Region  # noqa: E402

from .metadata import cm_metadata  # noqa: E402

pytestmark = pytest.mark.usefixtures('one_thread')

SIZE = 192
META = cm_metadata(SIZE)
TINY = TransUNetSize(16, (1, 1, 1), 32, 1, 2, 32, (16, 16, 16, 16), grid=8)


def metadata(name):
    several = {'centres_name': 'centres', 'votes_name': 'votes'} if name == 'instances' else {}
    return dataclasses.replace(META, **several)


def image(seed=0):
    return np.random.default_rng(seed).integers(500, 9000, (SIZE, SIZE)).astype(np.uint16)


def settled(network):
    """Give normalisation layers statistics of real activations, so that outputs are not flat."""
    torch.manual_seed(1)
    with torch.no_grad():
        for _ in range(3):
            network.train()(torch.randn(2, 1, 64, 64))
    return network.eval()


@pytest.mark.parametrize('name', ['compact', 'transunet_small', 'instances'])
def test_file_agrees_with_the_network(name, tmp_path):
    torch.manual_seed(0)
    network = settled(build_network(name, 2, 2))
    write_onnx(network, metadata(name), tmp_path / 'model.onnx')
    model = TrackerModel(tmp_path / 'model.onnx')
    assert model.metadata == metadata(name)
    assert model.any_size == network.fully_convolutional
    assert difference(network, model, [image(0), image(1)]) < 1e-3


def test_registered_transunet_has_the_papers_shape():
    assert set(NETWORKS) == {
        'compact',
        'compact_wide',
        'quarter',
        'transunet',
        'transunet_small',
        'instances',
    }
    assert (PAPER.blocks, PAPER.hidden, PAPER.layers, PAPER.heads) == ((3, 4, 9), 768, 12, 12)
    with torch.device('meta'):
        count = sum(p.numel() for p in TransUNet(2, 2, PAPER).parameters())
    assert count == pytest.approx(105e6, rel=0.02)
    with torch.device('meta'):
        assert sum(p.numel() for p in TransUNet(2, 2, SMALL).parameters()) < 2e6


def test_unknown_network_is_named():
    with pytest.raises(ValueError, match="one of .*'compact'.* got 'unet'"):
        build_network('unet', 2, 2)


def test_transunets_heatmaps_are_cell_means_of_full_size_ones():
    """The landmark head is linear: averaging before it is averaging after it."""
    torch.manual_seed(0)
    network = TransUNet(2, 2, TINY).eval()
    seen = {}
    network.mask.register_forward_hook(lambda _, given, out: seen.update(x=given[0], logits=out))
    with torch.inference_mode():
        _, heatmaps = network(torch.randn(1, 1, 64, 64))
        full = network.heatmaps(torch.cat([seen['x'], seen['logits']], dim=1))
        expected = full.view(1, 2, 16, 4, 16, 4).mean(dim=(3, 5))
    torch.testing.assert_close(heatmaps, expected, atol=1e-5, rtol=1e-4)


def test_transunet_sees_the_whole_frame_from_every_pixel():
    """What the compact network's receptive field does not hold, attention does."""
    torch.manual_seed(0)
    network = TransUNet(1, 2, TINY).eval()
    inside = torch.randn(1, 1, 128, 128, requires_grad=True)
    logits, _ = network(inside)
    logits[0, 0, 5, 5].backward()
    assert inside.grad[0, 0, -16:, -16:].abs().max() > 0


def test_several_devices_share_the_compact_networks_weights():
    torch.manual_seed(0)
    network = InstanceNetwork(2, 2)
    compact = build_network('compact', 2, 2)
    missing = network.load_state_dict(compact.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert {key.split('.')[0] for key in missing.missing_keys} == {'centres', 'votes'}
    picture = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        one, several = compact.eval()(picture), network.eval()(picture)
    for a, b in zip(one, several, strict=False):
        torch.testing.assert_close(a, b)


def test_region_is_the_frame_where_context_does_not_reach(tmp_path):
    """Steps of the coarsest grid and the same normalisation: only the rim sees less."""
    torch.manual_seed(0)
    write_onnx(settled(build_network('compact', 2, 2)), META, tmp_path / 'm.onnx')
    model = TrackerModel(tmp_path / 'm.onnx')
    quiet = np.full((SIZE, SIZE), 4000, np.uint16)
    quiet[90:100, 60:130] = 1500
    region = Region(32, 32, 128, 128)
    whole, part = model.infer(quiet), model.infer(quiet, region)
    assert part.classes.shape == whole.classes.shape
    assert part.heatmaps.shape == whole.heatmaps.shape
    inner = (slice(None), slice(88, 104), slice(88, 104))
    np.testing.assert_allclose(part.classes[inner], whole.classes[inner], atol=0.05)
    assert np.all(part.classes[0, :32] == 1)
    assert np.all(part.heatmaps[:, :, 40:] == 0)
    np.testing.assert_allclose(part.classes.sum(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize('name', ['compact', 'quarter'])
def test_model_file_takes_frames_and_regions_of_any_size(name, tmp_path):
    torch.manual_seed(0)
    network = build_network(name, 2, 2).eval()
    write_onnx(network, META, tmp_path / 'm.onnx')
    session = onnxruntime.InferenceSession(tmp_path / 'm.onnx')
    for size in ((SIZE, SIZE), (64, 96), (256, 32)):
        picture = torch.randn(1, 1, *size)
        _, heatmaps = session.run(None, {META.input_name: picture.numpy()})
        with torch.no_grad():
            wanted = network(picture)[1]
        np.testing.assert_allclose(heatmaps, wanted, rtol=1e-3, atol=1e-3)


def test_network_of_one_size_refuses_regions(tmp_path):
    write_onnx(settled(build_network('transunet_small', 2, 2)), META, tmp_path / 'm.onnx')
    with pytest.raises(ModelMismatch, match='whole frames of 192 x 192 px only'):
        TrackerModel(tmp_path / 'm.onnx').infer(image(), Region(0, 0, 64, 64))
