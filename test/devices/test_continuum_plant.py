from dataclasses import replace

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthex_ros.devices.continuum.chain import chain_xml, wall_mass_kg
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.mesh import bent_tube
from synthex_ros.devices.continuum.parameters import ContinuumParameters
from synthex_ros.devices.continuum.plant import ContinuumPlant
from synthex_ros.devices.continuum.statics import equilibrium_angles, tendon_tensions

PARAMETERS = ContinuumParameters()
IDEAL = replace(PARAMETERS, backlash_m=0.0, notch_stiffness_variation=0.0)
FAST = replace(IDEAL, tendon_rate_m_s=1.0)
REST = np.zeros(4)


def chain(parameters=PARAMETERS):
    stiffness = np.full(parameters.notch_count, parameters.notch_stiffness_nm_rad)
    model = mujoco.MjModel.from_xml_string(chain_xml(parameters, stiffness))
    return model, mujoco.MjData(model)


def moved(plant, joints, duration_s=3.0):
    plant.command(joints)
    return plant.step(duration_s)


def test_chain_has_the_frames_of_the_kinematics():
    model, data = chain()
    angles = 0.07 * np.sin(np.arange(1, 28))
    data.qpos[:] = angles
    mujoco.mj_kinematics(model, data)
    poses = ContinuumKinematics().segment_poses(angles)
    np.testing.assert_allclose(data.xpos[1:], poses[1:, :3, 3], atol=1e-11)
    np.testing.assert_allclose(data.xmat[1:].reshape(-1, 3, 3), poses[1:, :3, :3], atol=1e-9)


def test_chain_weighs_what_the_mesh_displaces():
    model, _ = chain()
    base_kg = wall_mass_kg(PARAMETERS, PARAMETERS.notch_pitch_m / 2)
    mesh = bent_tube(ContinuumKinematics(), np.zeros(27))
    mass_kg = mesh.volume_m3() * PARAMETERS.density_kg_m3
    assert model.body_mass.sum() + base_kg == pytest.approx(mass_kg, rel=1e-9)


def test_tendons_shorten_by_offset_times_bend():
    model, data = chain()
    lengths = []
    for angle in (0.0, 0.04):
        data.qpos[:] = angle
        mujoco.mj_forward(model, data)
        lengths.append(data.ten_length.copy())
    pull = PARAMETERS.tendon_offset_m * 27 * 0.04
    np.testing.assert_allclose(lengths[1] - lengths[0], [-pull, pull], rtol=0.02)


@pytest.mark.parametrize('pull_m', [-0.005, -0.002, 0.0, 0.001, 0.003, 0.005])
def test_plant_settles_in_the_static_equilibrium(pull_m):
    plant = ContinuumPlant(replace(PARAMETERS, backlash_m=0.0), seed=4)
    state = moved(plant, [0, 0, pull_m, -pull_m])
    expected = equilibrium_angles(PARAMETERS, plant.notch_stiffness_nm_rad, pull_m, -pull_m)
    np.testing.assert_allclose(state.notch_angles, expected, atol=2e-4)
    tensions = tendon_tensions(PARAMETERS, pull_m, -pull_m, expected.sum())
    np.testing.assert_allclose(state.tensions_n, tensions, atol=0.1)


def test_equilibrium_balances_moments_and_minimises_energy():
    stiffness = 0.6 * np.exp(0.1 * np.random.default_rng(0).standard_normal(27))
    angles = equilibrium_angles(PARAMETERS, stiffness, 0.0015, -0.001)
    first, second = tendon_tensions(PARAMETERS, 0.0015, -0.001, angles.sum())
    assert first > second > 0
    moment = PARAMETERS.tendon_offset_m * (first - second)
    np.testing.assert_allclose(stiffness * angles, moment, rtol=1e-9)

    def energy(trial):
        bend = PARAMETERS.tendon_offset_m * trial.sum()
        slack_m = PARAMETERS.pretension_n / PARAMETERS.tendon_stiffness_n_m
        stretch = np.array([0.0015 - bend, -0.001 + bend]) + slack_m
        springs = PARAMETERS.tendon_stiffness_n_m * np.sum(stretch**2)
        return 0.5 * (springs + stiffness @ trial**2)

    for direction in np.random.default_rng(1).standard_normal((20, 27)):
        assert energy(angles + 1e-4 * direction) > energy(angles)


