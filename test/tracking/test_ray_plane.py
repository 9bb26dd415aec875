"""The ray meets the bending plane where the tip is; its covariance grows towards edge-on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthex_ros.tracking.covariance import mahalanobis_squared, project_with_jacobian
from synthex_ros.tracking.ray_plane import plane_angle_rad, tip_on_plane

from .scenes import base_pose, curve_world, view_from

BENT = np.full(5, np.radians(40) / 27)


@given(orbital=st.floats(-90, 90), roll=st.floats(-3, 3), bend=st.floats(-0.05, 0.05))
def test_ray_through_a_planar_curve_meets_its_tip(orbital, roll, bend):
    view, pose = view_from(orbital), base_pose(roll)
    tip = curve_world(np.full(5, bend), pose)[-1]
    pixel = view.project(tip)
    if plane_angle_rad(view.rays_world(pixel), pose) < np.radians(15.5):
        return
    found, covariance = tip_on_plane(view, pixel, pose)
    np.testing.assert_allclose(found, tip, atol=1e-9)
    assert np.linalg.eigvalsh(covariance).min() > 0


def test_edge_on_view_is_refused():
    view, pose = view_from(), base_pose(np.radians(80))
    pixel = view.project(curve_world(BENT, pose)[-1])
    with pytest.raises(ValueError, match='15.0 deg are needed'):
        tip_on_plane(view, pixel, pose)


@pytest.mark.parametrize('roll_deg', [0, 45, 70])
def test_covariance_matches_simulated_errors(roll_deg):
    rng, view, pose = np.random.default_rng(3), view_from(), base_pose(np.radians(roll_deg))
    tip = curve_world(BENT, pose)[-1]
    distances = []
    for _ in range(400):
        pixel = view.project(tip) + rng.standard_normal(2)
        tilted = pose.copy()
        tilted[:3, :3] = pose[:3, :3] @ base_tilt(0.01 * rng.standard_normal(3))
        tilted[:3, 3] += 2e-4 * rng.standard_normal(3)
        found, covariance = tip_on_plane(view, pixel, tilted)
        distances.append(mahalanobis_squared(found - tip, covariance))
    assert 2.3 < np.mean(distances) < 3.7


def base_tilt(rotvec):
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(rotvec).as_matrix()


def test_projection_jacobian_is_the_slope_of_the_projection():
    view = view_from(25, 10)
    points = np.random.default_rng(0).uniform(-0.05, 0.05, (6, 3))
    pixels, jacobian = project_with_jacobian(view, points)
    np.testing.assert_allclose(pixels, view.project(points), atol=1e-9)
    for axis, unit in enumerate(np.eye(3)):
        slope = (view.project(points + 1e-6 * unit) - view.project(points - 1e-6 * unit)) / 2e-6
        np.testing.assert_allclose(jacobian[:, :, axis], slope, rtol=1e-5, atol=1e-3)
