"""The magnetic tasks: what the imager does to frames, scores, and the limits that are watched."""

import json

import numpy as np
import pytest

from synthex_ros.cli import main
from synthex_ros.control.magnetic.planner import PlannedPath, PlannerSettings, plan_along
from synthex_ros.control.reference import TargetGoal
from synthex_ros.evaluation.magnetic_loop import Imager, ImagerModel
from synthex_ros.evaluation.magnetic_scenes import PULSE, RisingFlow, swimmer_scene
from synthex_ros.evaluation.magnetic_scores import SeedResult, TaskResult, Wanted
from synthex_ros.evaluation.magnetic_tasks import MAGNETIC_TASKS, LimitWatch, run_magnetic_task
from synthex_ros.evaluation.wire_scenes import (
    BRANCH_WIRE,
    VESSEL_WIRE,
    entry_pose,
    tree_path,
    wire_for,
)


def frames_of(seed, count=3000):
    """Return ages and errors of the frames of a tip at rest, and how many were lost."""
    imager, tip = Imager(ImagerModel(), seed), np.array([0.01, 0.0, -0.02])
    ages, errors = [], []
    for k in range(count):
        imager.expose(k, tip[None], np.zeros(0))
        for frame, _ in imager.arrived(k + 1):
            errors.append(frame.tip_world_m - tip)
        late = [entry for entry in np.arange(0.09, 0.22, 0.01) if k + entry >= imager._last_s]
        ages.append(late[0] if late else np.nan)
    return np.array(ages), np.array(errors), count - len(errors)


def test_frames_are_late_lost_and_wrong_as_the_model_says():
    ages, errors, lost = frames_of(1)
    assert lost == pytest.approx(150, abs=40)
    assert np.nanmin(ages) >= 0.09
    assert np.nanmax(ages) <= 0.21
    assert errors[:, [0, 2]].std(axis=0) == pytest.approx([0.3e-3] * 2, rel=0.06)
    assert errors[:, 1].std() == pytest.approx(1e-3, rel=0.06)


def test_the_same_seed_gives_the_same_errors():
    np.testing.assert_array_equal(frames_of(4, 50)[1], frames_of(4, 50)[1])
    assert not np.allclose(frames_of(4, 50)[1][:5], frames_of(5, 50)[1][:5])


def test_scores_name_the_statistic_the_limit_and_the_failed_seeds():
    seeds = [
        SeedResult(
            k,
            'robot',
            {'rms_mm': 0.1 * k},
            ('rms_mm too large',) * (k > 7),
            (2.0,) * 99 + (7.0,) * (k == 3),
        )
        for k in range(11)
    ]
    wanted = (Wanted('rms_mm', 0.95), Wanted('rms_mm', 0.4, 'median', at_least=True))
    result = TaskResult('MG-0', 'test', tuple(seeds), wanted)
    first, second, answer = result.rows()
    assert first['measured'] == pytest.approx(0.95)
    assert first['passed']
    assert second['measured'] == pytest.approx(0.5)
    assert second['passed']
    assert answer['measured'] == pytest.approx(2.0)
    assert answer['passed']
    assert [s['seed'] for s in result.to_dict()['failed_seeds']] == [8, 9, 10]
    json.dumps(result.to_dict())


def test_a_least_value_is_that_of_the_worst_seed():
    seeds = tuple(SeedResult(k, 'arm', {'room_mm': k - 1.0}, (), (1.0,)) for k in range(5))
    result = TaskResult('MG-0', 'test', seeds, (Wanted('room_mm', 0.0, 'min', at_least=True),))
    assert result.rows()[0]['measured'] == -1.0
    assert not result.passed


@pytest.mark.parametrize(('slow', 'passed'), [(9, True), (11, False)])
def test_of_a_hundred_answers_one_may_take_long(slow, passed):
    seeds = tuple(
        SeedResult(k, 'arm', {}, (), (1.0,) * (100 - late) + (8.0,) * late)
        for k, late in enumerate((slow, *(0,) * 9))
    )
    (row,) = TaskResult('MG-0', 'test', seeds).rows()
    assert row['passed'] is passed
    assert row['peer'] == '(slowest run: 8.0)'


