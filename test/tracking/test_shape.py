"""The shape fit against known shapes: exact without noise, honest about its error with it."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from synthex_ros.devices.continuum.parameters import ContinuumParameters
from synthex_ros.devices.continuum.plant import ContinuumPlant
from synthex_ros.geometry import make_pose, rotation, transform_points
from synthex_ros.tracking.covariance import depth_sigma_m, mahalanobis_squared
from synthex_ros.tracking.shape import ShapeFitter
from synthex_ros.tracking.shape_prior import ShapeSettings, prior_covariance

from .scenes import (
    KINEMATICS,
    Point,
    base_pose,
    curve_world,
    draw_mask,
    observe,
    view_from,
)

SETTINGS = ShapeSettings()
FITTER = ShapeFitter(KINEMATICS, SETTINGS)


def even_bend(degrees):
    return np.full(5, np.radians(degrees) / 27)


def disturbed(rng, predicted, pose):
    """A shape and a base drawn from the prior that the fit assumes."""
    draw = np.linalg.cholesky(prior_covariance(SETTINGS)) @ rng.standard_normal(11)
    true_pose = pose.copy()
    true_pose[:3, :3] = pose[:3, :3] @ Rotation.from_rotvec(draw[5:8]).as_matrix()
    true_pose[:3, 3] += draw[8:]
    return predicted + draw[:5], true_pose


@pytest.mark.parametrize('bend_deg', [-60, 0, 35, 80])
def test_noise_free_view_across_the_bend_gives_the_shape(bend_deg):
    view, pose, predicted = view_from(20), base_pose(0.2), even_bend(bend_deg)
    true = predicted + [0.004, 0.005, 0.004, 0.002, 0.003]
    mask, points, curve = observe(view, true, pose)
    estimate = FITTER.fit(view, mask, points, pose, predicted)
    assert estimate.converged
    assert np.linalg.norm(estimate.tip_world_m - curve[-1]) < 0.25e-3
    worst_m = np.linalg.norm(estimate.centerline_world_m - curve, axis=1).max()
    assert worst_m < 0.3e-3
    assert estimate.base_error_px == pytest.approx(0, abs=1e-9)


def test_prediction_that_is_right_stays():
    view, pose, predicted = view_from(), base_pose(0.0), even_bend(30)
    mask, points, _ = observe(view, predicted, pose)
    estimate = FITTER.fit(view, mask, points, pose, predicted)
    np.testing.assert_allclose(estimate.control_rad, predicted, atol=5e-4)
    assert estimate.reduced_chi2 < 0.2


def test_tip_frame_leaves_along_the_curve():
    view, pose, predicted = view_from(), base_pose(0.4), even_bend(50)
    mask, points, _ = observe(view, predicted, pose)
    frame = FITTER.fit(view, mask, points, pose, predicted).world_from_tip
    np.testing.assert_allclose(frame[:3, :3] @ frame[:3, :3].T, np.eye(3), atol=1e-12)
    truth = KINEMATICS.tip_pose(KINEMATICS.notch_angles(predicted), 0.0, 0.0)
    np.testing.assert_allclose(frame[:3, :3], pose[:3, :3] @ truth[:3, :3], atol=0.02)


VIEWS = {
    'across': (0, 0, 40),
    'oblique': (30, 70, 30),
    'tilted': (0, 75, 10),
    'edge-on straight': (0, 90, 0),
    'edge-on bent': (0, 90, 40),
    'edge-on far bent': (0, 90, 80),
}


@pytest.mark.parametrize(('orbital_deg', 'roll_deg', 'bend_deg'), VIEWS.values(), ids=VIEWS)
def test_covariance_is_honest(orbital_deg, roll_deg, bend_deg):
    """Squared normalised errors of n trials are chi-square distributed with 3 n dof."""
    rng, trials = np.random.default_rng(7), 100
    view, pose, predicted = (
        view_from(orbital_deg),
        base_pose(np.radians(roll_deg)),
        even_bend(bend_deg),
    )
    distances = []
    for _ in range(trials):
        true, true_pose = disturbed(rng, predicted, pose)
        noise = (SETTINGS.tip_sigma_px, SETTINGS.centerline_sigma_px)
        mask, points, curve = observe(view, true, true_pose, rng, *noise)
        estimate = FITTER.fit(view, mask, points, pose, predicted)
        error = estimate.tip_world_m - curve[-1]
        distances.append(mahalanobis_squared(error, estimate.tip_covariance_m2))
    # A skewed distribution of depth, edge-on, is reported somewhat too wide, never too narrow.
    assert 1.7 < np.mean(distances) < 3.5
    assert np.mean(np.array(distances) > chi2.ppf(0.99, 3)) < 0.05


def test_depth_is_as_uncertain_as_the_prior_when_the_plane_is_edge_on():
    predicted = even_bend(0)
    sigma_m = {}
    for roll_deg in (0, 60, 80, 90):
        view, pose = view_from(), base_pose(np.radians(roll_deg))
        mask, points, curve = observe(view, predicted, pose)
        estimate = FITTER.fit(view, mask, points, pose, predicted)
        ray = curve[-1] - view.source_world_m
        sigma_m[roll_deg] = depth_sigma_m(estimate.tip_covariance_m2, ray / np.linalg.norm(ray))
    assert sigma_m[0] < 0.4e-3
    assert sigma_m[0] < sigma_m[60] < sigma_m[80] < sigma_m[90]
    slopes = np.array(
        [
            (KINEMATICS.centerline(1e-5 * unit)[-1] - KINEMATICS.centerline(np.zeros(5))[-1])
            / 1e-5
            for unit in np.eye(5)
        ]
    )[:, 0]
    prior_m = np.sqrt(slopes @ prior_covariance(SETTINGS)[:5, :5] @ slopes)
    assert sigma_m[90] == pytest.approx(prior_m, rel=0.3)


def test_two_bends_that_shorten_alike_are_called_ambiguous():
    view, pose = view_from(), base_pose(np.pi / 2)
    true = even_bend(0) + 2.2 * SETTINGS.common_sigma_rad
    mask, points, curve = observe(view, true, pose)
    estimate = FITTER.fit(view, mask, points, pose, even_bend(0))
    assert estimate.plane_angle_rad < SETTINGS.edge_on_rad
    assert estimate.ambiguous
    error = estimate.tip_world_m - curve[-1]
    assert mahalanobis_squared(error, estimate.tip_covariance_m2) < chi2.ppf(0.99, 3)


def test_bias_is_part_of_the_covariance():
    view, pose, predicted = view_from(), base_pose(1.0), even_bend(20)
    mask, points, _ = observe(view, predicted, pose)
    estimate = FITTER.fit(view, mask, points, pose, predicted)
    noise = estimate.tip_covariance_m2 - estimate.tip_bias_covariance_m2
    assert np.linalg.eigvalsh(noise).min() > 0
    assert np.linalg.eigvalsh(estimate.tip_bias_covariance_m2).min() > 0


def test_base_that_is_elsewhere_lowers_the_confidence():
    view, pose, predicted = view_from(), base_pose(0.0), even_bend(20)
    mask, points, _ = observe(view, predicted, pose)
    moved = Point('base', points[0].u + 20, points[0].v, 1.0)
    estimate = FITTER.fit(view, mask, [moved, points[1]], pose, predicted)
    assert estimate.base_error_px == pytest.approx(20)
    assert estimate.confidence == pytest.approx(SETTINGS.base_gate_px / 20)


def test_tip_that_does_not_belong_to_the_mask_shows_in_chi2():
    view, pose, predicted = view_from(), base_pose(0.0), even_bend(20)
    mask, points, _ = observe(view, predicted, pose)
    moved = Point('tip', points[1].u + 40, points[1].v + 40, 1.0)
    estimate = FITTER.fit(view, mask, [points[0], moved], pose, predicted)
    assert estimate.reduced_chi2 > 5


def test_empty_mask_leaves_tip_and_prior():
    view, pose, predicted = view_from(), base_pose(0.0), even_bend(20)
    mask, points, curve = observe(view, predicted, pose)
    estimate = FITTER.fit(view, np.zeros_like(mask), points, pose, predicted)
    full = FITTER.fit(view, mask, points, pose, predicted)
    assert estimate.stations == 0
    assert np.linalg.norm(estimate.tip_world_m - curve[-1]) < 1e-4
    assert np.trace(estimate.tip_covariance_m2) > np.trace(full.tip_covariance_m2)


def test_fit_does_not_depend_on_where_the_world_is():
    view, pose, predicted = view_from(15), base_pose(0.3), even_bend(25)
    mask, points, _ = observe(view, predicted + 0.003, pose)
    here = FITTER.fit(view, mask, points, pose, predicted)
    moved = make_pose(rotation('z', 1.0), (0.3, -0.2, 0.5))
    there_view = type(view)(view.geometry, moved @ view.world_from_source)
    there = FITTER.fit(there_view, mask, points, moved @ pose, predicted)
    np.testing.assert_allclose(
        there.tip_world_m, transform_points(moved, here.tip_world_m), atol=2e-5
    )
    turned = moved[:3, :3] @ here.tip_covariance_m2 @ moved[:3, :3].T
    np.testing.assert_allclose(there.tip_covariance_m2, turned, rtol=0.02, atol=1e-10)


def test_wrong_inputs_are_refused():
    view, pose, predicted = view_from(), base_pose(0.0), even_bend(20)
    mask, points, _ = observe(view, predicted, pose)
    with pytest.raises(ValueError, match='mask must be'):
        FITTER.fit(view, mask[:100], points, pose, predicted)
    with pytest.raises(ValueError, match='5 finite'):
        FITTER.fit(view, mask, points, pose, [np.nan] * 5)
    behind = pose.copy()
    behind[:3, 3] = view.source_world_m - 0.1 * view.world_from_source[:3, 2]
    with pytest.raises(ValueError, match='in front of the source'):
        FITTER.fit(view, mask, points, behind, predicted)
    with pytest.raises(ValueError, match='positive'):
        ShapeSettings(tip_sigma_px=0.0)


def test_curve_helper_starts_at_the_base():
    pose = base_pose(0.5)
    np.testing.assert_allclose(curve_world(even_bend(40), pose)[0], pose[:3, 3])


def test_shapes_of_the_simulated_mechanism_are_found_within_the_covariance():
    """Uneven notches, play and elastic tendons bend otherwise than the nominal model says."""
    rng, pose, distances, nominal = np.random.default_rng(0), base_pose(0.0), [], []
    plant = ContinuumPlant(ContinuumParameters(), 1)
    for _ in range(8):
        pull = rng.uniform(-0.0035, 0.0035)
        plant.command([0.03, 0.0, pull, -pull])
        state = plant.step(2.5)
        predicted = KINEMATICS.control_of_tendons(*state.joints[2:])
        curve = transform_points(pose, KINEMATICS.centerline_of_angles(state.notch_angles))
        view = view_from(rng.uniform(-30, 30))
        tip = view.project(curve[-1]) + SETTINGS.tip_sigma_px * rng.standard_normal(2)
        points = [Point('tip', *tip, 1.0)]
        estimate = FITTER.fit(view, draw_mask(view, curve), points, pose, predicted)
        assert estimate.converged
        error = estimate.tip_world_m - curve[-1]
        distances.append(mahalanobis_squared(error, estimate.tip_covariance_m2))
        nominal.append(np.linalg.norm(curve_world(predicted, pose)[-1] - curve[-1]))
        assert np.linalg.norm(error) < 0.8e-3
    assert np.mean(nominal) > 0.8e-3
    assert max(distances) < chi2.ppf(0.999, 3)
