"""Reports of small bags whose content is known: keys, values, what is missing, what is shown."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from synthex_ros.evaluation.bag_format import BagTopic
from synthex_ros.evaluation.bag_reader import BagReader
from synthex_ros.evaluation.bag_writer import BagWriter
from synthex_ros.evaluation.display import Display
from synthex_ros.evaluation.errors import BagError
from synthex_ros.evaluation.frames import load_frames, overlay_of
from synthex_ros.evaluation.report import write_report
from synthex_ros.evaluation.run_report import report_run

from .bags import point_stamped, serialize
from .runs import write_run

KEYS = {
    'tip_error_median_mm', 'tip_error_p95_mm', 'targets', 'targets_reached', 'path_rms_mm',
    'path_end_error_mm',
    'detection_rate', 'landmark_error_mean_mm', 'dice_mean', 'frames', 'frames_lost',
    'latency_p50_ms', 'latency_p99_ms', 'air_kerma_mgy', 'seed',
}  # fmt: skip


def report_json(folder):
    return json.loads((folder / 'report.json').read_text(encoding='utf-8'))


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run with a target 1 mm off, landmarks 2 px off, 2 frames lost, and its report."""
    folder = tmp_path_factory.mktemp('whole')
    write_run(folder / 'run', lost=(7, 8))
    write_report(folder / 'run', folder / 'out')
    return folder / 'out'


def test_numbers_are_those_of_the_bag(whole):
    values = report_json(whole)
    assert values.keys() >= KEYS
    assert all(values[key] is None or isinstance(values[key], (int, float)) for key in KEYS)
    assert values['tip_error_median_mm'] == pytest.approx(1.0)
    assert (values['targets'], values['targets_reached']) == (1, 1)
    assert values['landmark_error_mean_mm'] == pytest.approx(2 * 0.582, rel=1e-3)
    assert values['landmark_error_object_mean_mm'] == pytest.approx(
        2 * 0.582 * 0.7 / 1.02, rel=0.01
    )
    assert values['detection_rate'] == 1.0
    assert values['dice_mean'] == 1.0
    assert (values['frames'], values['frames_lost']) == (28, 2)
    assert values['latency_p50_ms'] == pytest.approx(40.0)
    assert values['air_kerma_mgy'] == pytest.approx(28 * 2e-3)
    assert values['seed'] == 5
    assert values['path_rms_mm'] is None
    assert values['hashes'] == {'config': 'ab', 'ct': None, 'model': None}
    assert values['versions']['numpy'] == '2'
    assert values['time_mode'] == 'lockstep'
    assert set(values['limits']) >= {'tip_error_median_mm', 'targets_reached'}


@pytest.mark.parametrize(('gate', 'rate'), [(None, 0.0), (0.3, 1.0), (0.5, 0.0)])
def test_what_counts_as_found_is_told_by_the_tracker(tmp_path, gate, rate):
    """A detector's score is a chance, not a correlation: 0.9 says nothing about it."""
    write_run(tmp_path / 'run', count=8, score=0.4, score_gate=gate)
    write_report(tmp_path / 'run', tmp_path / 'out')
    assert report_json(tmp_path / 'out')['detection_rate'] == rate
    page = (tmp_path / 'out' / 'report.html').read_text(encoding='utf-8')
    name = 'NCC > 0.9' if gate is None else f'score > {gate:g}'
    assert f'<td>{name}</td>' in page


def test_a_broken_limit_fails_the_run(whole):
    values = report_json(whole)
    assert values['landmark_error_mean_mm'] > values['limits']['landmark_error_mean_mm']
    assert values['passed'] is False
    assert 'Failed' in (whole / 'report.html').read_text(encoding='utf-8')


def test_page_is_self_contained(whole):
    page = (whole / 'report.html').read_text(encoding='utf-8')
    links = re.findall(r'(?:src|href)="([^"#]{1,60})', page)
    assert links
    assert all(link.startswith('data:') for link in links)
    assert '@import' not in page
    for words in ('not a medical device', 'lockstep', 'Landmark statistics', 'Sample frames'):
        assert words in page
    assert page.count('<svg') == page.count('</svg>') >= 5


def test_previews_move(whole):
    for name in ('preview.webp', 'preview.gif'):
        with Image.open(whole / name) as image:
            assert image.n_frames > 5