def test_nothing_measured_does_not_pass():
    result = TaskResult('MG-0', 'test', (), (Wanted('rms_mm', 1.0),))
    assert not result.passed


def test_every_target_of_a_tree_has_a_path_with_room_for_the_wire():
    for number in (5, 12, 19):
        vessels, path = tree_path(number)
        assert isinstance(path, PlannedPath)
        assert path.room_m.min() >= 0.8e-3 - 1e-9
        pose = entry_pose(path, 0.0)
        assert pose[:3, 2] == pytest.approx(path.tangent(0.004))
        assert vessels.lumen.signed_distance_m(pose[:3, 3][None])[0][0] > 1e-3


@pytest.mark.parametrize(('turn_deg', 'wire'), [(40, VESSEL_WIRE), (110, BRANCH_WIRE)])
def test_a_branch_that_turns_back_gets_a_wire_of_its_own(turn_deg, wire):
    turn = np.radians(turn_deg)
    trunk = np.linspace([0, 0, 0], [0, 0, 0.1], 101)
    branch = trunk[-1] + np.linspace(0, 0.04, 41)[1:, None] * [np.sin(turn), 0, np.cos(turn)]
    radius = np.r_[np.full(101, 0.01), np.full(40, 0.003)]
    settings = PlannerSettings(smoothing_m=2e-3)
    path = plan_along(np.vstack([trunk, branch]), radius, ['a'] * 141, settings)
    assert wire_for(path) is wire
    assert wire.insertion_range_m[1] > path.length_m


def test_a_rising_flow_starts_at_rest_and_keeps_its_mean():
    scene = swimmer_scene('droplet', 0, 0.1)
    flow = scene.loop.plant.environment.flow
    assert isinstance(flow, RisingFlow)
    middle = scene.lumen.axis_m(np.array([0.02]))
    assert not np.any(flow.velocity_m_s(middle, 1.0))
    beat_s = np.linspace(5, 5 + 1 / PULSE.rate_hz, 400, endpoint=False)
    speed = [np.linalg.norm(flow.velocity_m_s(middle, t)) for t in beat_s]
    assert np.mean(speed) == pytest.approx(2 * 0.1, rel=0.02)  # on the axis, twice the mean


def test_a_lost_coil_is_named_and_no_limit_is_broken():
    scene = swimmer_scene('droplet', 2)
    watch = LimitWatch(scene, 'coil_3', at_s=0.6)
    scene.loop.on_tick = watch
    goal = scene.loop.tip_m()
    scene.loop.controller.goals.add(TargetGoal(goal))
    scene.loop.run(1.5)
    assert watch.breaches == 0
    assert watch.detected_s < 0.5


def test_a_broken_limit_is_counted():
    scene = swimmer_scene('droplet', 2)
    watch = LimitWatch(scene, 'coil_3', at_s=9.0)
    scene.coils._currents = np.full(8, 25.0)  # what no driver allows
    watch(scene.loop)
    assert watch.breaches == 1


def test_wrong_tasks_and_seeds_are_refused():
    with pytest.raises(ValueError, match='task must be one of MG-1'):
        run_magnetic_task('MG-9', 1)
    with pytest.raises(ValueError, match='at least 1'):
        run_magnetic_task('MG-1', 0)


def test_the_command_refuses_settings_that_it_does_not_take(capsys):
    assert main(['evaluate', 'task', 'MG-1', 'seed:=3']) != 0
    assert 'takes --seeds and --out alone' in capsys.readouterr().err


def test_tasks_have_what_they_are_wanted_to_reach():
    assert list(MAGNETIC_TASKS) == ['MG-1', 'MG-2', 'MG-3', 'MG-4', 'MG-5']
    assert {w.key: w.limit for w in MAGNETIC_TASKS['MG-2'].wanted} == {
        'success': 0.95, 'path_ratio': 0.8, 'wall_p95_n': 0.3, 'wall_max_n': 0.7,
    }  # fmt: skip
