"""A closer look at landmarks: where it looks, what it learns, and the file that holds it."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch (extra `train`)')
onnx = pytest.importorskip('onnx', reason='export needs onnx (extra `train`)')

from synthex_ros.learning import operating_point  # noqa: E402
from synthex_ros.learning.closer_export import export_closer, tracker_manifest  # noqa: E402
from synthex_ros.learning.closer_graph import (  # noqa: E402
    closer_metadata,
    write_with_closer_look,
)
from synthex_ros.learning.closer_training import CloserSettings, CloserTraining  # noqa: E402
from synthex_ros.learning.closer_windows import (  # noqa: E402
    MARGIN_PX,
    Variation,
    Windows,
    looked_at,
    turned,
)
from synthex_ros.learning.curves import draw_history  # noqa: E402
from synthex_ros.learning.dataset import FrameSet  # noqa: E402
from synthex_ros.learning.int8_export import export_int8  # noqa: E402
from synthex_ros.learning.networks.closer_look import (  # noqa: E402
    SIDE_PX,
    CloserLook,
    ExportedCloserLook,
    Starts,
    around,
)
from synthex_ros.learning.patches import packed  # noqa: E402
from synthex_ros.learning.quantize import to_float16, to_int8  # noqa: E402
from synthex_ros.learning.recipes import exporter, load_recipe  # noqa: E402
from synthex_ros.learning.run_state import load_checkpoint  # noqa: E402
from synthex_ros.learning.tracker_part import without_closer_look  # noqa: E402
from synthex_ros.resources import find  # noqa: E402
from synthex_ros.tracking.landmarks import CLOSER_REACH_PX, decode  # noqa: E402
from synthex_ros.tracking.metadata import ModelMetadata, ModelMismatch  # noqa: E402
from synthex_ros.tracking.model import TrackerModel  # noqa: E402
from synthex_ros.tracking.region import Region  # noqa: E402

from .closer_scenes import OFF_PX, SIZE, off_tracker, spot_folder, spots  # noqa: E402
from .drawing import blob_at, blob_centre  # noqa: E402
from .metadata import cm_metadata  # noqa: E402

SIGMA = 1.75


def gaussians(points, shape=(40, 48)):
    """Heat maps with one Gaussian each, at (column, row)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    maps = [np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / SIGMA**2) for x, y in points]
    return torch.from_numpy(np.array(maps, np.float32))[None]


@pytest.mark.parametrize('x', [12.0, 12.4, 12.5, 20.9])
def test_starts_lie_between_cells_where_the_gaussians_are(x):
    points = [(x, 18.3), (30.2, x)]
    torch.testing.assert_close(
        Starts(SIGMA)(gaussians(points)), torch.tensor(points), atol=0.02, rtol=0
    )


def test_start_at_an_edge_is_in_the_map_and_an_empty_map_has_one_too():
    maps = torch.cat([gaussians([(0.0, 39.0)]), torch.zeros(1, 1, 40, 48)], dim=1)
    found = Starts(SIGMA)(maps)
    torch.testing.assert_close(found[0], torch.tensor([0.0, 39.0]), atol=1, rtol=0)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize('middle', [(20, 24), (1, 24), (47, 2)])
def test_window_holds_the_pixels_around_its_middle_and_repeats_those_at_edges(middle):
    picture = torch.arange(40 * 48, dtype=torch.float32).view(40, 48)
    window = around(picture, torch.tensor([middle]), 16)[0]
    u, v = middle
    for row, column in ((0, 0), (15, 15), (3, 12)):
        y, x = np.clip(v + row - 8, 0, 39), np.clip(u + column - 8, 0, 47)
        assert window[row, column] == picture[y, x]