@pytest.mark.parametrize('pull_m', [0.0005, 0.002, 0.004, 0.005])
def test_gain_is_near_the_nominal_kinematics(pull_m):
    state = ContinuumPlant(IDEAL)
    state.reset([0, 0, pull_m, -pull_m])
    nominal = ContinuumKinematics().bend_of_tendons(pull_m, -pull_m)
    assert 0.85 < state.state.notch_angles.sum() / nominal < 1.0


def test_both_tendons_together_do_not_bend_and_never_push():
    plant = ContinuumPlant(IDEAL)
    pulled = moved(plant, [0, 0, 0.005, 0.005])
    np.testing.assert_allclose(pulled.tensions_n, PARAMETERS.tension_max_n)
    np.testing.assert_allclose(pulled.notch_angles, 0, atol=1e-9)
    slack = moved(plant, [0, 0, -0.005, -0.005])
    np.testing.assert_allclose(slack.tensions_n, 0)
    np.testing.assert_allclose(slack.notch_angles, 0, atol=1e-9)


def test_mirrored_pull_gives_the_mirrored_shape():
    left, right = ContinuumPlant(PARAMETERS, seed=2), ContinuumPlant(PARAMETERS, seed=2)
    one = moved(left, [0, 0, 0.003, -0.002], 1.0)
    other = moved(right, [0, 0, -0.002, 0.003], 1.0)
    np.testing.assert_allclose(one.notch_angles, -other.notch_angles, atol=1e-9)
    np.testing.assert_allclose(one.tensions_n, other.tensions_n[::-1], atol=1e-6)


def test_unequal_notches_bend_unequally_and_as_the_seed_says():
    states = [ContinuumPlant(seed=seed) for seed in (0, 0, 1)]
    for plant in states:
        plant.reset([0, 0, 0.003, -0.003])
    first, again, other = (plant.state.notch_angles for plant in states)
    np.testing.assert_array_equal(first, again)
    assert np.max(np.abs(first - other)) > 1e-3
    stiffness = states[0].notch_stiffness_nm_rad
    np.testing.assert_allclose(first * stiffness, np.mean(first * stiffness), rtol=1e-3)


def test_play_leaves_a_bend_behind():
    plant = ContinuumPlant(replace(PARAMETERS, notch_stiffness_variation=0.0))
    moved(plant, [0, 0, 0.003, -0.003])
    state = moved(plant, REST)
    np.testing.assert_allclose(state.joints, 0)
    gain = 0.945
    expected = gain * PARAMETERS.backlash_m / PARAMETERS.tendon_offset_m
    assert state.notch_angles.sum() == pytest.approx(expected, rel=0.02)


def test_without_play_the_tube_returns_straight():
    plant = ContinuumPlant(IDEAL)
    moved(plant, [0, 0, 0.003, -0.003])
    assert abs(moved(plant, REST).notch_angles.sum()) < 1e-5


def test_a_step_settles_within_the_stated_time():
    plant = ContinuumPlant(FAST)
    plant.command([0, 0, 0.003, -0.003])
    tips = np.array([plant.step(0.01).tip_base[:3, 3] for _ in range(100)])
    off_m = np.linalg.norm(tips - tips[-1], axis=1)
    assert np.all(off_m[29:] < 1e-4)
    assert off_m[0] > 1e-4


