"""Classes that share pixels: stored, moved, learnt, exported and read back without loss."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch (extra `train`)')
pytest.importorskip('onnx', reason='export needs onnx (extra `train`)')

from synthex_ros.learning.batches import to_tensors  # noqa: E402
from synthex_ros.learning.class_bits import from_bits, to_bits  # noqa: E402
from synthex_ros.learning.coco import CocoWriter, annotation_of, write_image  # noqa: E402
from synthex_ros.learning.dataset import FrameSet  # noqa: E402
from synthex_ros.learning.export import export  # noqa: E402
from synthex_ros.learning.labelled import Labelled  # noqa: E402
from synthex_ros.learning.losses import overlapping_mask_loss  # noqa: E402
from synthex_ros.learning.measure import score_frame  # noqa: E402
from synthex_ros.learning.networks.exported import ExportedNetwork  # noqa: E402
from synthex_ros.learning.training import Training, TrainingSettings  # noqa: E402
from synthex_ros.tracking.model import Prediction, TrackerModel  # noqa: E402

from .metadata import cm_metadata  # noqa: E402

SIZE = 64
HEART, SPINE = np.zeros((2, SIZE, SIZE), bool)
HEART[16:48, 12:40] = True
SPINE[4:60, 30:44] = True
CLASSES = ('background', 'heart', 'spine')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Six frames with a heart in front of a spine, and a landmark in the spine."""
    root = tmp_path_factory.mktemp('data') / 'chest'
    categories = [
        {'id': 1, 'name': 'heart', 'keypoints': []},
        {'id': 2, 'name': 'spine', 'keypoints': ['T7']},
    ]
    writer = CocoWriter(root, {}, categories)
    for number in range(6):
        name = f'{number:06d}.png'
        dark = 3000 - 900 * HEART - 900 * SPINE + 10 * number
        write_image(root, name, dark.astype(np.uint16))
        image = {'id': number, 'file_name': name, 'width': SIZE, 'height': SIZE,
                 'pixel_pitch_mm': 1.0, 'camera': number}  # fmt: skip
        annotations = [
            annotation_of(number, HEART, None),
            annotation_of(number, SPINE, np.array([[37.0, 30.0, 2]]), 2),
        ]
        writer.append([{'image': image, 'annotations': annotations}])
    writer.finish()
    return root


def logits_of(*masks):
    return torch.from_numpy(20.0 * (2.0 * np.stack(masks) - 1))[None].float()


def test_bits_hold_every_mask():
    rng = np.random.default_rng(3)
    masks = rng.random((8, 20, 30)) < 0.4
    np.testing.assert_array_equal(from_bits(to_bits(masks), 8), masks)
    with pytest.raises(ValueError, match='at most 8 classes may overlap, got 9'):
        to_bits(np.zeros((9, 4, 4), bool))


def test_frames_of_a_folder_keep_shared_pixels(folder):
    frames = FrameSet(folder, overlapping=True)
    np.testing.assert_array_equal(from_bits(frames.mask(0), 2), [HEART, SPINE])
    plain = FrameSet(folder).mask(0)
    assert set(plain[HEART & SPINE]) == {2}, 'class ids have room for one'


def test_tensors_have_a_map_for_each_class():
    sample = Labelled(np.zeros((SIZE, SIZE), np.float32), to_bits(np.stack([HEART, SPINE])),
                      np.array([[37.0, 30.0, 1.0]]))  # fmt: skip
    _, mask, _ = to_tensors(sample, 6.0, 2)
    np.testing.assert_array_equal(mask.numpy(), [HEART, SPINE])


def test_loss_vanishes_for_both_masks_and_not_for_one():
    truth = torch.from_numpy(np.stack([HEART, SPINE]))[None].float()
    assert overlapping_mask_loss(logits_of(HEART, SPINE), truth).item() < 1e-6
    exclusive = overlapping_mask_loss(logits_of(HEART, SPINE & ~HEART), truth).item()
    assert exclusive > 0.1


def test_probabilities_of_classes_are_their_own_and_the_rest_is_background():
    class Fixed(torch.nn.Module):
        classes = 3

        def forward(self, image):
            return logits_of(HEART, SPINE), torch.zeros(1, 1, 16, 16)

    classes, _ = ExportedNetwork(Fixed(), overlapping=True)(torch.zeros(1, 1, SIZE, SIZE))
    expected = [~(HEART | SPINE), HEART, SPINE]
    np.testing.assert_allclose(classes[0].numpy(), np.float32(expected), atol=1e-6)


def test_labels_are_the_surest_class_and_masks_may_share():
    classes = np.array([[[0.1, 0.7, 0.4]], [[0.9, 0.2, 0.6]], [[0.8, 0.3, 0.1]]], np.float32)
    prediction = Prediction(classes, np.zeros((1, 1, 1), np.float32))
    np.testing.assert_array_equal(prediction.labels(), [[1, 0, 1]])
    both = prediction.class_masks(overlapping=True)
    np.testing.assert_array_equal(both, [[[True, False, True]], [[True, False, False]]])
    one = prediction.class_masks(overlapping=False)
    np.testing.assert_array_equal(one, [[[True, False, True]], [[False, False, False]]])


def test_dice_is_the_mean_over_classes():
    """A right heart and no spine: (1 + 0) / 2, though the foregrounds overlap by far more."""
    metadata = cm_metadata(SIZE, classes=CLASSES, landmarks=('T7',), overlapping=True)
    found = np.stack([~HEART, HEART, np.zeros_like(SPINE)]).astype(np.float32)
    prediction = Prediction(found, np.zeros((1, 16, 16), np.float32))
    bits = to_bits(np.stack([HEART, SPINE]))
    score = score_frame(prediction, metadata, bits, np.zeros((1, 3)))
    assert score.dice == pytest.approx(0.5, abs=1e-3)


def test_a_trained_network_leaves_as_a_model_that_says_so(folder, tmp_path, one_thread):
    settings = TrainingSettings(
        train=str(folder), validation='', epochs=1, batch_size=2, crop_px=SIZE, workers=0,
        threads=1, whole_frames=True, overlapping=True, superpose_probability=0.0,
    )  # fmt: skip
    Training(settings, tmp_path).run()
    manifest = export(tmp_path / 'best.pt', tmp_path / 'chest.onnx', folder)
    assert manifest['onnx_difference'] < 1e-3
    model = TrackerModel(tmp_path / 'chest.onnx')
    assert model.metadata.overlapping
    assert model.metadata.classes == CLASSES
    prediction = model.infer(FrameSet(folder).counts(0))
    greatest = prediction.classes[1:].max(axis=0)
    np.testing.assert_allclose(prediction.classes[0], 1 - greatest, atol=1e-6)
    np.testing.assert_array_equal(prediction.labels() > 0, greatest > 0.5)
