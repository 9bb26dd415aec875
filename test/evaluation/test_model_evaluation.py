"""Model scores on a data set of which every frame's error is known."""

import json
import re

import numpy as np
import pytest

from synthex_ros.cli import build_parser
from synthex_ros.evaluation.average_precision import average_precision
from synthex_ros.evaluation.commands import model_table
from synthex_ros.evaluation.model_data import DatasetError, Fit, open_folder, read_samples
from synthex_ros.evaluation.model_evaluation import Finding, Instance, run_model
from synthex_ros.evaluation.model_report import report_model
from synthex_ros.evaluation.model_scores import score_values, share, worst_frames
from synthex_ros.learning.coco import CocoWriter, annotation_of, write_image
from synthex_ros.learning.visibility import ROSE_SNR

TRUTH = {'base': [10.0, 12.0, 2], 'tip': [30.0, 40.0, 2]}
NAMES = ('base', 'tip')
MASK = np.zeros((64, 64), bool)
MASK[10:42, 8:32] = True


def write_dataset(folder, frames=4, hidden_tip=(), empty=(), pitches=(0.5,), snr=None):
    category = {'id': 3, 'name': 'device', 'keypoints': list(NAMES)}
    writer = CocoWriter(folder, {}, [category])
    for number in range(frames):
        name = f'{number:06d}.png'
        write_image(folder, name, np.full((64, 64), 900 + number, np.uint16))
        tip = [0, 0, 0] if number in hidden_tip else TRUTH['tip']
        image = {
            'id': number,
            'file_name': name,
            'width': 64,
            'height': 64,
            'pixel_pitch_mm': pitches[number % len(pitches)],
            'source_to_detector_mm': 1000.0,
            'source_to_object_mm': 500.0,
            'anatomy': 'chest' if number % 2 else 'phantom:2',
        }
        keypoints = np.array([TRUTH['base'], tip])
        item = annotation_of(number, MASK, keypoints, contrast=0.15 + 0.3 * (number % 2))
        item['category_id'] = 3
        if snr is not None:
            item['keypoint_snr'] = [snr[number][0], snr[number][1]]
            for landmark in (0, 1):
                hidden = snr[number][landmark] < ROSE_SNR
                item['keypoints'][3 * landmark + 2] = 1 if hidden else 2
        writer.append([{'image': image, 'annotations': [] if number in empty else [item]}])
    writer.finish()
    return folder


class Predictor:
    """Base is right; the tip is 4 px off with a score that fails the gate in odd frames."""

    landmarks, classes = NAMES, ('background', 'device')

    def __init__(self, mask=MASK):
        self.mask = mask

    def __call__(self, counts, pixel_pitch_mm):
        assert counts.dtype == np.uint16
        score = 0.6 if counts[0, 0] % 2 else 0.95
        points = np.array([[10.0, 12.0, 0.99], [30.0, 44.0, score]])
        return Finding(self.mask.astype(np.uint8), points, (Instance(1, self.mask, 0.9),))


def values_of(folder, predict=None):
    predict = predict or Predictor()
    return score_values(run_model(predict, read_samples(open_folder(folder), NAMES)), NAMES)


def test_gated_and_ungated_errors_and_detection(tmp_path):
    values = values_of(write_dataset(tmp_path / 'd'))
    assert values['frames'] == 4
    assert values['landmark_error_mean_mm'] == 1.0
    assert values['detection_rate'] == 0.75
    assert values['dice_mean'] == 1.0
    tip = values['errors']['tip [mm]']
    assert (tip['all']['count'], tip['gated']['count']) == (4, 2)
    assert tip['all']['mean'] == 2.0
    assert values['errors']['at the device [mm]']['all']['mean'] == 0.5
    assert values['errors']['in the image [px]']['all']['mean'] == 2.0