@pytest.mark.parametrize(
    ('path_m', 'text'),
    [((), 'tip to target 1.0 mm'), (((0, 0, 0), (0, 0, 0.012)), 'tip to end of path 12.0 mm')],
)
def test_frames_say_how_far_the_tip_is_from_its_goal(tmp_path, path_m, text):
    with BagReader(write_run(tmp_path / 'run', count=8, path_m=path_m)) as bag:
        report = report_run(bag)
        frames = load_frames(bag, report, 4)
    assert overlay_of(report, frames, int(frames.stamps_ns[-1])).lines[2] == text


def test_run_without_truth_tracker_or_dose_still_reports(tmp_path):
    write_run(tmp_path / 'run', leave_out=('sim/', 'tracker/', 'carm/exposure', 'carm/pose'))
    write_report(tmp_path / 'run', tmp_path / 'out')
    values = report_json(tmp_path / 'out')
    assert values['frames'] == 30
    for key in ('tip_error_median_mm', 'detection_rate', 'air_kerma_mgy', 'frames_lost'):
        assert values[key] is None
    assert values['passed'] is False
    assert len(values['notes']) >= 3


def test_run_without_images_still_reports(tmp_path):
    write_run(tmp_path / 'run', leave_out=('carm/image_raw',))
    write_report(tmp_path / 'run', tmp_path / 'out')
    assert report_json(tmp_path / 'out')['tip_error_median_mm'] == pytest.approx(1.0)
    assert not (tmp_path / 'out' / 'preview.webp').exists()


def test_lost_tracker_counts_against_detection(tmp_path):
    write_run(tmp_path / 'run', nan_landmarks_from=15)
    write_report(tmp_path / 'run', tmp_path / 'out')
    values = report_json(tmp_path / 'out')
    assert values['detection_rate'] == pytest.approx(0.5)
    assert values['landmark_error_mean_mm'] == pytest.approx(2 * 0.582, rel=1e-3)


def test_goal_in_another_frame_is_not_scored(tmp_path):
    write_run(tmp_path / 'run', goal_frame='patient_lps')
    write_report(tmp_path / 'run', tmp_path / 'out')
    values = report_json(tmp_path / 'out')
    assert values['tip_error_median_mm'] is None
    assert any('another frame' in note for note in values['notes'])


def test_empty_bag_and_foreign_bag_say_what_is_missing(tmp_path):
    BagWriter(tmp_path / 'empty').close()
    with BagWriter(tmp_path / 'foreign') as bag:
        bag.add_topic(BagTopic('/x', 'geometry_msgs/msg/PointStamped'))
        bag.write('/x', serialize(point_stamped(0, (0.0, 0.0, 0.0))), 0)
    for name in ('empty', 'foreign'):
        with pytest.raises(BagError, match='nothing to evaluate'):
            write_report(tmp_path / name, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_torn_bag_is_reported_with_a_note(tmp_path):
    bag = write_run(tmp_path / 'run')
    file = bag / 'run_0.mcap'
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * 2 // 3])
    (bag / 'metadata.yaml').unlink()
    write_report(bag, tmp_path / 'out')
    values = report_json(tmp_path / 'out')
    assert 0 < values['frames'] < 30
    assert values['seed'] == 5
    assert any('repaired' in note for note in values['notes'])


def test_same_bag_same_page(tmp_path):
    write_run(tmp_path / 'run')
    for name in ('a', 'b'):
        write_report(tmp_path / 'run', tmp_path / name)
    assert (tmp_path / 'a/report.html').read_text(encoding='utf-8') == (
        tmp_path / 'b/report.html'
    ).read_text(encoding='utf-8')


def test_display_flips_image_and_points_together():
    counts = np.full((64, 64), 100, np.uint16)
    counts[20, 10] = 60000
    display = Display((4.0, 11.0), (64, 64), 64)
    picture = display.picture(counts)[..., 0]
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    assert (column, row) == tuple(display.points(np.array([10.0, 20.0])))
    assert column == 53


def test_display_window_does_not_depend_on_the_frame():
    display = Display((4.0, 11.0), (64, 64), 64)
    dim, bright = (np.full((64, 64), n, np.uint16) for n in (1000, 8000))
    assert display.picture(dim).mean() < display.picture(bright).mean()