commands = st.lists(
    st.tuples(*(st.floats(-span, span) for span in (0.1, 5.0, 0.01, 0.01)), st.floats(0.001, 0.1)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(commands)
def test_random_commands_never_exceed_any_limit(sequence):
    plant = ContinuumPlant()
    limits = PARAMETERS.limits
    state = plant.state
    for *joints, duration_s in sequence:
        before = state
        accepted = plant.command(joints)
        assert limits.contains(accepted)
        state = plant.step(duration_s)
        passed_s = state.time_s - before.time_s
        assert limits.contains(state.joints)
        assert np.all(np.abs(state.joints - before.joints) <= limits.rate * passed_s + 1e-12)
        assert np.all(np.abs(state.velocities) <= limits.rate * (1 + 1e-9))
        assert np.all((state.tensions_n >= 0) & (state.tensions_n <= PARAMETERS.tension_max_n))


def test_nothing_moves_at_rest():
    plant = ContinuumPlant()
    plant.reset([0.03, 1.0, 0.002, -0.002])
    before = plant.state
    after = plant.step(20.0)
    np.testing.assert_allclose(after.tip_base, before.tip_base, atol=1e-7)
    np.testing.assert_array_equal(after.joints, before.joints)
    np.testing.assert_allclose(after.velocities, 0)


def test_hold_stops_the_drives_at_once_and_the_tip_within_milliseconds():
    plant = ContinuumPlant()
    moving = moved(plant, [0.05, 3.0, 0.005, -0.005], 0.5)
    assert np.all(moving.velocities != 0)
    plant.hold()
    held = plant.step(0.005)
    np.testing.assert_array_equal(held.joints, moving.joints)
    np.testing.assert_array_equal(held.velocities, 0)
    later = plant.step(1.0)
    assert np.linalg.norm(later.tip_base[:3, 3] - held.tip_base[:3, 3]) < 5e-5
    np.testing.assert_array_equal(later.joints, moving.joints)


def test_same_inputs_give_the_same_motion_however_time_is_cut():
    whole, pieces = ContinuumPlant(seed=5), ContinuumPlant(seed=5)
    target = [0.02, -1.0, 0.004, -0.003]
    whole.command(target)
    pieces.command(target)
    one = whole.step(1.0)
    for _ in range(60):
        many = pieces.step(1 / 60)
    np.testing.assert_array_equal(one.notch_angles, many.notch_angles)
    np.testing.assert_array_equal(one.tip_base, many.tip_base)
    whole.reset()
    whole.command(target)
    np.testing.assert_array_equal(whole.step(1.0).tip_base, one.tip_base)


@pytest.mark.parametrize('bad', [[np.nan, 0, 0, 0], [0, 0, 0, np.inf], [0, 0, 0]])
def test_commands_that_are_not_numbers_change_nothing(bad):
    plant, untouched = ContinuumPlant(), ContinuumPlant()
    for device in (plant, untouched):
        moved(device, [0.01, 0.5, 0.001, -0.001], 0.1)
    with pytest.raises(ValueError, match='joints'):
        plant.command(bad)
    np.testing.assert_array_equal(plant.step(1.0).tip_base, untouched.step(1.0).tip_base)


@pytest.mark.parametrize('duration_s', [-0.1, np.nan, np.inf])
def test_time_does_not_run_backwards(duration_s):
    with pytest.raises(ValueError, match='duration_s'):
        ContinuumPlant().step(duration_s)


def test_reset_outside_travel_is_refused():
    with pytest.raises(ValueError, match='travel'):
        ContinuumPlant().reset([0, 0, 0.02, 0])


def test_mechanics_too_stiff_to_integrate_are_refused():
    with pytest.raises(ValueError, match='notch_damping'):
        ContinuumPlant(replace(PARAMETERS, notch_damping_nm_s_rad=1e-4))


def test_everything_drawn_and_reported_agrees_in_the_world():
    plant = ContinuumPlant()
    state = moved(plant, [0.03, 2.0, 0.004, -0.002])
    world_from_base = np.diag([-1.0, -1.0, 1.0, 1.0])
    world_from_base[:3, 3] = [0.2, 0.1, -0.3]
    tip = (world_from_base @ state.tip_base)[:3, 3]
    base, landmark = plant.landmarks(world_from_base)
    line = plant.centerline(world_from_base)
    np.testing.assert_allclose(landmark, tip, atol=1e-12)
    np.testing.assert_allclose(line[[0, -1]], [base, tip], atol=1e-12)
    np.testing.assert_allclose(plant.tip_pose(world_from_base)[:3, 3], tip, atol=1e-12)
    tube = plant.bodies(world_from_base)[0].vertices_world_m()
    np.testing.assert_allclose(tube[-72:].mean(axis=0), tip, atol=1e-12)