def test_frames_of_different_pitch_are_measured_in_their_own_millimetres(tmp_path):
    values = values_of(write_dataset(tmp_path / 'd', pitches=(0.5, 1.0)))
    assert values['errors']['tip [mm]']['all']['mean'] == pytest.approx(4 * 0.75)
    assert values['errors']['in the image [px]']['all']['mean'] == 2.0


def test_activation_curve_falls_with_the_threshold(tmp_path):
    curve = values_of(write_dataset(tmp_path / 'd'))['activation_curve']
    activated = [item['activated'] for item in curve]
    assert activated == sorted(activated, reverse=True)
    at = {item['threshold']: item for item in curve}
    assert (at[0.01]['activated'], at[0.97]['activated']) == (1.0, 0.5)
    assert (at[0.01]['mean_mm'], at[0.97]['mean_mm']) == (1.0, 0.0)


def test_hidden_landmark_does_not_count_and_its_claims_do(tmp_path):
    values = values_of(write_dataset(tmp_path / 'd', hidden_tip=(0, 1, 2, 3)))
    assert values['detection_rate'] == 1.0
    assert values['landmark_error_mean_mm'] == 0.0
    assert values['errors']['tip [mm]']['all']['mean'] is None
    claims = values['landmarks']['tip']['claimed_absent']
    assert (claims['count'], claims['of']) == (2, 4)


def test_frames_without_a_device_count_as_false_alarms(tmp_path):
    values = values_of(write_dataset(tmp_path / 'd', empty=(0, 1)))
    assert values['frames_with_device'] == 2
    alarms = values['false_alarms']
    assert (alarms['landmark']['count'], alarms['landmark']['of']) == (2, 2)
    assert alarms['mask']['share'] == 1.0
    assert values['dice_mean'] == 0.5
    assert values['dice_with_device']['mean'] == 1.0


def test_landmarks_that_noise_hides_are_told_apart_and_not_left_out(tmp_path):
    snr = [(100.0, 7.0), (30.0, 3.0), (30.0, 3.5), (8.0, 0.5)]
    values = report_model(
        Predictor(), 'm', write_dataset(tmp_path / 'd', snr=snr), tmp_path / 'out'
    )
    bins = values['landmark_snr']
    assert {name: part['error_mm']['count'] for name, part in bins.items()} == {
        '0 to 1': 1, '2 to 5': 2, '5 to 10': 2, '20 to 50': 2, 'above 50': 1,
    }  # fmt: skip
    assert [part['visible'] for part in bins.values()] == [0, 0, 2, 2, 1]
    assert bins['2 to 5']['error_mm']['mean'] == 2.0
    assert bins['5 to 10']['error_mm']['mean'] == 1.0
    assert (bins['2 to 5']['claimed']['count'], bins['2 to 5']['claimed']['of']) == (1, 2)
    assert values['errors']['tip [mm]']['all']['count'] == 1
    page = (tmp_path / 'out' / 'evaluation.html').read_text(encoding='utf-8')
    assert 'By visibility of the landmark' in page


def test_groups_split_the_frames(tmp_path):
    groups = values_of(write_dataset(tmp_path / 'd', empty=(3,)))['groups']
    assert {name: part['frames'] for name, part in groups['anatomy'].items()} == {
        'chest': 2,
        'phantom': 2,
    }
    contrasts = groups['contrast of the device']
    assert {name: part['frames'] for name, part in contrasts.items()} == {
        '0.1 to 0.2': 2,
        '0.4 to 0.6': 1,
        'no device': 1,
    }
    for parts in groups.values():
        assert sum(part['frames'] for part in parts.values()) == 4


def test_frames_are_told_apart_by_the_area_that_is_shown(tmp_path):
    """768 pixels are 192 mm² with pixels of 0.5 mm, 69 with 0.3 mm and 492 with 0.8 mm."""
    data = write_dataset(tmp_path / 'd', empty=(3,), pitches=(0.5, 0.3, 0.8, 0.5))
    parts = values_of(data)['groups']['shown of the device']
    assert {name: part['frames'] for name, part in parts.items()} == {
        '0 to 70 mm²': 1,
        '70 to 200 mm²': 1,
        '200 mm² and more': 1,
        'no device': 1,
    }


