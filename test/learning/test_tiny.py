"""Tiny devices: known contrast, labels that move with the picture, tiles that make one frame."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch (extra `train`)')

from synthex_ros.learning.coco import CocoFolder  # noqa: E402
from synthex_ros.learning.export import write_graph  # noqa: E402
from synthex_ros.learning.networks.detector import (  # noqa: E402
    STRIDE,
    DetectorNetwork,
    ExportedDetector,
)
from synthex_ros.learning.patches import (  # noqa: E402
    Cutout,
    Objects,
    PatchSet,
    render_targets,
    turned,
)
from synthex_ros.learning.tiny_devices import sphere_mesh, strip_mesh  # noqa: E402
from synthex_ros.learning.tiny_export import export_detector  # noqa: E402
from synthex_ros.learning.tiny_insertion import attenuation_of  # noqa: E402
from synthex_ros.learning.tiny_losses import (  # noqa: E402
    box_loss,
    centre_loss,
    generalised_overlap,
)
from synthex_ros.learning.tiny_scene import (  # noqa: E402
    TinyMaker,
    generate_tiny,
)
from synthex_ros.learning.tiny_training import (  # noqa: E402
    TinySettings,
    TinyTraining,
)
from synthex_ros.learning.visibility import Shadow  # noqa: E402
from synthex_ros.tracking.detections import DetectorMaps, decode_detections  # noqa: E402
from synthex_ros.tracking.detector import (  # noqa: E402
    DetectorMetadata,
    DetectorModel,
    highpass,
)
from synthex_ros.tracking.metadata import ModelMetadata, ModelMismatch  # noqa: E402

from .tiny_frames import META, SAMPLING  # noqa: E402


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_meshes_are_closed_and_have_their_size():
    ball = sphere_mesh(2e-3)
    assert ball.volume_m3() == pytest.approx(np.pi / 6 * 8e-9, rel=0.015)
    for bend in (0.0, 1.0, 3.0):
        strip = strip_mesh(5e-3, 2e-3, 1e-3, bend)
        ellipse = np.pi / 4 * 2e-3 * 1e-3
        # Pappus: bending about the middle of the section keeps the volume.
        assert strip.volume_m3() == pytest.approx(5e-3 * ellipse, rel=0.06)
    assert np.ptp(strip_mesh(5e-3, 2e-3, 1e-3, 0.0).vertices_m, axis=0) == pytest.approx(
        [1e-3, 2e-3, 5e-3], rel=0.04
    )


@pytest.mark.parametrize('contrast', [0.02, 0.1, 0.3])
def test_attenuation_gives_the_contrast_with_scatter(contrast):
    rng = np.random.default_rng(0)
    path, primary = rng.uniform(0, 2e-3, 50), rng.uniform(80, 120, 50)
    scatter = rng.uniform(20, 60, 50)
    mu, given = attenuation_of(contrast, path, primary, scatter)
    after = np.mean(primary * np.exp(-mu * path) + scatter)
    before = np.mean(primary + scatter)
    assert given == pytest.approx(contrast, rel=1e-6)
    assert (before - after) / (before + after) == pytest.approx(contrast, rel=1e-6)


def test_scatter_bounds_the_contrast():
    """All primary taken away, I0 = p + s against s: no more than p / (p + 2 s)."""
    one = np.ones(9)
    _, given = attenuation_of(0.9, 1e-3 * one, 1.0 * one, 2.0 * one)
    assert given == pytest.approx(0.9 * 1 / 5, rel=1e-3)


@pytest.fixture(scope='module')
def maker():
    return TinyMaker(SAMPLING, seed=5)


def test_contrast_of_the_image_is_the_annotated_one(maker):
    """Counts are proportional to the signal: the mean over noisy frames shows the contrast."""
    setup = maker._view(0)
    device = maker._draw(setup, [], np.random.default_rng(2))
    shape = setup.primary.shape
    sums = np.zeros((2, *shape))
    for devices, total in zip(([], [device]), sums, strict=True):
        for k in range(12):
            total += maker._expose(setup, devices, 1.0, np.random.default_rng([k]))
    before, after = (total[device.mask].mean() for total in sums)
    # The scintillator's blur carries a little of the shadow out of the mask.
    assert (before - after) / (before + after) == pytest.approx(device.contrast, rel=0.25)
    left, top, width, height = device.box_px
    rows, columns = np.nonzero(device.mask)
    assert left - 1 < columns.min()
    assert columns.max() < left + width + 1
    assert top - 1 < rows.min()
    assert rows.max() < top + height + 1


def test_ratio_follows_area_contrast_and_dose():
    """n pixels that each lose d against variance v: d sqrt(n / v); dose divides v alone."""
    shadow = Shadow(np.full(9, 2.0), np.full(9, 4.0), 0.0)
    assert shadow.snr() == pytest.approx(3.0)
    assert shadow.snr(4.0) == pytest.approx(6.0)
    assert shadow.exposure_for(6.0, 100.0) == pytest.approx(4.0)
    assert shadow.exposure_for(2.0, 100.0) == 1.0
    assert shadow.exposure_for(6.0, 3.9) is None
    # Read-out noise stays, whatever the dose.
    assert Shadow(np.full(9, 2.0), np.full(9, 4.0), 4.0).exposure_for(6.0, 1e6) is None


def test_ratio_of_frames_is_the_annotated_one(maker):
    """Matched filter over many exposures: mean over deviation is the expected ratio."""
    plain = dataclasses.replace(maker._view(0).renderer.detector, blur_m=0.0)
    setup = maker._view(0)
    device = maker._draw(setup, [], np.random.default_rng(2))
    before, setup.renderer.detector = setup.renderer.detector, plain
    weights = device.lost_kev / np.reshape(device.shadow.quantum_kev2, device.lost_kev.shape)
    sums = np.zeros((2, 400))
    for row, devices in zip(sums, ([], [device]), strict=True):
        for k in range(row.size):
            counts = maker._expose(setup, devices, 1.0, np.random.default_rng([k, len(devices)]))
            row[k] = np.sum(weights * counts[device.part])
    setup.renderer.detector = before
    ratio = (sums[0].mean() - sums[1].mean()) / sums[0].std()
    assert ratio == pytest.approx(device.shadow.snr(), rel=0.15)


def test_exposure_shows_the_faintest_device(maker):
    seen = [item for k in range(8) for item in maker.frame(k)[2]]
    assert seen
    assert min(item['snr'] for item in seen) >= 0.999 * SAMPLING.least_snr


def test_dose_does_not_tell_whether_a_device_is_there():
    """The same seed without negatives and with nothing else: the same exposures."""
    doses = []
    for share in (0.0, 1.0):
        scene = dataclasses.replace(SAMPLING.scene, negative_share=share)
        maker = TinyMaker(dataclasses.replace(SAMPLING, scene=scene), seed=9)
        frames = [maker.frame(k) for k in range(2)]
        doses.append([image['detector_kerma_ngy'] for _, image, _ in frames])
        assert all(bool(found) == (share == 0) for _, _, found in frames)
    assert doses[0] == doses[1]


def test_nothing_is_seen_where_the_panel_is_saturated(maker):
    setup = maker._view(0)
    bright = dataclasses.replace(setup, primary=setup.primary + 20 * 65535 / setup.gain_counts_kev)
    assert maker._draw(bright, [], np.random.default_rng(2)) is None


def test_same_seed_same_frame(maker):
    counts, image, annotations = maker.frame(1)
    again = TinyMaker(SAMPLING, seed=5).frame(1)
    np.testing.assert_array_equal(counts, again[0])
    assert image == again[1]
    assert annotations == again[2]
    assert annotations


def objects():
    return Objects(
        np.array([[20.3, 31.6], [44.0, 9.25]]),
        np.array([[6.0, 9.0], [3.5, 2.5]]),
        np.array([1, 2]),
    )


def test_targets_decode_to_the_objects():
    centres, boxes = render_targets(objects(), 3, (64, 64))
    assert centres.max() == 1
    maps = DetectorMaps(centres, boxes[:4], np.zeros((2, 64, 64), np.float32))
    found = sorted(decode_detections(maps, ('a', 'b'), STRIDE), key=lambda one: one.name)
    truth = objects()
    for one, centre, size, name in zip(
        found, truth.centres_px, truth.sizes_px, ('a', 'b'), strict=True
    ):
        assert one.name == name
        assert (one.u, one.v) == pytest.approx(tuple(centre), abs=1e-4)
        assert (one.width_px, one.height_px) == pytest.approx(tuple(size), rel=1e-4)


@pytest.mark.parametrize('mirror', [False, True])
@pytest.mark.parametrize('quarters', range(4))
def test_labels_turn_with_the_picture(quarters, mirror):
    """A box drawn before turning lies where its label says after it."""
    label = Objects(np.array([[20.0, 41.5]]), np.array([[5.0, 8.0]]), np.array([1]))
    picture = np.zeros((64, 64), np.float32)
    picture[38:46, 18:23] = 1
    picture, cut, moved = turned(picture, picture.astype(np.uint8), label, quarters, mirror)
    rows, columns = np.nonzero(picture)
    assert moved.centres_px[0] == pytest.approx((columns.mean(), rows.mean()))
    assert moved.sizes_px[0] == pytest.approx((np.ptp(columns) + 1, np.ptp(rows) + 1))
    np.testing.assert_array_equal(cut, picture)


def test_device_of_either_class_is_given_under_both_names_and_once_each():
    centres, boxes = render_targets(objects(), 3, (64, 64))
    both = np.maximum(centres, 0.8 * centres[::-1])
    maps = DetectorMaps(both, boxes[:4], np.zeros((2, 64, 64), np.float32))
    found = decode_detections(maps, ('a', 'b'), STRIDE, 0.7)
    named = sorted((round(one.u, 1), one.name) for one in found)
    assert named == [(20.3, 'a'), (20.3, 'b'), (44.0, 'a'), (44.0, 'b')]
    assert [one.score for one in found] == pytest.approx([1, 1, 0.8, 0.8])


def test_peak_that_noise_moved_still_has_the_box():
    """Any of the nine cells at a centre gives the same centre and size."""
    truth = objects()
    _, boxes = render_targets(truth, 3, (64, 64))
    rows, columns = np.nonzero(boxes[4])
    assert len(rows) == 18
    cells = np.column_stack([columns, rows]) * STRIDE + (STRIDE - 1) / 2
    centres = cells + boxes[:2, rows, columns].T
    away = np.linalg.norm(centres[:, None] - truth.centres_px[None], axis=2).min(axis=1)
    assert away.max() < 1e-4
    assert boxes[4].max() == 1
    assert np.count_nonzero(boxes[4] == 1) == 2


@pytest.mark.parametrize('corner', [(0, 0), (10, 20), (25, 30), (40, 3)])
def test_cutouts_paint_what_the_mask_shows(corner):
    mask = np.zeros((80, 90), bool)
    mask[20:33, 25:40] = np.random.default_rng(1).random((13, 15)) > 0.4
    top, left = corner
    picture = np.zeros((32, 32), np.uint8)
    Cutout.of(mask).paint(picture, top, left, 2)
    np.testing.assert_array_equal(picture, 2 * mask[top : top + 32, left : left + 32])
    assert not Cutout.of(np.zeros((8, 8), bool)).mask.size


def test_losses_are_least_for_the_truth():
    centres, boxes = (torch.from_numpy(a)[None] for a in render_targets(objects(), 3, (64, 64)))
    sure = torch.where(centres == 1, 20.0, -20.0)
    assert centre_loss(sure, centres).item() == pytest.approx(0, abs=1e-4)
    assert centre_loss(torch.zeros_like(centres), centres) > 1
    assert box_loss(boxes[:, :4], boxes).item() == pytest.approx(0, abs=1e-6)
    assert box_loss(boxes[:, :4] + 1, boxes) > 0.5
    assert box_loss(boxes[:, :4], 0 * boxes).item() == 0
    nothing = torch.zeros_like(centres)
    assert torch.isfinite(centre_loss(torch.zeros_like(centres), nothing))


def test_generalised_overlap_is_that_of_boxes():
    """Moved by half its width: a third; apart by its width: none, less a third that is empty."""
    box = torch.tensor([[0.0, 0.0, np.log(4.0), np.log(6.0)]])
    moved = torch.tensor([[2.0, 0.0, np.log(4.0), np.log(6.0)]])
    apart = torch.tensor([[8.0, 0.0, np.log(4.0), np.log(6.0)]])
    assert generalised_overlap(box, box).item() == pytest.approx(1)
    assert generalised_overlap(box, moved).item() == pytest.approx(1 / 3)
    assert generalised_overlap(box, apart).item() == pytest.approx(-1 / 3)


def test_input_forgets_dose_and_only_changes_sign_with_polarity():
    rng = np.random.default_rng(0)
    counts = rng.normal(8000, 80, (96, 96))
    np.testing.assert_allclose(highpass(counts), highpass(3 * counts), atol=0.02)
    swapped = np.exp(2 * np.log(8000) - np.log(counts))
    np.testing.assert_allclose(highpass(swapped), -highpass(counts), atol=0.02)
    assert np.abs(highpass(np.full((64, 64), 500, np.uint16))).max() < 0.01


def test_faint_device_on_a_strong_background_stands_out():
    """2 % Michelson contrast on a slope over the whole range of a frame."""
    rng = np.random.default_rng(1)
    slope = np.exp(np.linspace(np.log(800), np.log(20000), 256))[None].repeat(256, 0)
    disc = np.hypot(*(np.indices((256, 256)) - 128)) < 7
    counts = slope * np.where(disc, 0.98 / 1.02, 1) * (1 + 0.01 * rng.standard_normal((256, 256)))
    image = highpass(counts)
    assert image[disc].mean() < -2
    assert abs(image[~disc].mean()) < 0.1


@pytest.fixture(scope='module', params=[256, 608], ids=['tiles', 'one tile'])
def detector_file(request, tmp_path_factory):
    torch.manual_seed(0)
    network = DetectorNetwork(3)
    with torch.no_grad():
        for _ in range(3):
            network.train()(torch.randn(2, 1, 64, 64))
    path = tmp_path_factory.mktemp('detector') / 'd.onnx'
    meta = dataclasses.replace(META, tile_px=request.param)
    write_graph(ExportedDetector(network.eval()).eval(), meta, path, True)
    return network, path


def test_file_agrees_with_the_network_and_tiles_make_the_frame(detector_file):
    """Inside a frame the tiles' halo holds what a cell sees: no seams."""
    network, path = detector_file
    model = DetectorModel(path)
    assert model.metadata.classes == META.classes
    counts = np.random.default_rng(3).integers(2000, 6000, (320, 400)).astype(np.uint16)
    maps = model.maps(counts)
    assert maps.centres.shape == (2, 160, 200)
    assert maps.mask.shape == (2, 320, 400)
    with torch.inference_mode():
        whole = ExportedDetector(network).eval()(torch.from_numpy(highpass(counts))[None, None])
    inner = (slice(None), slice(30, 130), slice(30, 170))
    np.testing.assert_allclose(maps.centres[inner], whole[0][0].numpy()[inner], atol=2e-3)


