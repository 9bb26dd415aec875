"""A tracker model is used only when file, graph, numbers and frames fit together."""

import dataclasses
import json

import numpy as np
import pytest

from synthex_ros.geometry import CArm, ProjectionGeometry
from synthex_ros.tracking.metadata import KEY, ModelMetadata, ModelMismatch
from synthex_ros.tracking.model import TrackerModel, log_counts, normalise

onnx = pytest.importorskip('onnx')

SIZE = 32
META = ModelMetadata(
    version='7',
    input_name='image',
    input_shape=(1, 1, SIZE, SIZE),
    pixel_pitch_mm=0.582,
    mask_name='mask',
    heatmaps_name='heatmaps',
    classes=('background', 'continuum_manipulator'),
    landmarks=('base', 'tip'),
    heatmap_sigma_px=7.0,
    heatmap_stride=4,
    mask_stride=1,
)


def write(path, meta=META, size=SIZE, weight=1.0, probabilities=True, text=None):
    """Write a model whose mask is a sigmoid of the image and whose heat maps are its means."""
    node, tensor = onnx.helper.make_node, onnx.TensorProto.FLOAT
    stride = 4
    nodes = [
        node('Conv', ['image', 'weight'], ['logit']),
        node('Sigmoid', ['logit'], ['foreground']),
        node('Sub', ['one', 'foreground'], ['background']),
        node(
            'Concat', ['background', 'foreground' if probabilities else 'logit'], ['mask'], axis=1
        ),
        node('AveragePool', ['image'], ['small'], kernel_shape=[stride] * 2, strides=[stride] * 2),
        node('Concat', ['small', 'small'], ['heatmaps'], axis=1),
    ]
    values = {'weight': np.full((1, 1, 1, 1), weight), 'one': np.ones((1, 1, 1, 1))}
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        'tracker',
        [info('image', tensor, [1, 1, size, size])],
        [
            info('mask', tensor, [1, 2, size, size]),
            info('heatmaps', tensor, [1, 2, size // stride, size // stride]),
        ],
        [onnx.numpy_helper.from_array(v.astype(np.float32), k) for k, v in values.items()],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid('', 17)], ir_version=9
    )
    if text is None and meta is not None:
        text = meta.to_json()
    if text is not None:
        onnx.helper.set_model_props(model, {KEY: text})
    onnx.save(model, str(path))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'model.onnx'


def image(seed=0):
    return np.random.default_rng(seed).integers(500, 9000, (SIZE, SIZE)).astype(np.uint16)


def test_metadata_survive_the_file(path):
    meta = dataclasses.replace(META, training={'epochs': 3}, licence='Apache-2.0')
    assert ModelMetadata.from_onnx(write(path, meta)) == meta