def test_pixel_scores_of_half_a_mask(tmp_path):
    half = MASK.copy()
    half[26:] = False
    pixels = values_of(write_dataset(tmp_path / 'd'), Predictor(half))['pixels']
    assert pixels['sensitivity']['mean'] == 0.5
    assert pixels['precision']['mean'] == pixels['specificity']['mean'] == 1.0
    assert pixels['f1']['mean'] == pytest.approx(2 / 3, abs=1e-6)
    assert pixels['accuracy']['mean'] == pytest.approx(1 - half.sum() / 64**2, abs=1e-6)


def test_classes_that_overlap_are_scored_each_by_itself(tmp_path):
    """Half of the rib is found, all of the heart, and nothing where there is no heart."""
    rib, heart = np.zeros((2, 64, 64), bool)
    rib[10:20, :], heart[15:40, 10:50] = True, True
    names = ('rib', 'heart')
    categories = [{'id': k, 'name': name, 'keypoints': []} for k, name in enumerate(names, 1)]
    categories[0]['keypoints'] = ['end']
    writer = CocoWriter(tmp_path / 'd', {}, categories)
    for number in range(2):
        name = f'{number}.png'
        write_image(tmp_path / 'd', name, np.full((64, 64), 900, np.uint16))
        image = {'id': number, 'file_name': name, 'width': 64, 'height': 64,
                 'pixel_pitch_mm': 1.0}  # fmt: skip
        items = [annotation_of(number, rib, np.array([[5.0, 15.0, 2]])),
                 annotation_of(number, heart, None, 2)]  # fmt: skip
        writer.append([{'image': image, 'annotations': items[: 2 - number]}])
    writer.finish()

    def predict(counts, pixel_pitch_mm):
        half = rib.copy()
        half[15:] = False
        seen = {'rib': half, 'heart': heart}
        predict.calls += 1
        if predict.calls == 2:
            seen['heart'] = np.zeros_like(heart)
        return Finding(heart.astype(np.uint8), np.array([[5.0, 15.0, 1.0]]), (), seen)

    predict.calls = 0
    results = run_model(predict, read_samples(open_folder(tmp_path / 'd'), ('end',)))
    values = score_values(results, ('end',))
    classes = values['dice_by_class']
    assert classes['rib']['all']['mean'] == pytest.approx(2 / 3, abs=1e-6)
    assert (classes['heart']['all']['mean'], classes['heart']['all']['count']) == (1.0, 2)
    assert classes['heart']['there']['count'] == 1
    assert values['dice_mean'] == pytest.approx((2 / 3 + 1) / 2, abs=1e-6)


@pytest.mark.parametrize(('kept_rows', 'ap50', 'ap75'), [(32, 1, 1), (20, 1, 0), (12, 0, 0)])
def test_average_precision_follows_the_overlap(tmp_path, kept_rows, ap50, ap75):
    """A part of the mask has an IoU of its share of rows: 1, 0.625 and 0.375."""
    part = MASK.copy()
    part[10 + kept_rows :] = False
    data = open_folder(write_dataset(tmp_path / 'd'))
    results = run_model(Predictor(part), read_samples(data, NAMES))
    found = average_precision(data, results)
    assert (found['ap50'], found['ap75']) == (ap50, ap75)
    steps = np.linspace(0.5, 0.95, 10)
    assert found['ap'] == pytest.approx(np.mean(kept_rows / 32 >= steps), abs=1e-4)


def test_worst_frames_come_first(tmp_path):
    data = open_folder(write_dataset(tmp_path / 'd', hidden_tip=(0, 2, 3), empty=(2,)))
    results = run_model(Predictor(), read_samples(data, NAMES))
    order = [item.image['id'] for item in worst_frames(results)]
    assert order == [2, 0, 1, 3]  # false alarms, then the greatest error, then none


