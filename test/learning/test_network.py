"""The network's shapes and size, what its losses reward, and that it can learn."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch (extra `train`)')

from synthex_ros.learning.batches import EpochOrder, to_tensors  # noqa: E402
from synthex_ros.learning.fitted_places import fitted_places  # noqa: E402
from synthex_ros.learning.labelled import Labelled  # noqa: E402
from synthex_ros.learning.losses import (  # noqa: E402
    TYPICAL_AREA_PX,
    correlation,
    heatmap_loss,
    mask_loss,
    position_loss,
)
from synthex_ros.learning.networks.compact import TrackerNetwork  # noqa: E402
from synthex_ros.learning.networks.exported import ExportedNetwork  # noqa: E402
from synthex_ros.learning.networks.quarter import PLAIN, ContrastStem  # noqa: E402
from synthex_ros.learning.networks.registry import (  # noqa: E402
    HEATMAP_STRIDE,
    build_network,
    parameter_count,
)
from synthex_ros.tracking.landmarks import locate  # noqa: E402

from .drawing import blob_at  # noqa: E402

pytestmark = pytest.mark.usefixtures('one_thread')

SIGMA_PX = 7.0
SIGMA = SIGMA_PX / HEATMAP_STRIDE


def batch(count=2, size=64):
    """Return tensors of pictures with a blob at the base and discs at both ends."""
    samples = []
    for index in range(count):
        points = np.array([[16.0 + 8 * index, 20.0], [44.0, 46.0 - 8 * index]])
        drawn = blob_at(points, (size, size), 0)
        image = (drawn.image - drawn.image.mean()) / drawn.image.std()
        mask = (drawn.mask > 0).astype(np.uint8)
        samples.append(to_tensors(Labelled(image + mask, mask, drawn.landmarks), SIGMA_PX))
    return [torch.stack(part) for part in zip(*samples, strict=True)]


@pytest.mark.parametrize('size', [(256, 256), (512, 512), (96, 160)])
def test_fully_convolutional(size):
    network = TrackerNetwork(landmarks=3, classes=4).eval()
    with torch.inference_mode():
        logits, heatmaps = network(torch.zeros(1, 1, *size))
        classes, same = ExportedNetwork(network)(torch.zeros(1, 1, *size))
    cells = (size[0] // HEATMAP_STRIDE, size[1] // HEATMAP_STRIDE)
    assert logits.shape == (1, 3, *size)
    assert heatmaps.shape == same.shape == (1, 3, *cells)
    assert classes.shape == (1, 4, *size)


def test_small_enough_for_a_processor_without_accelerator():
    assert 0.1e6 < parameter_count(TrackerNetwork()) <= 0.6e6
    assert parameter_count(build_network('compact_wide', 2, 2)) <= 2e6


@pytest.mark.parametrize('classes', [2, 4])
def test_exported_classes_are_probabilities(classes):
    torch.manual_seed(0)
    with torch.inference_mode():
        network = ExportedNetwork(TrackerNetwork(classes=classes)).eval()
        probability, _ = network(torch.randn(1, 1, 64, 64) * 3)
    assert probability.min() >= 0
    torch.testing.assert_close(probability.sum(dim=1), torch.ones(1, 64, 64))


def test_moving_the_picture_moves_the_answer():
    """Steps of the coarsest grid, away from the borders."""
    torch.manual_seed(0)
    network = TrackerNetwork().eval()
    image = torch.zeros(1, 1, 384, 384)
    image[..., 170:180, 170:200] = 3
    with torch.inference_mode():
        logits, heatmaps = network(image)
        moved_logits, moved_heatmaps = network(image.roll((32, -32), dims=(2, 3)))
    inner = slice(176, 208)
    torch.testing.assert_close(
        logits.roll((32, -32), dims=(2, 3))[..., inner, inner],
        moved_logits[..., inner, inner],
        atol=1e-3, rtol=1e-3,
    )  # fmt: skip
    cells = slice(44, 52)
    torch.testing.assert_close(
        heatmaps.roll((8, -8), dims=(2, 3))[..., cells, cells],
        moved_heatmaps[..., cells, cells],
        atol=1e-3, rtol=1e-3,
    )  # fmt: skip


def test_learns_two_pictures_by_heart():
    torch.manual_seed(0)
    image, mask, target = batch()
    network = TrackerNetwork(widths=(8, 16, 16, 32, 32)).train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        logits, heatmaps = network(image)
        loss = mask_loss(logits, mask) + 2 * heatmap_loss(heatmaps, target, SIGMA)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.15 * losses[0]


def test_mask_loss_is_zero_for_the_truth_and_grows_with_error():
    _, mask, _ = batch()
    confident = (mask[:, None].float() * 2 - 1) * 20
    values = [mask_loss(confident * gain, mask).item() for gain in (1.0, 0.05, 0.0, -0.05)]
    assert values[0] == pytest.approx(0, abs=1e-4)
    assert values == sorted(values)


def test_mask_loss_of_one_class_is_that_of_several_of_which_one_never_shows():
    _, mask, _ = batch()
    logits = torch.randn(mask.shape[0], 1, *mask.shape[1:])
    never = torch.full_like(logits, -60.0)
    both = mask_loss(torch.cat([logits, never], dim=1), mask)
    # Dice is a mean over classes: one that is neither there nor shown loses nothing.
    one = mask_loss(logits, mask)
    pixels = torch.nn.functional.binary_cross_entropy_with_logits(
        logits[:, 0], mask.float(), reduction='none'
    )
    cross_entropy = (pixels.sum(dim=(1, 2)) / (mask.sum(dim=(1, 2)) + TYPICAL_AREA_PX)).mean()
    assert (both - cross_entropy).item() == pytest.approx((one - cross_entropy).item() / 2)


def test_missing_a_piece_costs_as_much_beside_a_whole_device_as_alone():
    masks = torch.zeros(2, 64, 64, dtype=torch.int64)
    masks[0, 10:50, 20:60] = 1
    masks[1, 30:40, :10] = 1
    found = (masks[:, None].float() * 2 - 1) * 20
    missed = found.clone()
    missed[1] = -20
    beside, alone = mask_loss(missed, masks), mask_loss(missed[1:], masks[1:])
    assert beside.item() == pytest.approx(alone.item() / 2, abs=1e-4)
    # Far more than its sixteenth of the pixels.
    whole = mask_loss(torch.full((1, 1, 64, 64), -20.0), masks[:1])
    assert alone > 2 / 16 * whole


def test_mask_loss_of_small_things_is_relative_to_their_area():
    mask = torch.zeros(1, 64, 64, dtype=torch.int64)
    mask[0, 30:34, 30:34] = 1
    nothing = torch.full((1, 1, 64, 64), -3.0)
    assert mask_loss(nothing, mask, 16.0) > 2 * mask_loss(nothing, mask)


def test_mask_loss_without_any_device_is_finite_and_least_for_background():
    empty = torch.zeros(2, 32, 32, dtype=torch.int64)
    logits = torch.full((2, 1, 32, 32), -20.0, requires_grad=True)
    loss = mask_loss(logits, empty)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-4)
    assert torch.isfinite(logits.grad).all()
    assert mask_loss(torch.zeros(2, 1, 32, 32), empty) > 0.5


def test_heatmap_loss_is_zero_for_the_truth_and_one_and_a_half_for_nothing():
    _, _, target = batch()
    assert heatmap_loss(target, target, SIGMA).item() == pytest.approx(0, abs=1e-4)
    nothing = heatmap_loss(torch.zeros_like(target), target, SIGMA).item()
    assert nothing == pytest.approx(1 + 0.5, rel=0.05)


def test_heatmap_loss_falls_towards_the_landmark():
    _, _, target = batch()
    values = [
        heatmap_loss(target.roll(shift, dims=3), target, SIGMA).item() for shift in (4, 2, 1, 0)
    ]
    assert values == sorted(values, reverse=True)


def test_absent_landmark_asks_for_an_empty_map():
    _, _, target = batch()
    target = target.clone()
    target[:, 1] = 0
    heatmaps = torch.zeros_like(target).requires_grad_()
    heatmap_loss(heatmaps, target, SIGMA).backward()
    assert torch.isfinite(heatmaps.grad).all()
    assert heatmap_loss(target, target, SIGMA).item() == pytest.approx(0, abs=1e-4)
    false_alarm = target.clone()
    false_alarm[:, 1] = target[:, 0]
    assert heatmap_loss(false_alarm, target, SIGMA) > 0.4


def test_batch_without_any_landmark_trains_without_nan():
    """SyntheX's loss was constant here; ours must pull false alarms down."""
    target = torch.zeros(2, 2, 16, 16)
    heatmaps = torch.full_like(target, 0.3).requires_grad_()
    loss = heatmap_loss(heatmaps, target, SIGMA)
    loss.backward()
    assert torch.isfinite(loss)
    assert (heatmaps.grad > 0).all()


