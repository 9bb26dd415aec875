"""A tracker model made by hand: reports one known scene, as strongly as there is contrast."""

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from synthex_ros.tracking.landmarks import pixel_to_cell
from synthex_ros.tracking.metadata import KEY, ModelMetadata

SIZE, PITCH_MM = 256, 1.164
STRIDE, SIGMA_PX = 2, 4.0


def metadata(**changes):
    values = {
        'version': '1',
        'input_name': 'image',
        'input_shape': (1, 1, SIZE, SIZE),
        'pixel_pitch_mm': PITCH_MM,
        'mask_name': 'mask',
        'heatmaps_name': 'heatmaps',
        'classes': ('background', 'continuum_manipulator'),
        'landmarks': ('base', 'tip'),
        'heatmap_sigma_px': SIGMA_PX,
        'heatmap_stride': STRIDE,
        'mask_stride': 1,
    }
    return ModelMetadata(**{**values, **changes})


def heatmap(pixel):
    cells = np.arange(SIZE // STRIDE)
    column, row = (pixel_to_cell(value, STRIDE) for value in pixel)
    sigma = SIGMA_PX / STRIDE
    across = np.exp(-0.5 * ((cells - column) / sigma) ** 2)
    return np.outer(np.exp(-0.5 * ((cells - row) / sigma) ** 2), across)


def silhouette(curve_px, width_px):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    points = np.round(np.asarray(curve_px) * 16).astype(np.int32)
    cv2.polylines(mask, [points], False, 1, max(1, round(width_px)), cv2.LINE_8, 4)
    return mask.astype(np.float32)


def write_model(path, curve_px, width_px, **changes):
    """Save a model whose answer is (known scene) * min(brightest normalised pixel, 1)."""
    device = silhouette(curve_px, width_px)
    heat = np.stack([heatmap(curve_px[0]), heatmap(curve_px[-1])]).astype(np.float32)
    constants = {
        'device': device[None, None],
        'heat': heat[None],
        'one': np.ones(1, np.float32),
        'low': np.float32(0),
        'high': np.float32(1),
    }
    nodes = [
        helper.make_node('ReduceMax', ['image'], ['brightest'], keepdims=1),
        helper.make_node('Clip', ['brightest', 'low', 'high'], ['there']),
        helper.make_node('Mul', ['there', 'device'], ['foreground']),
        helper.make_node('Sub', ['one', 'foreground'], ['background']),
        helper.make_node('Concat', ['background', 'foreground'], ['mask'], axis=1),
        helper.make_node('Mul', ['there', 'heat'], ['heatmaps']),
    ]
    cells = SIZE // STRIDE
    graph = helper.make_graph(
        nodes,
        'known_scene',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 1, SIZE, SIZE])],
        [
            helper.make_tensor_value_info('mask', TensorProto.FLOAT, [1, 2, SIZE, SIZE]),
            helper.make_tensor_value_info('heatmaps', TensorProto.FLOAT, [1, 2, cells, cells]),
        ],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])
    model.ir_version = 8
    helper.set_model_props(model, {KEY: metadata(**changes).to_json()})
    onnx.save(model, str(path))
    return path