def test_tracker_and_detector_models_are_told_apart(detector_file):
    with pytest.raises(ModelMismatch, match='detector model, not a tracker'):
        ModelMetadata.from_onnx(detector_file[1])


def test_metadata_survive_json_and_refuse_what_makes_no_sense():
    assert DetectorMetadata.from_json(META.to_json()) == META
    with pytest.raises(ModelMismatch, match='multiples of 16'):
        dataclasses.replace(META, overlap_px=50)
    with pytest.raises(ModelMismatch, match='leave something'):
        dataclasses.replace(META, overlap_px=304)
    with pytest.raises(ModelMismatch, match='no metadata of a detector'):
        DetectorMetadata.from_json('{}')


def test_recipe_runs_from_frames_to_a_model_file(tmp_path):
    """Two frames, two steps, and again from the checkpoint: every stage fits the next."""
    assert list(generate_tiny(SAMPLING, 2, tmp_path / 'train', 1, 1)) == [0, 2]
    assert list(generate_tiny(SAMPLING, 2, tmp_path / 'train', 1, 1)) == [2]
    settings = TinySettings(
        train=str(tmp_path / 'train'), validation=str(tmp_path / 'train'), epochs=1,
        frames_per_batch=2, patches_per_frame=2, patch_px=64, workers=0, threads=1,
        widths=(8, 8, 16, 16),
    )  # fmt: skip
    training = TinyTraining(settings, tmp_path / 'run')
    training.run()
    longer = dataclasses.replace(settings, epochs=2, settled_share=0.5)
    records = []
    resumed = TinyTraining(longer, tmp_path / 'run', resume=True)
    before = resumed.state.network.stem[0][1].running_mean.clone()
    resumed.run(report=records.append)
    # The second step is in the last half of two: normalisation stays as it is.
    assert torch.equal(resumed.state.network.stem[0][1].running_mean, before)
    assert [record['epoch'] for record in records] == [2]
    assert {'all'} < set(records[0]['detection'])
    assert 0 <= records[0]['ap50'] <= 1
    checkpoint, path = tmp_path / 'run' / 'checkpoint.pt', tmp_path / 'm.onnx'
    manifest = export_detector(checkpoint, path, tmp_path / 'train', ['how it was made'])
    assert json.loads(path.with_suffix('.json').read_text()) == json.loads(json.dumps(manifest))
    assert manifest['sha256'] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest['commands'] == ['how it was made']
    assert manifest['test']['frames'] == len(CocoFolder(tmp_path / 'train').images)
    model = DetectorModel(path)
    assert model.metadata.classes == ('background', 'sphere', 'soft_robot')
    assert isinstance(model.detect(CocoFolder(tmp_path / 'train').counts(0)), list)
    further = dataclasses.replace(settings, start_from=str(path), bfloat16=True)
    begun = TinyTraining(further, tmp_path / 'further').state
    with torch.no_grad():
        for ours, theirs in zip(
            begun.network.eval()(torch.ones(1, 1, 64, 64)),
            resumed.state.average.eval()(torch.ones(1, 1, 64, 64)),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
    TinyTraining(further, tmp_path / 'further').run(report=records.append)
    assert np.isfinite(records[-1]['centre_loss'])
    patches = PatchSet(str(tmp_path / 'train'), 3, 64, 1.0, 0)
    images, centres, boxes, masks = patches[(0, 0)]
    assert images.shape == (3, 1, 64, 64)
    assert centres.amax(dim=(2, 3)).sum() > 0
    assert masks.max() > 0
    assert boxes.shape == (3, 5, 32, 32)