def test_correlation_ignores_gain_and_offset():
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(correlation(maps, 3 * maps + 5), torch.ones(2, 3))
    torch.testing.assert_close(correlation(maps, -maps), -torch.ones(2, 3))


def test_every_epoch_takes_every_row_once_in_its_own_order():
    orders = [list(EpochOrder(20, seed=1, epoch=epoch)) for epoch in (0, 1)]
    for epoch, order in enumerate(orders):
        assert sorted(order) == [(epoch, row) for row in range(20)]
    assert [row for _, row in orders[0]] != [row for _, row in orders[1]]
    assert orders[0] == list(EpochOrder(20, seed=1, epoch=0))


@pytest.mark.parametrize(
    ('shift', 'height'), [((0.0, 0.0), 1.0), ((0.5, 0.0), 0.3), ((1.0, -0.7), 1.0)]
)
def test_position_loss_is_the_distance_in_cells_whatever_the_height(shift, height):
    target = _gaussians([(20.0, 14.0), (9.0, 22.0)])
    found = height * _gaussians([(20.0 + shift[0], 14.0 + shift[1]), (9.0, 22.0)])
    loss = position_loss(found, target, SIGMA)
    assert float(loss) == pytest.approx(np.hypot(*shift) / 2, rel=0.01, abs=1e-3)


