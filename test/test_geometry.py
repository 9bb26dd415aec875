"""Projection geometry: physical identities, round trips and clear refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthex_ros.geometry import (
    CArm,
    ProjectionGeometry,
    check_pose,
    clinical_angles,
    invert_pose,
    joints_of_clinical,
    make_pose,
    pose_from_parameters,
    rotation,
    transform_points,
    view_name,
)

angles = st.floats(-3.1, 3.1)
metres = st.floats(-0.3, 0.3)
points = st.tuples(metres, metres, st.floats(0.3, 0.9))


def panel(pitch_m=194e-6, piercing=(511.5, 511.5), shape=(1024, 1024)):
    return ProjectionGeometry(1.02, (pitch_m, pitch_m), piercing, shape)


def test_object_at_isocenter_is_magnified_by_distance_ratio():
    ends_px = panel().project([[0, 0, 0.51], [0.010, 0, 0.51]])
    length_m = (ends_px[1, 0] - ends_px[0, 0]) * 194e-6
    assert length_m == pytest.approx(0.010 * 1.02 / 0.51)
    assert panel().magnification(0.51) == pytest.approx(2.0)


@given(points)
def test_back_projected_ray_meets_the_point_it_came_from(point):
    geometry = panel()
    ray = geometry.back_project(geometry.project(point))
    assert np.linalg.norm(np.cross(ray, point)) < 1e-9
    assert ray[2] > 0


@given(st.floats(0.5, 2.0), st.floats(1e-4, 1e-3), st.floats(1e-4, 1e-3), metres, metres)
def test_intrinsics_round_trip(distance, pitch_v, pitch_u, du, dv):
    geometry = ProjectionGeometry(distance, (pitch_v, pitch_u), (99 + du, 50 + dv), (120, 200))
    again = ProjectionGeometry.from_intrinsics(geometry.intrinsics(), distance, (120, 200))
    assert np.allclose(again.pixel_pitch_m, geometry.pixel_pitch_m, rtol=1e-12)
    assert np.allclose(again.piercing_px, geometry.piercing_px)


@given(points, st.sampled_from([(128, 128), (256, 512), (1536, 1536)]))
def test_resizing_keeps_the_metric_position_on_the_detector(point, shape):
    geometry, resized = panel(), panel().resized(shape)
    before = (geometry.project(point) + 0.5) * 194e-6
    after = (resized.project(point) + 0.5) * np.array(resized.pixel_pitch_m)[::-1]
    assert np.allclose(before, after, atol=1e-9)


def test_point_behind_the_source_has_no_image():
    assert np.all(np.isnan(panel().project([0.0, 0.0, -0.1])))


@given(angles, angles, angles, metres, metres, metres)
def test_pose_inverse_and_composition(roll, pitch, yaw, x, y, z):
    pose = pose_from_parameters((x, y, z), (roll, pitch, yaw))
    assert np.allclose(pose @ invert_pose(pose), np.eye(4), atol=1e-12)
    assert np.allclose(transform_points(pose, [0, 0, 0]), [x, y, z])


@given(st.floats(-2.8, 2.8), st.floats(-1.5, 1.5))
def test_clinical_angles_round_trip(orbital, angulation):
    joints = joints_of_clinical(*clinical_angles(orbital, angulation))
    first = CArm().world_from_source(orbital, angulation)[:3, 2]
    assert np.allclose(CArm().world_from_source(*joints)[:3, 2], first, atol=1e-6)


@given(angles, angles, st.floats(0.3, 0.9))
def test_isocenter_stays_on_the_central_ray(orbital, angulation, distance):
    carm = CArm(source_to_isocenter_m=distance)
    view = carm.view(orbital, angulation)
    assert np.allclose(view.project([0, 0, 0]), carm.geometry().piercing_px, atol=1e-6)
    assert view.to_source([0, 0, 0])[2] == pytest.approx(distance)


def test_view_at_rest_is_seen_from_the_tube_with_the_head_up():
    origin, left, head = CArm().view().project([[0, 0, 0], [0.01, 0, 0], [0, 0, 0.01]])
    assert left[0] < origin[0], 'patient left is at smaller columns'
    assert head[1] < origin[1], 'head is at smaller rows'
    assert CArm().view().source_world_m[1] > 0, 'tube is posterior'


def test_views_carry_clinical_names():
    assert view_name(np.radians(30), np.radians(10)).startswith('LAO 30 CRAN')
    assert view_name(np.radians(-20), np.radians(-15)).startswith('RAO')
    assert view_name(0.0, np.radians(-15)).endswith('CAUD 15')
    primary, _ = clinical_angles(np.radians(30), 0)
    assert primary == pytest.approx(np.radians(30))
    towards_detector = CArm().world_from_source(np.radians(30), 0)[:3, 2]
    assert towards_detector[0] > 0, 'LAO moves the detector to the patient left'


def test_point_on_ray_has_the_requested_depth():
    view = CArm().view(0.3, -0.2)
    point = view.point_on_ray((100.0, 400.0), 0.65)
    assert np.allclose(view.project(point), (100.0, 400.0))
    assert view.to_source(point)[2] == pytest.approx(0.65)


@pytest.mark.parametrize(
    ('make', 'words'),
    [
        (lambda: ProjectionGeometry(1020, (2e-4, 2e-4), (0, 0), (4, 4)), 'looks like millimetres'),
        (lambda: ProjectionGeometry(1.02, (0.194, 0.194), (0, 0), (4, 4)), 'pixel_pitch_m'),
        (lambda: ProjectionGeometry(1.02, (2e-4, 2e-4), (np.nan, 0), (4, 4)), 'finite'),
        (lambda: ProjectionGeometry(1.02, (2e-4, 2e-4), (0, 0), (0, 4)), 'positive integers'),
        (lambda: ProjectionGeometry.from_intrinsics(np.zeros(9), 1.0, (4, 4)), 'uncalibrated'),
        (lambda: CArm(source_to_isocenter_m=1.5), 'source_to_isocenter_m'),
        (lambda: CArm(binning=5), 'binning must divide'),
        (lambda: check_pose(np.diag([1e3, 1e3, 1e3, 1])), 'millimetres'),
        (lambda: check_pose(np.full((4, 4), np.nan)), 'finite'),
        (lambda: rotation('w', 0.0), "'x', 'y' or 'z'"),
    ],
)
def test_bad_geometry_is_refused_with_a_reason(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_contains_respects_the_margin():
    geometry = panel(shape=(100, 200))
    assert geometry.contains([[0, 0], [199, 99], [200, 50]]).tolist() == [True, True, False]
    assert not geometry.contains([3.0, 50.0], margin_px=5)


def test_make_pose_defaults_to_identity():
    assert np.array_equal(make_pose(), np.eye(4))
