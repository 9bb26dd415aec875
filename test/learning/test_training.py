"""Training on a few frames: resumed runs end as whole ones; exports describe themselves."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch (extra `train`)')
onnx = pytest.importorskip('onnx', reason='export needs onnx (extra `train`)')

from synthex_ros.learning import operating_point  # noqa: E402
from synthex_ros.learning.batches import RandomizedFrames, epoch_loader  # noqa: E402
from synthex_ros.learning.curves import draw_history, read_history  # noqa: E402
from synthex_ros.learning.dataset import FrameSet  # noqa: E402
from synthex_ros.learning.export import export, restore  # noqa: E402
from synthex_ros.learning.generate import generate  # noqa: E402
from synthex_ros.learning.geometry_transforms import Placement  # noqa: E402
from synthex_ros.learning.joined_frames import JoinedFrames  # noqa: E402
from synthex_ros.learning.networks.registry import parameter_count  # noqa: E402
from synthex_ros.learning.randomization import Randomization  # noqa: E402
from synthex_ros.learning.run_state import load_checkpoint  # noqa: E402
from synthex_ros.learning.training import Training, TrainingSettings, predictor  # noqa: E402
from synthex_ros.tracking.model import TrackerModel  # noqa: E402

from .conftest import FRAMES, SAMPLING, SEED  # noqa: E402


class Interrupted(Exception):
    """Stands for a power cut after an epoch."""


@pytest.fixture(scope='module')
def settings(frames_root, validation_root):
    return TrainingSettings(
        train=str(frames_root), validation=str(validation_root), epochs=2, batch_size=3,
        crop_px=64, workers=0, threads=1, seed=4,
    )  # fmt: skip


@pytest.fixture(scope='module')
def run(settings, tmp_path_factory):
    """Folder of a finished run of two epochs, and the steps that it reported."""
    root, steps = tmp_path_factory.mktemp('run'), []
    Training(settings, root).run(lambda epoch, step, loss: steps.append((epoch, step, loss)))
    return root, steps


@pytest.fixture(scope='module')
def exported(run, tmp_path_factory, frames_root):
    path = tmp_path_factory.mktemp('models') / 'tiny.onnx'
    return path, export(run[0] / 'best.pt', path, frames_root, ['synthex train tiny.yaml'])


def test_every_step_of_every_epoch_has_a_finite_loss(run):
    _, steps = run
    per_epoch = FRAMES // 3
    numbers = [(epoch, step + 1) for epoch in range(2) for step in range(per_epoch)]
    assert [(epoch, step) for epoch, step, _ in steps] == numbers
    assert np.isfinite([loss for _, _, loss in steps]).all()


def test_history_and_checkpoint_tell_the_same_numbers(run):
    history = read_history(run[0])
    assert [record['epoch'] for record in history] == [1, 2]
    state = load_checkpoint(run[0] / 'checkpoint.pt')
    assert (state['epoch'], state['step']) == (2, 2 * (FRAMES // 3))
    last = {k: v for k, v in state['validation'].items() if v == v}
    assert last == {k: v for k, v in history[-1].items() if v == v}
    assert draw_history(run[0]).stat().st_size > 1000


def test_resumed_run_ends_with_the_weights_of_the_uninterrupted_one(run, settings, tmp_path):
    def cut(record):
        raise Interrupted

    first = Training(settings, tmp_path)
    with pytest.raises(Interrupted):
        first.run(report=cut)
    resumed, epochs = Training(settings, tmp_path, resume=True), []
    assert resumed.epoch == 1
    resumed.run(lambda epoch, step, loss: epochs.append(epoch))
    assert set(epochs) == {1}
    assert [record['epoch'] for record in read_history(tmp_path)] == [1, 2]
    whole, again = (load_checkpoint(root / 'checkpoint.pt') for root in (run[0], tmp_path))
    for name, value in whole['average'].items():
        torch.testing.assert_close(again['average'][name], value)


def test_finished_run_resumes_to_nothing(run, settings):
    before = (run[0] / 'checkpoint.pt').read_bytes()
    Training(settings, run[0], resume=True).run()
    assert (run[0] / 'checkpoint.pt').read_bytes() == before


def test_training_on_starts_from_averaged_weights(run, settings, tmp_path):
    best = run[0] / 'best.pt'
    changed = TrainingSettings(**{**settings.__dict__, 'start_from': str(best)})
    weights = Training(changed, tmp_path).network.state_dict()
    for name, value in load_checkpoint(best)['average'].items():
        torch.testing.assert_close(weights[name], value)


def test_folders_are_trained_on_one_after_another(
    settings, frames_root, validation_root, tmp_path
):
    parts = FrameSet(frames_root, 5), FrameSet(frames_root, 4, first=5)
    joined = JoinedFrames(parts)
    assert len(joined) == 9
    for row in range(9):
        part, inner = (parts[0], row) if row < 5 else (parts[1], row - 5)
        assert joined.shows_device(row) == part.shows_device(inner)
        assert np.array_equal(joined.labelled(row).image, part.labelled(inner).image)
    with pytest.raises(IndexError):
        joined.labelled(9)
    list(generate(SAMPLING, 4, tmp_path / 'more', SEED + 2, workers=1))
    changed = replace(settings, also_train=(str(tmp_path / 'more'),))
    assert Training(changed, tmp_path / 'run').steps_per_epoch == (FRAMES + 4) // 3
    with pytest.raises(ValueError, match='seed'):
        Training(replace(settings, also_train=(str(validation_root),)), tmp_path / 'again')


def test_batches_depend_on_seed_epoch_and_row_alone(frames_root):
    frames = FrameSet(frames_root, 8)
    crops = RandomizedFrames(frames, Randomization(Placement(64)), 3, 7.0)
    batches = [list(epoch_loader(crops, 3, epoch, 4, 0)) for epoch in (0, 0, 1)]
    for a, b in zip(batches[0], batches[1], strict=True):
        for left, right in zip(a, b, strict=True):
            assert torch.equal(left, right)
    assert not torch.equal(batches[0][0][0], batches[2][0][0])
    image, mask, heatmaps = batches[0][0]
    assert (image.shape, image.dtype) == ((4, 1, 64, 64), torch.float32)
    assert (mask.shape, mask.dtype) == ((4, 64, 64), torch.int64)
    assert (heatmaps.shape, heatmaps.dtype) == ((4, 2, 16, 16), torch.float32)


def test_onnx_file_gives_what_torch_gives(run, exported, frames_root):
    network, _ = restore(load_checkpoint(run[0] / 'best.pt'))
    infer, model = predictor(network), TrackerModel(exported[0])
    for counts, _, _ in FrameSet(frames_root, 2):
        ours, theirs = infer(counts), model.infer(counts)
        np.testing.assert_allclose(theirs.classes, ours.classes, atol=1e-3)
        np.testing.assert_allclose(theirs.heatmaps, ours.heatmaps, atol=1e-3)
        assert ours.heatmaps.std() > 0


def test_onnx_file_describes_itself(exported):
    metadata = TrackerModel(exported[0]).metadata
    assert metadata.input_shape == (1, 1, 512, 512)
    assert metadata.pixel_pitch_mm == pytest.approx(0.582)
    assert metadata.classes == ('background', 'continuum_manipulator')
    assert metadata.landmarks == ('base', 'tip')
    assert (metadata.heatmap_sigma_px, metadata.heatmap_stride) == (7.0, 4)
    assert metadata.licence == 'Apache-2.0'
    assert metadata.training['frames'] == FRAMES
    assert (metadata.training['seed'], metadata.training['data_seed']) == (4, SEED)
    onnx.checker.check_model(onnx.load(str(exported[0])))


def test_manifest_beside_it_says_how_it_was_made(run, exported):
    path, manifest = exported
    assert (
        json.loads(path.with_suffix('.json').read_text(encoding='utf-8')).keys() == manifest.keys()
    )
    assert manifest['sha256'] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest['file'] == 'tiny.onnx'
    assert manifest['commands'] == ['synthex train tiny.yaml']
    assert manifest['settings']['crop_px'] == 64
    assert manifest['train_data']['seed'] == SEED
    assert manifest['validation_data']['seed'] == SEED + 1
    assert manifest['test_data']['frames'] == manifest['test']['frames'] == FRAMES
    network, _ = restore(load_checkpoint(run[0] / 'best.pt'))
    assert manifest['parameters'] == parameter_count(network)
    assert manifest['onnx_difference'] < 1e-3
    assert set(manifest['inference_ms']) == {'1', '2'}
    keys = {'licence', 'data_licence', 'epochs', 'training_seconds', 'validation', 'version'}
    assert keys <= manifest.keys()


def test_missing_checkpoint_is_named_with_the_way_to_make_it(tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint .*best.pt; run `synthex train`'):
        export(tmp_path / 'best.pt', tmp_path / 'model.onnx')
    assert not (tmp_path / 'model.onnx').exists()


def test_nothing_to_resume_or_to_train_on_is_named(settings, tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint .*run `synthex train` first'):
        Training(settings, tmp_path, resume=True)
    with pytest.raises(FileNotFoundError, match='no data set .*synthex generate'):
        Training(TrainingSettings(train=str(tmp_path)), tmp_path)
    with pytest.raises(FileNotFoundError, match='no epoch is finished'):
        read_history(tmp_path)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'epochs': 0}, 'must be positive'),
        ({'crop_px': 100}, 'multiple of 32, at least 64, got 100'),
        ({'average_decay': 1.0}, r'average_decay must be in \(0, 1\), got 1'),
    ],
)
def test_settings_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainingSettings(**changes)


def test_training_and_validation_never_share_views(settings):
    shared = TrainingSettings(**{**settings.__dict__, 'validation': settings.train})
    with pytest.raises(ValueError, match='both made with seed 28 and share their views'):
        Training(shared, settings.train)


def test_lines_of_a_device_are_in_the_file_and_told_in_the_manifest(
    run, frames_root, tmp_path, monkeypatch
):
    monkeypatch.setattr(operating_point, 'FEWEST', 2)
    path = tmp_path / 'sure.onnx'
    manifest = export(run[0] / 'best.pt', path, empty=frames_root, false_alarms=0.0)
    model = TrackerModel(path)
    assert manifest['least_mask_px'] == model.metadata.least_mask_px
    assert manifest['least_peak'] == model.metadata.least_peak >= 0.1
    frames = FrameSet(frames_root)
    for row in range(len(frames)):
        if not frames.shows_device(row):
            assert model.infer(frames.counts(row)).mask.max() <= 0.5


def test_lines_are_not_chosen_by_too_few_frames(run, frames_root, tmp_path):
    with pytest.raises(ValueError, match='frames without a device, at least 50 are needed'):
        export(run[0] / 'best.pt', tmp_path / 'sure.onnx', empty=frames_root)
    assert not list(tmp_path.iterdir())
