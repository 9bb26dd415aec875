"""A second look at candidates: what is cut out, what it is told, and the file with both looks."""

import copy
import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch (extra `train`)')

from synthex_ros.learning.candidates import (  # noqa: E402
    LEAST_CHANCE,
    Candidates,
    CandidateSet,
    candidates_of,
    places_of,
    true_rows,
)
from synthex_ros.learning.coco import CocoFolder  # noqa: E402
from synthex_ros.learning.networks.detector import STRIDE, DetectorNetwork  # noqa: E402
from synthex_ros.learning.networks.second_look import (  # noqa: E402
    MIDDLE,
    SIDE_PX,
    SecondLook,
    parts_of,
)
from synthex_ros.learning.patches import Objects, objects_of, packed, render_targets  # noqa: E402
from synthex_ros.learning.second_look_training import (  # noqa: E402
    SecondLookSettings,
    SecondLookTraining,
)
from synthex_ros.learning.tiny_export import export_detector  # noqa: E402
from synthex_ros.learning.tiny_scene import generate_tiny  # noqa: E402
from synthex_ros.learning.tiny_training import TinySettings, TinyTraining  # noqa: E402
from synthex_ros.learning.two_looks import (  # noqa: E402
    MOST,
    FirstLook,
    first_look_of,
    write_two_looks,
)
from synthex_ros.tracking.detections import DetectorMaps, decode_detections  # noqa: E402
from synthex_ros.tracking.detector import (  # noqa: E402
    DetectorModel,
    highpass,
)

from .tiny_frames import META, SAMPLING  # noqa: E402

WIDTHS = (8, 8, 16, 16)


def trained_a_little(network, shape):
    """Give batch normalisations something to know, so that outputs differ from place to place."""
    with torch.no_grad():
        for _ in range(3):
            network.train()(torch.randn(4, 1, *shape))
    return network.eval()


@pytest.fixture(scope='module')
def looks(tmp_path_factory):
    torch.manual_seed(2)
    detector = trained_a_little(DetectorNetwork(3, WIDTHS), (64, 64))
    with torch.no_grad():
        detector.centres[-1].bias.fill_(-1.0)  # untrained, but with candidates
    second = trained_a_little(SecondLook(3), (SIDE_PX, SIDE_PX))
    first = FirstLook(detector, WIDTHS, META)
    path = tmp_path_factory.mktemp('looks') / 'both.onnx'
    write_two_looks(first, second, path)
    return first, second, path


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
    root = tmp_path_factory.mktemp('frames')
    list(generate_tiny(SAMPLING, 2, root, 1, 1))
    return root


def block(width, height, u, v, side):
    """A picture of zeros with a block of ones, and the block's centre from the picture's."""
    picture = np.zeros((side, side), np.float32)
    left, top = side // 2 + u, side // 2 + v
    picture[top : top + height, left : left + width] = 5
    centre = np.array([left + (width - 1) / 2, top + (height - 1) / 2]) - side // 2
    return picture, centre


@pytest.mark.parametrize('row', range(12))
def test_example_tells_where_the_device_is_however_it_was_moved_and_turned(row):
    rng = np.random.default_rng(row)
    width, height = rng.integers(2, 9, 2)
    u, v = rng.integers(-4, 2, 2)
    picture, centre = block(width, height, u, v, SIDE_PX + 8)
    one = Candidates(
        packed(picture)[None], np.array([2], np.uint8),
        np.array([[*centre, width, height]], np.float32), np.ones(1, np.float32),
        np.zeros(1, np.float32),
    )  # fmt: skip
    seen, kind, box, weight = CandidateSet(one, seed=row)[3, 0]
    assert seen.shape == (1, SIDE_PX, SIDE_PX)
    rows, columns = np.nonzero(seen[0].numpy() > 2)
    found = [columns.mean() - MIDDLE, rows.mean() - MIDDLE, np.ptp(columns) + 1, np.ptp(rows) + 1]
    assert [*box[:2], *box[2:].exp()] == pytest.approx(found, abs=1e-4)
    assert (int(kind), float(weight)) == (2, 1.0)


def test_fading_lowers_the_device_and_keeps_the_noise():
    """The device goes down to any part that leaves it an SNR of 6; noise stays as large."""
    rng = np.random.default_rng(5)
    side, count = SIDE_PX + 8, 40
    noise = rng.standard_normal((2 * count, side, side)).astype(np.float32)
    shown = noise[:count] + block(30, 30, -15, -15, side)[0]
    both = Candidates(
        packed(np.concatenate([shown, noise[count:]])),
        np.repeat([1, 0], count).astype(np.uint8),
        np.tile(np.float32([-0.5, -0.5, 30, 30]), (2 * count, 1)),
        np.ones(2 * count, np.float32),
        np.repeat([60, 0], count).astype(np.float32),
    )
    plain, faded = CandidateSet(both, 1), CandidateSet(both, 1, fading_share=1.0)
    middle = np.s_[0, 16:32, 16:32]

    def level(examples, row):
        picture = examples[0, count + row][0].numpy()  # after what is none
        return picture[middle].mean() / np.std(picture[middle])

    rows = range(count)
    full, less = (np.array([level(one, row) for row in rows]) for one in (plain, faded))
    share = less / full.mean()
    assert share.min() > 0.07
    assert share.max() < 1.1
    assert 0.25 < np.mean(share) < 0.55  # of 0.1 to 1, uniform in the logarithm: 0.39
    others = [np.std(faded[0, row][0].numpy()) for row in rows]
    assert np.median(others) == pytest.approx(1.0, rel=0.2)