def test_interval_of_a_share_is_wilsons():
    """Newcombe, Statistics in Medicine 17 (1998) 857: 81 of 263 is 0.2553 to 0.3662."""
    part = share(81, 263)
    assert (part['low'], part['high']) == (pytest.approx(0.2553, abs=1e-4),
                                           pytest.approx(0.3662, abs=1e-4))  # fmt: skip
    assert share(0, 20)['low'] == 0
    assert share(0, 0)['share'] is None


@pytest.mark.parametrize(('frame', 'pitch'), [((64, 64), 0.5), ((48, 80), 0.5), ((40, 40), 0.8)])
def test_a_fitted_frame_keeps_its_points_and_masks(frame, pitch):
    """A blob drawn in the frame is where the map says in the input, and comes back."""
    fit = Fit.between(frame, pitch, (64, 64), 0.5)
    rows, columns = np.mgrid[: frame[0], : frame[1]]
    blob = np.exp(-0.5 * ((columns - 22) ** 2 + (rows - 17) ** 2) / 3.0**2)
    moved = fit.image((10000 * blob).astype(np.uint16)).astype(float)
    v, u = np.mgrid[:64, :64]
    centre = np.array([(u * moved).sum(), (v * moved).sum()]) / moved.sum()
    back = fit.points_back(np.array([[*centre, 0.7]]))
    np.testing.assert_allclose(back, [[22, 17, 0.7]], atol=0.05)
    labels = fit.labels_back((moved > 2000).astype(np.uint8))
    assert labels.shape == frame
    np.testing.assert_allclose(
        [(columns * labels).sum() / labels.sum(), (rows * labels).sum() / labels.sum()],
        [22, 17],
        atol=0.3,
    )


def test_a_frame_that_fits_is_left_as_it_is():
    counts = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    fit = Fit.between((64, 64), 0.5001, (64, 64), 0.5)
    assert not fit.changes
    assert fit.image(counts) is counts


def test_report_has_page_numbers_and_gallery(tmp_path):
    data = write_dataset(tmp_path / 'd', empty=(3,))
    seen = []
    values = report_model(
        Predictor(), 'a <b>.onnx', data, tmp_path / 'out', begin=seen.append,
        progress=lambda: seen.append('frame'),
    )  # fmt: skip
    assert seen == [4, *['frame'] * 4]
    stored = json.loads((tmp_path / 'out' / 'evaluation.json').read_text(encoding='utf-8'))
    assert stored == values
    page = (tmp_path / 'out' / 'evaluation.html').read_text(encoding='utf-8')
    assert 'a &lt;b&gt;.onnx' in page
    assert page.count('<svg') == 2
    assert 'data:image/jpeg;base64,' in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page), 'one page, no other file'
    assert (tmp_path / 'out' / 'worst.png').stat().st_size > 1000
    assert model_table(values).row_count == 5
    assert values['landmark_snr'] == {}
    assert 'By visibility' not in page


def test_a_limit_takes_the_first_frames(tmp_path):
    data = write_dataset(tmp_path / 'd')
    assert report_model(Predictor(), 'm', data, tmp_path / 'o', 2)['frames'] == 2


def test_damaged_data_sets_are_named(tmp_path):
    with pytest.raises(DatasetError, match='synthex generate'):
        open_folder(tmp_path)
    data = write_dataset(tmp_path / 'd')
    with pytest.raises(DatasetError, match='lacks the landmarks'):
        list(read_samples(open_folder(data), ('base', 'elbow')))
    (data / 'images' / '000002.png').write_bytes(b'rubbish')
    with pytest.raises(DatasetError, match='000002.png of .* is missing or damaged'):
        list(read_samples(open_folder(data), NAMES))
    (data / 'annotations.json').write_text('{"id": 0')
    with pytest.raises(DatasetError, match='is no COCO file'):
        open_folder(data)


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