def test_position_loss_leaves_out_what_is_not_there_and_pulls_the_peak_in():
    target = _gaussians([(20.0, 14.0), (9.0, 22.0)])
    target[0, 1] = 0
    wrong = _gaussians([(20.6, 14.0), (30.0, 5.0)]).requires_grad_()
    loss = position_loss(wrong, target, SIGMA)
    assert loss.item() == pytest.approx(0.6, rel=0.01)
    loss.backward()
    assert wrong.grad[0, 1].abs().max() == 0
    assert wrong.grad[0, 0, 14, 22] > 0 > wrong.grad[0, 0, 14, 18]


@pytest.mark.parametrize('level', [0.1, 0.3])
def test_a_flat_map_is_no_way_to_a_small_position_loss(level):
    """A level under a peak leaves the peak where it is: the loss stays what the decoder sees."""
    target, wrong = _gaussians([(20.0, 14.0)]), _gaussians([(21.0, 14.0)])
    plain, raised = (
        position_loss(maps, target, SIGMA).item() for maps in (wrong, (1 - level) * wrong + level)
    )
    assert plain == pytest.approx(1, rel=0.01)
    assert raised > 0.8 * plain


@pytest.mark.parametrize('seed', range(4))
def test_position_loss_sees_what_the_decoder_decodes(seed):
    rng = np.random.default_rng(seed)
    target = _gaussians([(20.3, 14.8)])
    found = 0.8 * _gaussians([(20.3 + rng.normal(0, 0.5), 14.8 + rng.normal(0, 0.5))])
    found = found + torch.from_numpy(rng.normal(0, 0.02, found.shape)).float()
    column, row, _, _ = locate(found[0, 0].numpy(), SIGMA, (20.0, 15.0))
    wanted = np.hypot(column - 20.3, row - 14.8)
    assert position_loss(found, target, SIGMA).item() == pytest.approx(wanted, abs=0.03)


def test_gradient_of_a_fitted_place_is_its_derivative():
    rng = np.random.default_rng(1)
    noise = torch.from_numpy(rng.normal(0, 0.01, (1, 1, 32, 40)))
    maps = (_gaussians([(20.4, 14.2)]).double()[..., :32, :40] + noise).requires_grad_()
    start = torch.tensor([[[20.0, 14.0]]], dtype=torch.float64)
    fitted_places(maps, start, SIGMA)[0, 0, 0].backward()
    for row, column in ((14, 18), (14, 22), (16, 21)):
        moved = [maps.detach().clone() for _ in range(2)]
        for sign, one in zip((1, -1), moved, strict=True):
            one[0, 0, row, column] += sign * 1e-3
        ahead, behind = (fitted_places(one, start, SIGMA)[0, 0, 0] for one in moved)
        derivative = float(ahead - behind) / 2e-3
        assert float(maps.grad[0, 0, row, column]) == pytest.approx(derivative, rel=0.1, abs=1e-3)


def test_contrast_stem_sees_a_device_alike_in_bright_and_dark_parts():
    torch.manual_seed(1)
    stem = ContrastStem().eval()
    level = torch.zeros(1, 1, 128, 256)
    level[..., 128:] = -3.0
    image, wire = level.clone(), 0.1 * torch.eye(128)
    image[0, 0, :, :128] -= wire
    image[0, 0, :, 128:] -= wire
    with torch.no_grad():
        relative = stem(image)[0, PLAIN:] - stem(level)[0, PLAIN:]
    left, right = relative[:, 10:22, 10:22], relative[:, 10:22, 42:54]
    torch.testing.assert_close(left, right, atol=0.02 * float(left.abs().max()), rtol=0)


def test_an_edge_of_an_image_is_no_contrast():
    stem = ContrastStem().eval()
    with torch.no_grad():
        relative = stem.relative.weight.abs().sum()
        features = stem(torch.full((1, 1, 64, 96), -3.0))[0, PLAIN:]
        inner = features[:, 4:12, 6:18].mean(dim=(1, 2), keepdim=True)
    assert (features - inner).abs().max() < 1e-4 * relative


def _gaussians(places):
    """Return maps (1, L, 32, 40) of Gaussians 1.75 cells wide at (column, row)."""
    v, u = np.mgrid[:32, :40]
    maps = [np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * 1.75**2)) for x, y in places]
    return torch.tensor(np.array(maps)[None], dtype=torch.float32)