def test_device_that_is_repeated_weighs_as_much_as_once():
    side = SIDE_PX + 8
    both = Candidates(
        np.zeros((5, side, side), np.uint16), np.array([0, 1, 0, 2, 0], np.uint8),
        np.ones((5, 4), np.float32), np.array([2, 1, 4, 1, 1], np.float32),
        np.zeros(5, np.float32),
    )  # fmt: skip
    examples = CandidateSet(both, 0, repeats=3)
    assert len(examples) == 3 + 3 * 2
    seen = [examples[1, item] for item in range(len(examples))]
    for kind, times, weight in ((0, 3, 7), (1, 3, 1), (2, 3, 1)):
        shares = [float(share) for _, one, _, share in seen if int(one) == kind]
        assert len(shares) == times
        assert sum(shares) == pytest.approx(weight)


def test_candidate_is_for_the_device_that_it_lies_in():
    objects = Objects(
        np.array([[20.0, 20.0], [60.0, 60.0]]),
        np.array([[4.0, 4.0], [30.0, 6.0]]),
        np.array([1, 2]),
    )
    places = np.array([[21, 22], [25, 20], [70, 60], [80, 60], [60, 64]])
    assert true_rows(places, objects).tolist() == [0, -1, 1, -1, 1]
    none = Objects(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, int))
    assert true_rows(places, none).tolist() == [-1] * 5


def test_places_are_the_peaks_of_any_class_the_surest_first():
    objects = Objects(
        np.array([[20.0, 31.0], [44.0, 9.0]]), np.array([[6.0, 9.0], [4.0, 3.0]]), np.array([1, 2])
    )
    centres, boxes = render_targets(objects, 3, (64, 64))
    centres[0] *= 0.7
    places, chances = places_of(DetectorMaps(centres, boxes[:4], centres), STRIDE)
    assert places[:2].tolist() == [[44, 9], [20, 31]]
    assert chances[:2] == pytest.approx([1.0, 0.7])
    assert np.all(chances >= LEAST_CHANCE)


def test_every_device_is_a_candidate_and_those_left_out_are_counted(looks, frames):
    """Also devices that the first look, here an untrained one, does not see."""
    model, folder = DetectorModel(looks[2]), CocoFolder(frames)
    objects = objects_of(folder, 0)
    found = candidates_of(model, folder, 0, 6, np.random.default_rng(0))
    shown = found.classes > 0
    assert len(objects.classes) <= np.count_nonzero(shown)
    assert set(found.classes[shown]) == set(objects.classes)
    assert np.count_nonzero(~shown) == 6
    places, _ = places_of(model.maps(folder.counts(0)), STRIDE)
    others = np.count_nonzero(true_rows(places, objects) < 0)
    assert found.weights[~shown].sum() == pytest.approx(others)
    assert np.all(found.weights[shown] == 1)


def test_file_says_what_both_networks_would(looks):
    """The devices of a frame are the mean of both looks, at the peaks of the first one."""
    _, second, path = looks
    counts = np.random.default_rng(3).integers(2000, 6000, (144, 144)).astype(np.uint16)
    maps, halo = DetectorModel(path).maps(counts), META.overlap_px
    image = torch.from_numpy(np.pad(highpass(counts), halo, mode='symmetric'))
    places, _ = places_of(maps, STRIDE)
    with torch.inference_mode():
        logits, boxes = second(parts_of(image, torch.from_numpy(places + halo)))
    chances = torch.softmax(logits, dim=1)[:, 1:].numpy()
    looked_at = {tuple(place): k for k, place in enumerate(places)}
    nearby = torch.nn.functional.max_pool2d(torch.from_numpy(maps.centres)[None], 3, 1, 1)[0]
    checked = 0
    for row, column in np.argwhere(nearby.amax(dim=0).numpy() == maps.centres.max(axis=0)):
        first = np.array([*maps.boxes[:, row, column]])
        first[:2] += [column * STRIDE + 0.5, row * STRIDE + 0.5]
        k = looked_at.get(tuple(np.rint(first[:2]).astype(int)))
        if k is None:
            continue
        again = np.append(places[k] + boxes[k, :2].numpy(), boxes[k, 2:])
        chance = np.sqrt(nearby[:, row, column].numpy() * chances[k])
        away = np.abs(maps.devices - [*(first + again) / 2, *chance]).max(axis=1)
        checked += away.min() < 5e-3
    assert checked >= len(maps.devices) - 2  # at an edge the tile sees a peak beyond it
    assert 10 < len(maps.devices) <= MOST


