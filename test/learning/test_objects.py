"""The network for foreign objects: targets, masks that each peak draws, training, export."""

import json

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch (extra `train`)')

from synthex_ros.learning.coco import CocoFolder, CocoWriter, annotation_of, write_image  # noqa: E402, I001
from synthex_ros.learning.curves import draw_history  # noqa: E402
from synthex_ros.learning.dataset import FrameSet  # noqa: E402
from synthex_ros.learning.geometry_transforms import Placement  # noqa: E402
from synthex_ros.learning.losses import mask_loss  # noqa: E402
from synthex_ros.learning.networks.compact import TrackerNetwork  # noqa: E402
from synthex_ros.learning.networks.objects import (  # noqa: E402
    ObjectNetwork,
    mask_logits,
    start_weights,
)
from synthex_ros.learning.object_crops import (  # noqa: E402
    ObjectCrop,
    ObjectCrops,
    exposed_twice,
    labelled_objects,
    masks_of,
)
from synthex_ros.learning.object_export import export_objects  # noqa: E402
from synthex_ros.learning.object_precision import (  # noqa: E402
    object_precision,
    precision_by_kind,
)
from synthex_ros.learning.object_targets import (  # noqa: E402
    centre_loss,
    centre_targets,
    learning_cells,
    object_mask_loss,
)
from synthex_ros.learning.object_training import (  # noqa: E402
    ObjectSettings,
    ObjectTraining,
    masks_loss,
)
from synthex_ros.learning.randomization import Randomization  # noqa: E402
from synthex_ros.learning.recipes import exporter, load_recipe  # noqa: E402
from synthex_ros.resources import find  # noqa: E402
from synthex_ros.tracking.metadata import ModelMetadata, ModelMismatch  # noqa: E402
from synthex_ros.tracking.object_masks import (  # noqa: E402
    COARSE,
    FINE,
    WEIGHTS,
    ObjectMaps,
    decode_objects,
    draw_masks,
)
from synthex_ros.tracking.objects import (  # noqa: E402
    ObjectMetadata,
    ObjectModel,
    model_kind,
    object_input,
)

pytestmark = pytest.mark.usefixtures('one_thread')

SIZE = 128


def drawn_masks():
    """A wire across a plate, a ring, and a disc: the first two share pixels."""
    wire, plate, ring, disc = (np.zeros((SIZE, SIZE), np.uint8) for _ in range(4))
    cv2.line(wire, (4, 60), (124, 30), 1, 3)
    cv2.rectangle(plate, (12, 30), (42, 66), 1, -1)
    cv2.circle(ring, (96, 96), 18, 1, 2)
    cv2.circle(disc, (30, 104), 8, 1, -1)
    return [mask > 0 for mask in (wire, plate, ring, disc)]


KINDS = ('wire', 'plate', 'ring', 'disc')