def test_inference_is_the_graph_on_the_normalised_image(path):
    prediction = TrackerModel(write(path, weight=2.0)).infer(image())
    x = normalise(image())
    np.testing.assert_allclose(prediction.mask, 1 / (1 + np.exp(-2 * x)), atol=1e-5)
    means = x.reshape(8, 4, 8, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(prediction.heatmaps, [means, means], atol=1e-5)
    np.testing.assert_array_equal(prediction.labels(), (x > 0).astype(np.uint8))


def test_normalisation_forgets_dose():
    """A longer pulse scales the counts; the logarithm makes that an offset, which is removed."""
    few = image() // 4
    np.testing.assert_allclose(normalise(few), normalise(few * 4), atol=0.01)


@pytest.mark.parametrize('levels', [(1 << 12) - 1, 255])
def test_window_that_cuts_dark_parts_to_zero_leaves_the_rest_alone(levels):
    """A black shutter or a clipped window must not outweigh the picture beside it."""
    rng = np.random.default_rng(3)
    bright = rng.uniform(0.3, 0.9, (64, 64))
    bright[:8] = 0.02
    cut = bright.copy()
    cut[:8] = 0.0
    kept, clipped = (
        normalise(np.rint(levels * part).astype(np.uint16) * np.uint16(65535 // levels))
        for part in (bright, cut)
    )
    spread = kept[8:].std(), clipped[8:].std()
    assert spread[1] > 0.5 * spread[0]


def test_normalised_image_has_no_mean_and_unit_deviation():
    x = normalise(image())
    assert x.dtype == np.float32
    assert x.mean() == pytest.approx(0, abs=1e-4)
    assert x.std() == pytest.approx(1, abs=1e-4)


def test_flat_image_gives_zeros():
    assert not normalise(np.full((8, 8), 77, np.uint16)).any()


def test_table_and_logarithm_agree():
    counts = np.array([[0, 1, 500, 65535]], np.uint16)
    np.testing.assert_allclose(log_counts(counts), np.log1p(counts.astype(float)), rtol=1e-6)
    np.testing.assert_allclose(log_counts(counts.astype(float)), log_counts(counts), rtol=1e-6)


def test_missing_file_says_where(path):
    with pytest.raises(FileNotFoundError, match='no model file at .*model.onnx'):
        TrackerModel(path)


def test_file_that_is_no_model(path):
    path.write_bytes(b'not a model')
    with pytest.raises(ModelMismatch, match='not a readable ONNX model'):
        TrackerModel(path)


def test_truncated_model(path):
    write(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ModelMismatch):
        TrackerModel(path)


def test_model_of_another_project(path):
    with pytest.raises(ModelMismatch, match="no 'synthex' metadata.*synthex export"):
        TrackerModel(write(path, meta=None))


@pytest.mark.parametrize(
    'key',
    ['version', 'input', 'outputs', 'classes', 'landmarks', 'heatmap_sigma_px', 'mask_stride'],
)
def test_missing_key_is_named(path, key):
    data = json.loads(META.to_json())
    del data[key]
    with pytest.raises(ModelMismatch, match=f"'{key}'"):
        TrackerModel(write(path, text=json.dumps(data)))


@pytest.mark.parametrize('text', ['{', '[]', '{"format": 99}', '{}'])
def test_unknown_format(path, text):
    with pytest.raises(ModelMismatch, match='metadata'):
        TrackerModel(write(path, text=text))


def test_another_normalisation(path):
    text = META.to_json().replace('zscore_log', 'minmax')
    with pytest.raises(ModelMismatch, match="'zscore_log', got float32 by 'minmax'"):
        TrackerModel(write(path, text=text))


@pytest.mark.parametrize(
    'change',
    [
        {'input_shape': (1, 1, 64, 64)},
        {'classes': ('background', 'a', 'b')},
        {'landmarks': ('tip',)},
        {'heatmap_stride': 8},
        {'mask_stride': 2},
        {'mask_name': 'segmentation'},
    ],
)
def test_graph_and_metadata_disagree(path, change):
    with pytest.raises(ModelMismatch, match='metadata describe'):
        TrackerModel(write(path, dataclasses.replace(META, **change)))


@pytest.mark.parametrize(
    'change',
    [
        {'input_shape': (1, 3, 32, 32)},
        {'heatmap_stride': 5},
        {'pixel_pitch_mm': 0.0},
        {'classes': ('tool', 'background')},
        {'landmarks': ()},
    ],
)
def test_metadata_without_sense(change):
    with pytest.raises(ModelMismatch):
        dataclasses.replace(META, **change)


def test_damaged_weights(path):
    with pytest.raises(ModelMismatch, match='NaN or infinity'):
        TrackerModel(write(path, weight=np.nan))


def test_logits_instead_of_probabilities(path):
    with pytest.raises(ModelMismatch, match=r'probabilities 0\.\.1'):
        TrackerModel(write(path, probabilities=False))


def test_device_that_the_model_does_not_know(path):
    model = TrackerModel(write(path))
    model.require(classes=['continuum_manipulator'], landmarks=['tip'])
    with pytest.raises(ModelMismatch, match=r"class \['guidewire'\].*continuum_manipulator"):
        model.require(classes=['guidewire'])
    with pytest.raises(ModelMismatch, match=r"landmark \['middle'\]"):
        model.require(landmarks=['base', 'middle'])


def test_frames_must_have_the_models_size_and_pitch(path):
    model = TrackerModel(write(path))
    fitting = ProjectionGeometry(1.02, (0.582e-3, 0.582e-3), (15.5, 15.5), (SIZE, SIZE))
    model.check_frame(fitting)
    with pytest.raises(ModelMismatch, match='512 x 512 px.* takes 32 x 32'):
        model.check_frame(CArm().geometry())
    finer = dataclasses.replace(fitting, pixel_pitch_m=(0.4e-3, 0.582e-3))
    with pytest.raises(ModelMismatch, match=r'pitch is 0\.4 mm.* 0\.582 mm'):
        model.check_frame(finer)


def test_image_of_another_shape(path):
    with pytest.raises(ModelMismatch, match=r'\(32, 32\), got \(32, 31\)'):
        TrackerModel(write(path)).infer(image()[:, 1:])


def test_same_frame_gives_the_same_bytes(path):
    model = TrackerModel(write(path))
    first, second = (model.infer(image()) for _ in range(2))
    assert first.classes.tobytes() == second.classes.tobytes()


NEXT_STEP = 'export|change|use|choose|fetch'


@pytest.mark.parametrize(
    'edit',
    [
        lambda data: data.update(format=2),
        lambda data: data['input'].update(normalisation='minmax'),
        lambda data: data['input'].update(dtype='uint8'),
        lambda data: data['input'].update(shape=[1, SIZE, SIZE]),
        lambda data: data['input'].update(shape=[1, 3, SIZE, SIZE]),
        lambda data: data['input'].update(pixel_pitch_mm='fine'),
        lambda data: data['input'].update(pixel_pitch_mm=float('nan')),
        lambda data: data.update(heatmap_stride=5),
        lambda data: data.update(heatmap_sigma_px=None),
        lambda data: data.update(classes=['device']),
        lambda data: data.update(outputs=[]),
        lambda data: data.update(mask_stride=2),
        lambda data: data['outputs'].update(heatmaps='points'),
    ],
)
def test_every_refusal_names_the_file_and_the_next_step(path, edit):
    data = json.loads(META.to_json())
    edit(data)
    with pytest.raises(ModelMismatch, match=rf'model\.onnx.*(got|has|lacks).*({NEXT_STEP})'):
        TrackerModel(write(path, text=json.dumps(data)))


def test_unreadable_and_damaged_files_name_the_next_step(path):
    path.write_bytes(b'not a model')
    with pytest.raises(ModelMismatch, match=rf'(?s)model\.onnx.*({NEXT_STEP})'):
        TrackerModel(path)
    with pytest.raises(ModelMismatch, match=rf'model\.onnx.*({NEXT_STEP})'):
        TrackerModel(write(path, weight=np.nan))


def test_coarse_mask_lands_on_its_pixels(tmp_path):
    """Cell j of stride s is centred at pixel s j + (s - 1) / 2: a ramp stays the same ramp."""
    path = write(tmp_path / 'model.onnx', weight=0.1)
    model = onnx.load(str(path))
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    pool = node('AveragePool', ['mask'], ['half'], kernel_shape=[2, 2], strides=[2, 2])
    model.graph.node.append(pool)
    model.graph.output[0].CopyFrom(info('half', onnx.TensorProto.FLOAT, [1, 2, 16, 16]))
    meta = dataclasses.replace(META, mask_stride=2, mask_name='half')
    onnx.helper.set_model_props(model, {KEY: meta.to_json()})
    onnx.save(model, str(path))
    ramp = np.tile(np.linspace(4000, 4400, SIZE), (SIZE, 1))
    fine = 1 / (1 + np.exp(-0.1 * normalise(ramp)))
    prediction = TrackerModel(path).infer(ramp)
    coarse = prediction.mask
    assert coarse.shape == (SIZE, SIZE)
    np.testing.assert_allclose(prediction.classes.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(coarse[:, 1:-1], fine[:, 1:-1], atol=2e-4)


def test_threads_are_checked(path):
    with pytest.raises(ValueError, match='threads must be at least 1, got 0'):
        TrackerModel(write(path), threads=0)