def test_devices_of_tiles_lie_where_they_do_in_one_tile(looks):
    """Of a frame of several tiles every device is found where its own tile alone finds it."""
    _, _, path = looks
    model = DetectorModel(path)
    counts = np.random.default_rng(4).integers(2000, 6000, (320, 320)).astype(np.uint16)
    devices = model.maps(counts).devices
    assert len(devices) > 2 * MOST  # three tiles by three
    spread = np.ptp(devices[:, :2], axis=0)
    assert np.all(spread > 250)
    assert devices[:, :2].min() > -12
    assert devices[:, :2].max() < 332


def test_frame_without_candidates_is_answered(looks):
    _, _, path = looks
    flat = DetectorModel(path).maps(np.full((64, 64), 500, np.uint16))
    assert len(flat.devices) >= 1
    assert np.isfinite(flat.devices).all()


def test_wild_offsets_read_nothing_outside_the_picture(looks, tmp_path):
    """A centre far from its cell, as of a picture that is none, is an answer and no failure."""
    first, second, _ = looks
    wild = copy.deepcopy(first.network)
    with torch.no_grad():
        wild.boxes[-1].bias[:2] = torch.tensor([400.0, -700.0])
    write_two_looks(FirstLook(wild, WIDTHS, META), second, tmp_path / 'wild.onnx')
    counts = np.random.default_rng(6).integers(2000, 6000, (64, 96)).astype(np.uint16)
    model = DetectorModel(tmp_path / 'wild.onnx')
    devices = model.maps(counts).devices
    assert np.isfinite(devices).all()
    assert len(devices) > 1
    assert model.detect(counts, 0.01) == []


def test_centre_outside_the_frame_is_no_device():
    size, sure = np.log(5.0), [0.9, 0.0]
    devices = np.array([
        [10.0, 20.0, size, size, *sure], [-0.6, 20.0, size, size, *sure],
        [63.6, 20.0, size, size, *sure], [30.0, -2.0, size, size, *sure],
        [63.4, -0.4, size, size, 0.0, 0.8],
    ])  # fmt: skip
    blank = np.zeros((2, 32, 32), np.float32)
    maps = DetectorMaps(blank, np.zeros((4, 32, 32)), np.zeros((2, 64, 64)), devices)
    found = decode_detections(maps, ('a', 'b'), STRIDE)
    assert [(one.name, one.u) for one in found] == [('a', 10.0), ('b', 63.4)]
    assert found[0].width_px == pytest.approx(5.0)


def test_second_look_is_learnt_from_frames_to_a_model_file(frames, tmp_path):
    """Two frames, one step each: every stage fits the next, and goes on from its checkpoint."""
    data = {'train': str(frames), 'validation': str(frames)}
    few = TinySettings(
        **data, epochs=1, frames_per_batch=2, patches_per_frame=2, patch_px=64, workers=0,
        threads=1, widths=WIDTHS,
    )  # fmt: skip
    TinyTraining(few, tmp_path / 'first').run()
    settings = SecondLookSettings(
        **data, detector=str(tmp_path / 'first' / 'checkpoint.pt'), epochs=1, batch_size=8,
        workers=0, threads=1,
    )  # fmt: skip
    collected = []
    for _ in range(2):  # a run that begins collects anew, by its own settings
        training = SecondLookTraining(settings, tmp_path / 'second', collecting=collected.append)
    assert collected == [1, 2, 1, 2]
    training.run()
    records = []
    longer = dataclasses.replace(settings, epochs=2, bfloat16=True)
    resumed = SecondLookTraining(longer, tmp_path / 'second', True, collected.append)
    assert len(collected) == 4
    resumed.run(report=records.append)
    assert [record['epoch'] for record in records] == [2]
    assert np.isfinite([records[0]['kind_loss'], records[0]['box_loss']]).all()
    path = tmp_path / 'both.onnx'
    manifest = export_detector(tmp_path / 'second' / 'checkpoint.pt', path, frames, ['how'])
    assert json.loads(path.with_suffix('.json').read_text()) == json.loads(json.dumps(manifest))
    assert manifest['first']['settings']['widths'] == list(WIDTHS)
    model = DetectorModel(path)
    assert model.metadata.devices_name
    assert model.maps(CocoFolder(frames).counts(0)).devices.shape[1] == 6
    # The first look of the file is the one that it was made with, to go on from.
    again = first_look_of(path, CocoFolder(frames)).network
    further = TinyTraining(dataclasses.replace(few, start_from=str(path)), tmp_path / 'further')
    image = torch.ones(1, 1, 64, 64)
    with torch.no_grad():
        for network in (again, further.state.average):
            for ours, theirs in zip(
                network.eval()(image), training._first.network(image), strict=True
            ):
                torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