def picture_of(masks, seed=0):
    """Counts of a noisy grey field with every object a third darker."""
    rng = np.random.default_rng(seed)
    image = np.full((SIZE, SIZE), 4000.0)
    for mask in masks:
        image[mask] *= 0.66
    return np.clip(rng.normal(image, 60), 1, 65535).astype(np.uint16)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Three frames: all objects, one of them, and none."""
    root = tmp_path_factory.mktemp('drawn')
    category = {'id': 1, 'name': 'foreign_object'}
    writer = CocoWriter(root, {'seed': 5}, [category])
    for number, count in enumerate((4, 1, 0)):
        masks = drawn_masks()[:count]
        name = f'{number:06d}.png'
        write_image(root, name, picture_of(masks, number))
        image = {'id': number, 'file_name': name, 'width': SIZE, 'height': SIZE,
                 'pixel_pitch_mm': 0.582}  # fmt: skip
        items = [
            annotation_of(number, mask, None, kind=kind)
            for kind, mask in zip(KINDS, masks, strict=False)
        ]
        writer.append([{'image': image, 'annotations': items}])
    writer.finish()
    return root


def true_maps(masks):
    """Maps of a perfect network: each object has a fine feature of its own."""
    heat, _ = centre_targets(masks, (SIZE, SIZE))
    fine = np.full((FINE, SIZE, SIZE), -1, np.float32)
    weights = np.zeros((WEIGHTS, *heat.shape), np.float32)
    _, owner = centre_targets(masks, (SIZE, SIZE))
    for number, mask in enumerate(masks):
        fine[number][mask] = 1
        weights[WEIGHTS - FINE + number][owner == number] = 12
    coarse = np.zeros((COARSE, SIZE // 4, SIZE // 4), np.float32)
    return ObjectMaps(heat, weights, coarse, fine)


def test_true_maps_decode_to_the_objects_with_precision_one(folder):
    data = CocoFolder(folder)
    found = [decode_objects(true_maps(drawn_masks()[:n])) for n in (4, 1, 0)]
    assert [len(items) for items in found] == [4, 1, 0]
    values = object_precision(data, found)
    assert values['objects'] == 5
    assert values['mask'] == values['box'] == {'ap': 1.0, 'ap50': 1.0, 'ap75': 1.0}
    kinds = precision_by_kind(data, found)
    assert {kind: part['mask']['ap'] for kind, part in kinds.items()} == dict.fromkeys(KINDS, 1.0)
    assert kinds['wire']['objects'] == 2


def test_a_missed_object_lowers_its_kind_alone_and_a_false_one_all(folder):
    data = CocoFolder(folder)
    found = [decode_objects(true_maps(drawn_masks()[:n])) for n in (4, 1, 0)]
    ring = drawn_masks()[2]
    found[0] = [item for item in found[0] if not np.array_equal(item.mask, ring)]
    kinds = precision_by_kind(data, found)
    assert kinds['ring']['mask']['ap'] == kinds['ring']['found'] == 0.0
    assert kinds['plate']['mask']['ap'] == 1.0
    assert object_precision(data, found)['mask']['ap50'] == pytest.approx(0.8, abs=0.01)
    none = object_precision(data, [[], [], []])
    assert none['mask']['ap'] == none['box']['ap50'] == 0.0


def test_numpy_and_torch_draw_the_same_masks():
    rng = np.random.default_rng(0)
    shapes = ((SIZE // 8,) * 2, (WEIGHTS, *(SIZE // 8,) * 2), (COARSE, *(SIZE // 4,) * 2),
              (FINE, SIZE, SIZE))  # fmt: skip
    maps = ObjectMaps(*(rng.normal(0, 1, shape).astype(np.float32) for shape in shapes))
    cells = np.array([[0, 0], [5, 11], [15, 3]])
    ours = draw_masks(maps, cells)
    weights = torch.from_numpy(maps.weights[:, cells[:, 0], cells[:, 1]].T.copy())
    theirs = mask_logits(
        weights, torch.from_numpy(cells), torch.from_numpy(maps.coarse),
        torch.from_numpy(maps.fine),
    )  # fmt: skip
    np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-4)


def test_middles_are_one_and_lie_along_their_objects():
    masks = drawn_masks()
    heat, owner = centre_targets(masks, (SIZE, SIZE))
    assert set(np.unique(owner)) == {-1, 0, 1, 2, 3}
    for number, mask in enumerate(masks):
        assert heat[owner == number].max() == 1
        rows, columns = np.nonzero(owner == number)
        middle = np.argwhere(mask).mean(axis=0)
        away = np.array([rows.mean(), columns.mean()]) * 8 + 3.5 - middle
        assert np.linalg.norm(away) < 14
    rows, columns = np.nonzero(centre_targets(masks[:1], (SIZE, SIZE))[1] == 0)
    assert np.ptp(columns) > np.ptp(rows), 'the middle of a wire is as long as the wire lies'


def test_cells_that_learn_belong_to_their_objects_and_begin_with_the_highest():
    masks = drawn_masks()
    heat, owner = centre_targets(masks, (SIZE, SIZE))
    cells = learning_cells(heat, owner, 4, 3, np.random.default_rng(0))
    assert set(cells[:, 0]) == {0, 1, 2, 3}
    for number, row, column in cells:
        assert owner[row, column] == number
    firsts = cells[np.unique(cells[:, 0], return_index=True)[1]]
    assert np.all(heat[firsts[:, 1], firsts[:, 2]] == 1)


def test_losses_are_zero_for_the_truth_and_fall_towards_it():
    masks = torch.from_numpy(np.array(drawn_masks(), np.float32))
    right = 40 * masks - 20
    assert object_mask_loss(right, masks).max() < 1e-3
    assert torch.all(object_mask_loss(right / 4, masks) < object_mask_loss(-right / 40, masks))
    target = torch.from_numpy(centre_targets(drawn_masks(), (SIZE, SIZE))[0])[None, None]
    logits = torch.logit(target.clamp(1e-6, 1 - 1e-6))
    assert centre_loss(logits, target) < 1e-4 < centre_loss(0 * logits, target)


def test_masks_travel_as_bits_and_keep_what_they_share(folder):
    frames = FrameSet(folder)
    sample = labelled_objects(frames, 0)
    masks = masks_of(sample.mask, 1)
    for own, true in zip(masks, drawn_masks(), strict=True):
        np.testing.assert_array_equal(own, true)
    assert np.any(masks[0] & masks[1])
    assert masks_of(sample.mask, int(masks[3].sum()) + 1) != masks


def test_two_frames_on_one_picture_show_the_objects_of_both(folder):
    frames = FrameSet(folder)
    first, second = (labelled_objects(frames, row) for row in (0, 1))
    both = exposed_twice(first, second, 4, np.random.default_rng(1))
    masks = masks_of(both.mask, 1)
    assert len(masks) == 5
    assert masks[4].sum() == drawn_masks()[0].sum()
    assert len(both.landmarks) == 5
    dark = both.image < -0.8
    assert np.mean(dark[masks[4]]) > 0.6


def test_crops_are_the_same_again_and_hold_whole_masks(folder):
    crops = ObjectCrops(FrameSet(folder, kept=True), Randomization(Placement(64)), 3, 0.5, 2, 10)
    for row in range(3):
        one, other = crops[0, row], crops[0, row]
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.masks, other.masks)
        assert one.image.shape == (2, 64, 64)
        assert len(one.cells) == len(one.masks)
        if len(one.masks):
            assert one.masks.sum(dim=(1, 2)).min() >= 10
    assert not torch.equal(crops[0, 0].image, crops[1, 0].image)


def test_network_learns_crossing_objects_by_heart():
    torch.manual_seed(0)
    masks = drawn_masks()
    heat, owner = centre_targets(masks, (SIZE, SIZE))
    cells = learning_cells(heat, owner, 4, 2, np.random.default_rng(0))
    counts = picture_of(masks)
    log = np.log1p(counts.astype(np.float32))
    log = (log - log.mean()) / log.std()
    crop = ObjectCrop(
        torch.from_numpy(object_input(log)),
        torch.from_numpy(heat),
        torch.from_numpy(cells[:, 1:].copy()),
        torch.from_numpy(np.array([masks[k] for k in cells[:, 0]], np.uint8)),
        torch.from_numpy(np.any(masks, axis=0).astype(np.int64)),
    )
    network = ObjectNetwork((8, 12, 16, 24, 32)).train()
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    for _ in range(120):
        outputs = network(crop.image[None])
        loss = masks_loss(outputs, [crop]) + centre_loss(outputs[0], crop.middles[None, None])
        loss = loss + mask_loss(outputs[3][:, :1], crop.shown[None])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        centres, *others = (part[0].numpy() for part in network(crop.image[None]))
    found = decode_objects(ObjectMaps(1 / (1 + np.exp(-centres[0])), *others), 0.3)
    assert len(found) == 4
    for mask in masks:
        overlaps = [(item.mask & mask).sum() / (item.mask | mask).sum() for item in found]
        assert max(overlaps) > 0.6


@pytest.fixture(scope='module')
def run(folder, tmp_path_factory):
    """A run of two epochs on three frames."""
    root = tmp_path_factory.mktemp('run')
    settings = ObjectSettings(
        train=str(folder), validation='', epochs=1, validation_epochs=1, batch_size=2,
        crop_px=96, early_crop_px=64, workers=0, threads=1,
    )  # fmt: skip
    records = []
    ObjectTraining(settings, root).run(report=records.append)
    longer = ObjectSettings(**{**vars_of(settings), 'epochs': 2})
    ObjectTraining(longer, root, resume=True).run(report=records.append)
    assert [record['epoch'] for record in records] == [1, 2]
    assert all({'ap', 'ap50'} <= set(record['mask']) for record in records)
    return root


def vars_of(settings):
    return {name: getattr(settings, name) for name in ObjectSettings.__dataclass_fields__}


def test_curves_of_a_run_are_drawn(run):
    assert draw_history(run).stat().st_size > 5000


def test_run_is_exported_with_metadata_and_manifest(run, folder, tmp_path):
    path = tmp_path / 'objects.onnx'
    assert exporter(run / 'best.pt') is export_objects
    with pytest.raises(ValueError, match=r'--empty\) are for trackers'):
        exporter(run / 'best.pt', chosen=True)
    manifest = exporter(run / 'best.pt')(run / 'best.pt', path, folder, ['made by a test'])
    assert manifest['onnx_difference'] < 1e-3
    assert manifest['test']['objects'] == 5
    assert json.loads(path.with_suffix('.json').read_text())['commands'] == ['made by a test']
    assert model_kind(path) == 'objects'
    model = ObjectModel(path)
    assert model.metadata.classes == ('background', 'foreign_object')
    assert model.metadata.training['frames'] == 2
    for item in model.find(np.full((100, 70), 3000, np.uint16), 0.01):
        assert item.mask.shape == (100, 70)
    with pytest.raises(ModelMismatch):
        ModelMetadata.from_onnx(path)


def test_weights_of_a_tracker_are_a_start():
    torch.manual_seed(0)
    tracker, network = TrackerNetwork(), ObjectNetwork()
    assert start_weights(network, tracker.state_dict()) > 80
    stem = network.stem[0].weight
    assert torch.equal(stem[:, :1], tracker.stem[0].weight)
    assert not stem[:, 1:].any()
    assert torch.equal(network.down[1][0][0].weight, tracker.down[1][0][0].weight)
    assert start_weights(ObjectNetwork(), network.state_dict()) == len(network.state_dict())


def test_recipes_name_their_training():
    settings, line, training = load_recipe(find('config', 'train_foreign_objects.yaml'))
    assert training is ObjectTraining
    parts = {'ap': 0.5, 'ap50': 0.7}
    text = line({'epoch': 3, 'mask_loss': 1.0, 'centre_loss': 0.5, 'seconds': 9.0,
                 'mask': parts, 'box': parts})  # fmt: skip
    assert 'AP 0.500 AP50 0.700 of masks' in text
    assert isinstance(settings, ObjectSettings)
    assert load_recipe(find('config', 'train_cm.yaml'))[2] is not ObjectTraining
    assert load_recipe(None)[2] is not ObjectTraining


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="network must be 'objects', got 'compact'"):
        ObjectSettings(network='compact')
    with pytest.raises(ValueError, match='early_crop_px must be a multiple of 32'):
        ObjectSettings(early_crop_px=100)
    with pytest.raises(ValueError, match='twice_share must be 0..1, got 2'):
        ObjectSettings(twice_share=2.0)


def test_metadata_go_there_and_back_and_refuse_others():
    meta = ObjectMetadata('1', 0.582, (500, 512), ('background', 'foreign_object'))
    assert ObjectMetadata.from_json(meta.to_json()) == meta
    assert meta.input_shape == (1, 2, 512, 512)
    with pytest.raises(ModelMismatch, match='no metadata of a model of foreign objects'):
        ObjectMetadata.from_json('{}')
    with pytest.raises(ModelMismatch, match='min_score in 0..1'):
        ObjectMetadata('1', 0.0, (512, 512), ('background', 'x'))
