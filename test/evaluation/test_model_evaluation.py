"""Model scores on a data set of which every frame's error is known."""

import numpy as np
import pytest

from synthex_ros.cli import build_parser
from synthex_ros.evaluation.commands import model_table
from synthex_ros.evaluation.model_evaluation import (
    DatasetError,
    read_samples,
    score_model,
    score_values,
)
from synthex_ros.learning.coco import CocoWriter, annotation_of, write_image

TRUTH = {'base': [10.0, 12.0, 2], 'tip': [30.0, 40.0, 2]}
NAMES = ('base', 'tip')


def write_dataset(folder, frames=4, hidden_tip=()):
    category = {'id': 1, 'name': 'device', 'keypoints': list(NAMES)}
    writer = CocoWriter(folder, {}, [category])
    mask = np.zeros((64, 64), bool)
    mask[10:42, 8:32] = True
    for number in range(frames):
        name = f'{number:06d}.png'
        write_image(folder, name, np.full((64, 64), 900, np.uint16))
        tip = [0, 0, 0] if number in hidden_tip else TRUTH['tip']
        image = {
            'id': number,
            'file_name': name,
            'width': 64,
            'height': 64,
            'pixel_pitch_mm': 0.5,
            'source_to_detector_mm': 1000.0,
            'source_to_object_mm': 500.0,
        }
        keypoints = np.array([TRUTH['base'], tip])
        writer.append([{'image': image, 'annotations': [annotation_of(number, mask, keypoints)]}])
    writer.finish()
    return folder


class Predictor:
    """Base is right; the tip is 4 px off with a score that fails the gate in odd frames."""

    landmarks = NAMES

    def __init__(self):
        self.calls = 0

    def __call__(self, counts):
        assert counts.dtype == np.uint16
        score = 0.95 if self.calls % 2 == 0 else 0.6
        self.calls += 1
        mask = np.zeros(counts.shape, np.uint8)
        mask[10:42, 8:32] = 1
        return mask, np.array([[10.0, 12.0, 0.99], [30.0, 44.0, score]])


def test_gated_and_ungated_errors_and_detection(tmp_path):
    score = score_model(Predictor(), read_samples(write_dataset(tmp_path / 'd'), NAMES))
    values = score_values(score)
    assert values['frames'] == 4
    assert values['landmark_error_mean_mm'] == 1.0
    assert values['detection_rate'] == 0.75
    assert values['dice_mean'] == 1.0
    tip = values['errors']['tip [mm]']
    assert (tip['all']['count'], tip['gated']['count']) == (4, 2)
    assert tip['all']['mean'] == 2.0
    assert values['errors']['at the device [mm]']['all']['mean'] == 0.5
    assert model_table(score).row_count == 5


def test_hidden_landmark_does_not_count(tmp_path):
    data = write_dataset(tmp_path / 'd', hidden_tip=(0, 1, 2, 3))
    values = score_values(score_model(Predictor(), read_samples(data, NAMES)))
    assert values['detection_rate'] == 1.0
    assert values['landmark_error_mean_mm'] == 0.0
    assert values['errors']['tip [mm]']['all']['mean'] is None


def test_damaged_data_sets_are_named(tmp_path):
    with pytest.raises(DatasetError, match='synthex generate'):
        list(read_samples(tmp_path, NAMES))
    data = write_dataset(tmp_path / 'd')
    with pytest.raises(DatasetError, match='lacks the landmarks'):
        list(read_samples(data, ('base', 'elbow')))
    (data / 'images' / '000002.png').write_bytes(b'rubbish')
    with pytest.raises(DatasetError, match='000002.png of .* is missing or damaged'):
        list(read_samples(data, NAMES))
    (data / 'annotations.json').write_text('{"id": 0')
    with pytest.raises(DatasetError, match='is no COCO file'):
        list(read_samples(data, NAMES))


def test_command_line_knows_bags_models_and_repair(tmp_path):
    parser = build_parser()
    args = parser.parse_args(['evaluate', str(tmp_path / 'none')])
    with pytest.raises(ValueError, match='does not exist'):
        args.handler(args)
    args = parser.parse_args(['evaluate', 'model'])
    with pytest.raises(ValueError, match='--data'):
        args.handler(args)
    args = parser.parse_args(['bag', 'repair', str(tmp_path / 'none')])
    with pytest.raises(ValueError, match='does not exist'):
        args.handler(args)
