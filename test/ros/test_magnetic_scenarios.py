"""Scenarios of magnetic devices: names decide, values reach the nodes that have them."""

import numpy as np
import pytest
import yaml

from control_node.magnetic import build_magnetic_controller, end_of_line, lumen_path
from control_node.params import ControlParams
from control_node.settings import build_controller, device_names, steered_landmarks
from sim_node.params import SimParams
from sim_node.settings import room_settings
from synthex_ros import resources
from synthex_ros.control.magnetic.untethered import usual_settings
from synthex_ros.ros import parameters
from synthex_ros.ros.bringup import SCENARIOS, load_scenario
from synthex_ros.ros.demo import DEMOS
from synthex_ros.ros.task_run import FLOW_TASK, prepare

MAGNETIC = sorted({name for device, name in SCENARIOS.items() if device != 'continuum'})


def values(scenario, section):
    given = dict(scenario.node(section).parameters)
    return {k: v for k, v in given.items() if k not in ('autostart', 'use_sim_time')}


@pytest.mark.parametrize('name', MAGNETIC)
def test_scenario_builds_a_room_and_a_controller(name):
    scenario = load_scenario(name)
    room = room_settings(parameters.build(SimParams, values(scenario, 'sim')))
    assert room.magnetic.device == scenario.settings['device']
    controller = build_magnetic_controller(
        parameters.build(ControlParams, values(scenario, 'control'))
    )
    assert controller.goals.mode == 'idle'


@pytest.mark.parametrize('device', sorted(SCENARIOS))
def test_name_of_a_device_chooses_its_scenario(device):
    controller = 'continuum' if device == 'continuum' else 'magnetic'
    scenario = load_scenario('', [f'device:={device}', f'controller:={controller}'])
    nodes = {node.section: node.parameters for node in scenario.nodes()}
    assert {nodes[section]['device'] for section in ('sim', 'control', 'tracker')} == {device}
    assert nodes['control']['controller'] == controller


def test_default_scenario_is_that_of_the_manipulator():
    content = yaml.safe_load(resources.find('config', 'chest_cm.yaml').read_text(encoding='utf-8'))
    assert 'device' not in content
    assert load_scenario().settings['device'] == 'continuum'


def test_settings_of_a_device_may_be_written_as_a_mapping():
    override = 'device_settings:={length_m: 0.5, precurve_rad: 0.2}'
    node = load_scenario('', ['device:=guidewire', override]).node('sim')
    assert yaml.safe_load(node.parameters['device_settings']) == {
        'length_m': 0.5, 'precurve_rad': 0.2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ('given_n', 'press_n'), [(-1.0, usual_settings('droplet').press_n), (0.0, 0.0), (2e-6, 2e-6)]
)
def test_a_negative_press_is_that_of_the_law_and_zero_is_none(given_n, press_n):
    params = ControlParams(controller='magnetic', device='droplet', press_n=given_n)
    assert build_magnetic_controller(params).law.settings.press_n == press_n


def test_controller_and_device_of_different_families_are_refused():
    with pytest.raises(ValueError, match='needs a magnetic device'):
        build_magnetic_controller(ControlParams(controller='magnetic'))
    with pytest.raises(ValueError, match='set controller: magnetic'):
        build_controller(ControlParams(device='guidewire'))


def test_tip_is_the_last_landmark_of_the_device():
    for device, tip in (('continuum', 1), ('guidewire', 1), ('soft_robot', 1), ('droplet', 0)):
        params = ControlParams(device=device, tip_landmark=-1)
        assert device_names(params)[1] == tip


def test_goal_of_a_device_without_tether_is_about_its_middle():
    landmarks = {
        device: steered_landmarks(ControlParams(device=device))
        for device in ('continuum', 'guidewire', 'soft_robot', 'droplet', 'sphere')
    }
    assert [landmarks[name] for name in ('continuum', 'guidewire')] == [(1,), (1,)]
    assert [landmarks[name] for name in ('droplet', 'sphere')] == [(0,), (0,)]
    assert landmarks['soft_robot'] == (0, 1)
    assert steered_landmarks(ControlParams(device='soft_robot', tip_landmark=0)) == (0,)


@pytest.mark.parametrize('name', ['droplet', 'robot'])
def test_demo_of_a_device_without_tether_stays_in_view_and_in_reach(name, tmp_path):
    run = prepare(DEMOS[name].task, tmp_path, DEMOS[name].scenario)
    points = np.array([g.position_world_m for g in (*run.task.targets, *run.task.path)])
    room = room_settings(parameters.build(SimParams, values(run.scenario, 'sim')))
    view = room.carm.view()
    assert all(view.geometry.contains(view.project(point)) for point in points)
    assert np.linalg.norm(points, axis=1).max() < 0.03
    assert run.scenario.settings['time_mode'] == 'lockstep'


def test_flow_task_needs_a_device_without_tether_in_a_tube(tmp_path):
    for scenario, override in (
        ('guidewire_in_aorta.yaml', 'seed:=1'), ('droplet_coils.yaml', 'vessels:=procedural'),
    ):  # fmt: skip
        with pytest.raises(ValueError, match='needs a device without tether in vessels: tube'):
            prepare(FLOW_TASK, tmp_path, scenario, [override])


@pytest.mark.parametrize('override', ['output:=elsewhere', 'bag_dir:=elsewhere'])
def test_a_task_does_not_record_where_it_would_not_look(override, tmp_path):
    with pytest.raises(ValueError, match='--out'):
        prepare(DEMOS['robot'].task, tmp_path, DEMOS['robot'].scenario, [override])


def test_path_without_times_stops_at_waypoints_until_confirmed():
    path = lumen_path([[0, 0, 0], [0, 0, 0.16]], ControlParams(path_mode='confirm'))
    stops = []
    for z in range(161):
        path.locate([0, 0, z * 1e-3])
        if path.waiting:
            stops.append(z)
            assert path.confirm()
    assert stops == [49, 99]
    assert path.arrived
    with pytest.raises(ValueError, match='at least 2 mm apart'):
        lumen_path([[0, 0, 0]], ControlParams())


def test_point_behind_the_tip_is_measured_along_the_wire():
    line = np.array([[0, 0, 0], [0, 0, 0.03], [0, 0.02, 0.03]])
    back, tip = end_of_line(line, 0.025)
    np.testing.assert_allclose(back, [0, 0, 0.025])
    np.testing.assert_allclose(tip, line[-1])
    assert end_of_line(line, 0.06) is None
