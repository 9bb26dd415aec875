"""Which landmarks can be seen: what an ideal observer reaches, and what hides them."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.mesh import continuum_bodies, shorter_tubes
from synthex_ros.geometry import make_pose, rotation, transform_points
from synthex_ros.learning.coco import LABELLED, VISIBLE
from synthex_ros.learning.device_labels import device_annotation
from synthex_ros.learning.frame_maker import FrameMaker
from synthex_ros.learning.imaging import ImagingSampling
from synthex_ros.learning.sampling import SceneSampling
from synthex_ros.learning.scene_signal import SceneSignal
from synthex_ros.learning.shown_device import ShownDevice
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.renderer import Renderer

KINEMATICS = ContinuumKinematics()
ANGLES = np.full(27, 0.02)
SAMPLING = SceneSampling(
    anatomies={'phantom': 1.0},
    materials='standard',
    image_px=192,
    imaging=ImagingSampling(collimated_share=0.0, lag_share=0.0),
)
SHARP = Detector(blur_m=0.0, electronic_noise_counts=0.0)


@pytest.fixture(scope='module')
def setup():
    """A view without light spread and read-out noise, whose panel is far from full."""
    made = FrameMaker(SAMPLING, 5)._new_view(0)
    renderer = Renderer(made.patient.scene, detector=SHARP, projector=made.patient.projector)
    return replace(made, renderer=renderer)


def device_in(setup):
    """Return a device across the middle of the view, base left, tip right."""
    source_from_base = make_pose(rotation('y', np.pi / 2), [-0.015, 0, 0.7])
    pose = setup.seen.view.world_from_source @ source_from_base
    tube, rest = continuum_bodies(KINEMATICS, ANGLES, 0.0, 0.4, pose)
    ends = transform_points(pose, KINEMATICS.landmarks(ANGLES, 0.0, 0.4))
    moved = [[replace(tube, mesh=mesh), rest] for mesh in shorter_tubes(KINEMATICS, ANGLES)]
    return ShownDevice([tube, rest], ends, ends, {}, moved)


def annotation(setup, objects=()):
    device = device_in(setup)
    seen, technique = setup.seen, setup.technique
    shown = [*device.bodies, *objects]
    image = setup.renderer.expected_kev(
        seen.view, shown, seen.world_from_patient, technique=technique
    )
    return device_annotation(0, setup, device, list(objects), image.mask, SAMPLING)


def with_charge(setup, factor):
    charge = setup.technique.charge_mas * factor
    return replace(setup, technique=replace(setup.technique, charge_mas=charge))


def visibility(item):
    return item['keypoints'][2::3]


def test_four_times_the_dose_shows_landmarks_twice_as_well(setup):
    once, more = (annotation(with_charge(setup, factor)) for factor in (1, 4))
    for name in ('keypoint_snr', 'snr'):
        np.testing.assert_allclose(more[name], 2 * np.array(once[name]), rtol=1e-3)
    np.testing.assert_allclose(more['keypoint_contrast'], once['keypoint_contrast'], rtol=1e-4)


def test_noise_hides_landmarks_whose_contrast_is_unchanged(setup):
    clear = annotation(setup)
    faint = annotation(with_charge(setup, (3.0 / min(clear['keypoint_snr'])) ** 2))
    assert visibility(clear) == [VISIBLE, VISIBLE]
    assert min(faint['keypoint_snr']) == pytest.approx(3.0, rel=0.01)
    worst = int(np.argmin(faint['keypoint_snr']))
    assert visibility(faint)[worst] == LABELLED
    assert faint['keypoints'][:2] == clear['keypoints'][:2]
    assert min(faint['keypoint_contrast']) > 0.1


def test_platinum_before_the_base_hides_it_and_not_the_tip(setup):
    device = device_in(setup)
    plate = trimesh.creation.box((0.012, 0.012, 0.004))
    mesh = TriangleMesh(np.array(plate.vertices), np.array(plate.faces, np.int32))
    base = device.landmarks_world_m[0]
    pose = make_pose(setup.seen.view.world_from_source[:3, :3], base)
    towards = setup.seen.view.world_from_source[:3, 3] - base
    pose[:3, 3] += 0.03 * towards / np.linalg.norm(towards)
    free, hidden = annotation(setup), annotation(setup, [Body(mesh, 'platinum_iridium', pose)])
    assert hidden['keypoint_snr'][0] < 0.2 * free['keypoint_snr'][0]
    assert hidden['keypoint_snr'][1] == pytest.approx(free['keypoint_snr'][1], rel=1e-3)
    assert visibility(hidden) == [LABELLED, VISIBLE]


def test_what_a_blade_covers_tells_nothing(setup):
    rows, columns = setup.seen.view.geometry.shape_px
    u = annotation(setup)['keypoints'][0]
    covered = replace(setup, field_px=(0.0, rows, u + 20.0, columns))
    item = annotation(covered)
    assert item['keypoint_snr'][0] < 0.05 * annotation(setup)['keypoint_snr'][0]
    assert visibility(item)[0] == LABELLED


def test_ratio_is_what_a_matched_filter_reaches_in_noisy_frames(setup):
    """The observer of the labels, measured: its answers in frames of both tubes."""
    dim = with_charge(setup, (6.0 / annotation(setup)['keypoint_snr'][1]) ** 2)
    device, signal = device_in(dim), SceneSignal(dim)
    tip = annotation(dim)['keypoint_snr'][1]
    (actual, quantum), (other, _) = (
        signal.expected(bodies) for bodies in (device.bodies, device.moved[1])
    )
    weight = (other - actual) / quantum
    seen, rng = dim.seen, np.random.default_rng(9)

    def answers(bodies):
        counts = (
            dim.renderer.render(
                seen.view, bodies, rng, seen.world_from_patient, technique=dim.technique
            ).counts
            for _ in range(500)
        )
        return np.array([np.sum(weight * frame) for frame in counts])

    right, wrong = answers(device.bodies), answers(device.moved[1])
    measured = (wrong.mean() - right.mean()) / right.std()
    assert tip == pytest.approx(6.0, rel=0.02)
    assert measured == pytest.approx(tip, rel=0.1)


@pytest.mark.parametrize('ratio', [-1.0, float('nan')])
def test_ratios_below_which_nothing_is_hidden_are_refused(ratio):
    with pytest.raises(ValueError, match='least_landmark_snr must be 0 or more'):
        SceneSampling(least_landmark_snr=ratio)