def test_each_landmark_has_its_own_place_from_its_own_window():
    class Darkest(torch.nn.Module):
        """Where the least pixel of a window is; for the second landmark a pixel lower."""

        landmarks = 2

        def forward(self, windows):
            best = windows.flatten(1).argmin(dim=1)
            away = torch.stack([best % SIDE_PX, best // SIDE_PX], dim=1) - (SIDE_PX - 1) / 2
            return torch.stack([away, away + torch.tensor([0.0, 1.0])], dim=1)

    image = torch.zeros(1, 1, 160, 192)
    image[0, 0, 71, 50], image[0, 0, 90, 127] = -1.0, -2.0
    maps = gaussians([(13.0, 17.0), (31.0, 22.5)])
    places = ExportedCloserLook(Darkest(), 7.0, 4)(image, maps)
    torch.testing.assert_close(places, torch.tensor([[[50.0, 71.0], [127.0, 91.0]]]))


def one_window(u, v):
    """A window with a blob at (u, v) of what is kept of it."""
    side = SIDE_PX + 2 * MARGIN_PX
    drawn = blob_at(np.array([[u, v]]), (side, side), 0)
    truth = np.array([[u, v]], np.float32) - (side - 1) / 2
    images = packed(drawn.image)[None]
    return Windows(images, np.zeros(1, np.int64), truth, truth)


@pytest.mark.parametrize('seed', range(8))
def test_moved_and_turned_windows_keep_the_truth_on_its_pixel(seed):
    rng = np.random.default_rng(seed)
    window = one_window(*rng.uniform(17, 30, 2))
    moved = rng.integers(-4, 5, (1, 2))
    images, truths = turned(*looked_at(window, moved), rng)
    seen = blob_centre(images[0, 0].numpy()) - (SIDE_PX - 1) / 2
    np.testing.assert_allclose(truths[0].numpy(), seen, atol=0.02)


def test_variation_of_nothing_changes_nothing_but_the_orientation():
    window, rng = one_window(22.3, 25.1), np.random.default_rng(1)
    plain, _ = looked_at(window, np.zeros((1, 2), np.int64))
    images, truths = Variation(0.0, 0.0, 0.0).apply(window, rng)
    torch.testing.assert_close(images.flatten().sort()[0], plain.flatten().sort()[0])
    seen = blob_centre(images[0, 0].numpy()) - (SIDE_PX - 1) / 2
    np.testing.assert_allclose(truths[0].numpy(), seen, atol=0.02)


@pytest.fixture(scope='module')
def settings(tmp_path_factory):
    root = tmp_path_factory.mktemp('spots')
    return CloserSettings(
        tracker=str(off_tracker(root / 'tracker.onnx')),
        train=str(spot_folder(root / 'train', 96, 1)),
        also_train=(str(spot_folder(root / 'more', 32, 3)),),
        validation=str(spot_folder(root / 'val', 24, 2)),
        epochs=14,
        batch_size=16,
        average_decay=0.95,
        threads=1,
    )


@pytest.fixture(scope='module')
def run(settings, tmp_path_factory):
    root, records = tmp_path_factory.mktemp('run'), []
    CloserTraining(settings, root).run(report=records.append)
    return root, records


@pytest.fixture(scope='module')
def exported(run, settings, tmp_path_factory):
    path = tmp_path_factory.mktemp('models') / 'closer.onnx'
    return path, export_closer(run[0] / 'best.pt', path, settings.validation, ['synthex train'])


def test_what_a_tracker_gets_wrong_everywhere_is_put_right(run):
    _, records = run
    last = records[-1]
    assert last['before_median_mm'] == pytest.approx(OFF_PX * 0.582, rel=0.1)
    assert last['landmark_error_median_mm'] < 0.25 * last['before_median_mm']


def test_hidden_landmarks_are_not_learnt(run, settings):
    frames = [FrameSet(folder) for folder in (settings.train, *settings.also_train)]
    visible = sum(int(f.landmarks(row)[:, 2].sum()) for f in frames for row in range(len(f)))
    assert sum(len(Windows.load(run[0] / f'windows_{k}.npz')) for k in (0, 1)) == visible


def test_resumed_run_ends_as_a_whole_one(settings, tmp_path):
    def stop(record):
        if record['epoch'] == 1:
            raise KeyboardInterrupt

    short = replace(settings, epochs=2)
    whole = CloserTraining(short, tmp_path / 'whole')
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        CloserTraining(short, tmp_path / 'cut').run(report=stop)
    again = CloserTraining(short, tmp_path / 'cut', resume=True)
    again.run()
    for name in ('landmark_error_mean_mm', 'landmark_error_p95_mm'):
        assert again.validate()[name] == pytest.approx(whole.validate()[name], rel=1e-6)


def test_file_gives_the_places_that_the_decoder_takes(exported, settings):
    path, manifest = exported
    model, alone = TrackerModel(path), TrackerModel(settings.tracker)
    assert manifest['onnx_difference_px'] < 1e-3
    assert manifest['test']['landmark_error_median_mm'] < 0.25 * OFF_PX * 0.582
    counts, truth = spots(np.random.default_rng(9))
    given, before = model.infer(counts), alone.infer(counts)
    np.testing.assert_array_equal(given.heatmaps, before.heatmaps)
    errors = [
        np.linalg.norm([[m.u, m.v] - t for m, t in zip(marks, truth, strict=True)], axis=1)
        for marks in (
            decode(given.heatmaps, model.metadata, given.mask, given.places),
            decode(before.heatmaps, alone.metadata, before.mask, before.places),
        )
    ]
    assert before.places is None
    assert errors[0].max() < 1.5 < errors[1].min()


def test_manifest_tells_of_the_tracker_that_it_was_trained_for(exported, settings, run, tmp_path):
    path, manifest = exported
    tracker = Path(settings.tracker)
    sha256 = hashlib.sha256(tracker.read_bytes()).hexdigest()
    assert manifest['tracker'] == {'sha256': sha256}
    assert json.loads(path.with_suffix('.json').read_text())['sha256'] == manifest['sha256']
    assert tracker_manifest(path) == manifest['tracker']
    shutil.copy(tracker, tmp_path / 'known.onnx')
    known = {'sha256': sha256, 'commands': ['synthex train cm.yaml']}
    (tmp_path / 'known.json').write_text(json.dumps(known))
    assert tracker_manifest(tmp_path / 'known.onnx') == known


def test_file_may_take_the_place_of_its_tracker_twice(settings, run, tmp_path):
    path = tmp_path / 'known.onnx'
    shutil.copy(settings.tracker, path)
    known = {'sha256': hashlib.sha256(path.read_bytes()).hexdigest(), 'commands': ['made']}
    path.with_suffix('.json').write_text(json.dumps(known))
    state = load_checkpoint(run[0] / 'best.pt')
    state['settings']['tracker'] = str(path)
    torch.save(state, tmp_path / 'best.pt')
    sizes = []
    for _ in range(2):
        assert export_closer(tmp_path / 'best.pt', path)['tracker'] == known
        sizes.append(len(onnx.load(path).graph.node))
    assert sizes[0] == sizes[1]


def test_region_has_the_places_of_the_frame(exported):
    model = TrackerModel(exported[0])
    counts, truth = spots(np.random.default_rng(9))
    whole = model.infer(counts).places
    part = model.infer(counts, Region(32, 0, 96, 128)).places
    assert np.all(truth > [0, 32 + SIDE_PX / 2])
    np.testing.assert_allclose(part, whole, atol=1e-3)


def test_tracker_comes_out_of_the_file_again_and_a_new_look_replaces_the_old(
    exported, settings, run
):
    path, _ = exported
    alone = without_closer_look(onnx.load(path))
    outputs = [item.name for item in alone.graph.output]
    assert outputs == list(ModelMetadata.from_onnx(settings.tracker).output_names)
    sizes = [len(onnx.load(file).graph.node) for file in (settings.tracker, path)]
    assert len(alone.graph.node) == sizes[0] < sizes[1]
    look, again = CloserLook(2), path.with_name('again.onnx')
    look.load_state_dict(load_checkpoint(run[0] / 'best.pt')['average'])
    write_with_closer_look(path, look.eval(), ModelMetadata.from_onnx(path), again)
    assert len(onnx.load(again).graph.node) == sizes[1]
    counts, _ = spots(np.random.default_rng(9))
    places = [TrackerModel(file).infer(counts).places for file in (path, again)]
    np.testing.assert_array_equal(*places)


def test_smaller_numbers_keep_the_closer_look_or_leave_it_out(exported, tmp_path):
    path, _ = exported
    rng = np.random.default_rng(4)
    to_int8(path, tmp_path / 'int8.onnx', [spots(rng)[0] for _ in range(3)])
    to_float16(path, tmp_path / 'half.onnx')
    counts, truth = spots(rng)
    places = TrackerModel(tmp_path / 'int8.onnx').infer(counts).places
    assert np.linalg.norm(places - truth, axis=1).max() < 2
    assert TrackerModel(tmp_path / 'half.onnx').infer(counts).places is None


def test_file_in_8_bits_stands_beside_the_one_that_it_is_of(exported, settings, tmp_path):
    path, target = exported[0], tmp_path / 'int8.onnx'
    manifest = export_int8(path, target, settings.train, 4, settings.validation, ['quantize'])
    assert manifest['sha256'] == hashlib.sha256(target.read_bytes()).hexdigest()
    assert manifest['of']['sha256'] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest['ranges_from']['frames'] == 4
    name = 'landmark_error_median_mm'
    assert manifest['test'][name] == pytest.approx(manifest['of']['test'][name], abs=0.3)
    assert json.loads(target.with_suffix('.json').read_text())['commands'] == ['quantize']
    with pytest.raises(ValueError, match='name another one'):
        export_int8(path, path, settings.train)
    with pytest.raises(ValueError, match='at least 1'):
        export_int8(path, target, settings.train, 0)


def test_lines_of_the_file_in_8_bits_are_drawn_for_it(exported, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(operating_point, 'FEWEST', 6)
    empty = spot_folder(tmp_path / 'empty', 8, 5, labelled=False)
    options = {'empty': empty, 'false_alarms': 0.0}
    manifest = export_int8(exported[0], tmp_path / 'int8.onnx', settings.train, 4, **options)
    model = TrackerModel(tmp_path / 'int8.onnx')
    assert manifest['least_mask_px'] == model.metadata.least_mask_px > 0
    frames = FrameSet(empty)
    source = TrackerModel(exported[0])
    for row in range(len(frames)):
        assert source.infer(frames.counts(row)).labels().any()
        assert not model.infer(frames.counts(row)).labels().any()


def test_place_that_belongs_to_another_peak_or_to_none_is_not_taken():
    metadata = cm_metadata(160)
    maps = gaussians([(10.0, 12.0), (30.0, 12.0)])[0].numpy()[:, :40, :40]
    peaks = np.array([[mark.u, mark.v] for mark in decode(maps, metadata)])
    near, far = peaks + [3.0, -2.0], peaks + [0.0, CLOSER_REACH_PX + 1]
    for places, wanted in ((near, near), (far, peaks), (np.full((2, 2), np.nan), peaks)):
        found = decode(maps, metadata, None, places.astype(np.float32))
        np.testing.assert_allclose([[m.u, m.v] for m in found], wanted, atol=1e-4)


def test_trackers_of_several_devices_have_none():
    several = cm_metadata(SIZE, centres_name='centres', votes_name='votes')
    with pytest.raises(ModelMismatch, match='trackers of one device'):
        closer_metadata(several)
    with pytest.raises(ModelMismatch, match='landmarks of one device'):
        replace(several, places_name='closer/places')


def test_metadata_survive_their_json(exported):
    metadata = ModelMetadata.from_onnx(exported[0])
    assert ModelMetadata.from_json(metadata.to_json()) == metadata
    assert metadata.output_names[-1] == metadata.places_name


def test_recipe_trains_it_and_its_export_asks_for_no_empty_frames(run):
    settings, line, start = load_recipe(find('config', 'train_cm_closer.yaml'))
    assert (type(settings), start) == (CloserSettings, CloserTraining)
    assert 'median' in line(run[1][-1])
    assert exporter(run[0] / 'best.pt') is export_closer
    with pytest.raises(ValueError, match='--empty'):
        exporter(run[0] / 'best.pt', chosen=True)


def test_curves_show_the_error_before_it(run):
    assert draw_history(run[0]).stat().st_size > 0


@pytest.mark.parametrize(
    'wrong',
    [{'epochs': 0}, {'noise': -0.1}, {'average_decay': 1.0}, {'network': 'quarter'}],
)
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match='must be'):
        CloserSettings(**wrong)
