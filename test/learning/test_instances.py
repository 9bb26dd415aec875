"""Several devices at once: true maps decode to them, crossing ones too; the network learns two."""

import dataclasses

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch (extra `train`)')

from synthex_ros.learning.instance_targets import instance_loss, instance_targets  # noqa: E402
from synthex_ros.learning.labelled import render_heatmaps  # noqa: E402
from synthex_ros.learning.losses import heatmap_loss, mask_loss  # noqa: E402
from synthex_ros.learning.networks.exported import ExportedNetwork  # noqa: E402
from synthex_ros.learning.networks.instances import InstanceNetwork  # noqa: E402
from synthex_ros.tracking.instances import decode_instances  # noqa: E402
from synthex_ros.tracking.metadata import ModelMismatch  # noqa: E402
from synthex_ros.tracking.model import Prediction  # noqa: E402

from .metadata import cm_metadata  # noqa: E402

pytestmark = pytest.mark.usefixtures('one_thread')

SIZE, SIGMA = 128, 5.0
META = cm_metadata(SIZE, heatmap_sigma_px=SIGMA, centres_name='centres', votes_name='votes')
DEVICES = [((20, 30), (60, 30)), ((40, 100), (100, 90))]
CROSSING = [((30, 60), (100, 60)), ((90, 20), (90, 110))]


def drawn(devices):
    """Masks, later ones on top, and heat maps of both ends of all devices."""
    masks, heat = [], np.zeros((2, SIZE // 4, SIZE // 4), np.float32)
    for base, tip in devices:
        mask = np.zeros((SIZE, SIZE), np.uint8)
        cv2.line(mask, base, tip, 1, 7)
        for earlier in masks:
            earlier &= mask == 0
        masks.append(mask > 0)
        marks = np.array([[*base, 1.0], [*tip, 1.0]])
        heat = np.maximum(heat, render_heatmaps(marks, (SIZE, SIZE), 4, SIGMA))
    return masks, heat


def truth(devices):
    masks, heat = drawn(devices)
    centres, votes = instance_targets(masks, (SIZE, SIZE), SIGMA)
    # Votes are known where a device is; nearest cells continue them over its rim.
    inside = votes[2] > 0
    _, index = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.zeros((index.max() + 1, 2), int)
    places[index[inside]] = np.argwhere(inside)
    wide = votes[:2, places[index][..., 0], places[index][..., 1]]
    foreground = np.any(masks, axis=0).astype(np.float32)
    return masks, Prediction(np.stack([1 - foreground, foreground]), heat, centres[0], wide)


@pytest.mark.parametrize('devices', [DEVICES, DEVICES[:1]], ids=['two', 'one'])
def test_true_maps_decode_to_the_devices(devices):
    masks, prediction = truth(devices)
    found = decode_instances(prediction, META)
    assert len(found) == len(devices)
    for (base, tip), mask in zip(devices, masks, strict=True):
        overlap = [np.count_nonzero(one.mask & mask) / mask.sum() for one in found]
        own = found[int(np.argmax(overlap))]
        assert max(overlap) > 0.98
        assert np.count_nonzero(own.mask & ~mask) == 0
        for mark, place in zip(own.landmarks, (base, tip), strict=True):
            assert (mark.u, mark.v) == pytest.approx(place, abs=0.3)
            assert mark.score > 0.9


def test_devices_that_cross_keep_their_own_landmarks():
    """Masks meet in the middle; each end votes for its own device all the same."""
    _, prediction = truth(CROSSING)
    found = decode_instances(prediction, META)
    assert len(found) == 2
    for one in found:
        ends = np.array([[mark.u, mark.v] for mark in one.landmarks])
        assert one.landmarks[0].score > 0.9
        assert np.min(np.abs(ends[0] - ends[1])) < 2


def test_empty_frame_has_no_devices():
    cells = (SIZE // 4, SIZE // 4)
    nothing = Prediction(
        np.stack([np.ones((SIZE, SIZE)), np.zeros((SIZE, SIZE))]).astype(np.float32),
        np.zeros((2, *cells), np.float32),
        np.zeros(cells, np.float32),
        np.zeros((2, *cells), np.float32),
    )
    assert decode_instances(nothing, META) == []


def test_model_of_one_device_is_refused():
    one = dataclasses.replace(truth(DEVICES)[1], centres=None, votes=None)
    with pytest.raises(ModelMismatch, match='no centres and votes'):
        decode_instances(one, META)


def test_votes_of_the_truth_end_at_the_centres():
    masks, _ = drawn(DEVICES)
    _, votes = instance_targets(masks, (SIZE, SIZE), SIGMA)
    rows, columns = np.nonzero(votes[2])
    ends = np.stack([columns, rows]) * 4 + 1.5 + votes[:2, rows, columns]
    middles = [np.argwhere(mask).mean(axis=0)[::-1] for mask in masks]
    away = np.min([np.linalg.norm(ends.T - middle, axis=1) for middle in middles], axis=0)
    assert away.max() < 1e-3


def test_network_learns_a_picture_of_two_devices_by_heart():
    torch.manual_seed(0)
    masks, heat = drawn(DEVICES)
    centres, votes = (
        torch.from_numpy(a)[None] for a in instance_targets(masks, (SIZE, SIZE), SIGMA)
    )
    foreground = torch.from_numpy(np.any(masks, axis=0).astype(np.int64))[None]
    image = torch.randn(1, 1, SIZE, SIZE) * 0.3 - 2.0 * foreground[:, None]
    target, network = torch.from_numpy(heat)[None], InstanceNetwork().train()
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    for _ in range(70):
        logits, heatmaps, found, voted = network(image)
        loss = mask_loss(logits, foreground) + heatmap_loss(heatmaps, target, SIGMA / 4)
        loss = loss + 2 * instance_loss(found, voted, centres, votes, SIGMA)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        outputs = ExportedNetwork(network).train()(image)
    classes, heatmaps, found, voted = (part[0].numpy() for part in outputs)
    devices = decode_instances(Prediction(classes, heatmaps, found[0], voted), META)
    assert len(devices) == 2
    for mask in masks:
        overlap = [np.count_nonzero(one.mask & mask) / mask.sum() for one in devices]
        assert max(overlap) > 0.9
