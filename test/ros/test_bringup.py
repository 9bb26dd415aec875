"""Scenarios: defaults, overrides, mistakes; launch and `synthex up` run the same nodes."""

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from synthex_ros import resources
from synthex_ros.ros import bringup
from synthex_ros.ros.bringup import ARGUMENTS, build_scenario, load_scenario

LAUNCH = Path(__file__).parents[2] / 'launch'
WITHOUT_TRACKER = ('tracker:=none',)


def sections(scenario):
    return {node.section: node for node in scenario.nodes()}


def test_imager_starts_last_so_that_nobody_misses_its_first_frame():
    scenario = load_scenario(overrides=[*WITHOUT_TRACKER, 'record:=true'])
    assert [node.section for node in scenario.nodes()] == ['recorder', 'control', 'sim']
    assert sections(scenario)['sim'].parameters['wait_for_subscribers'] == 1


def test_every_parameter_is_passed_with_the_default_of_its_file():
    sim = sections(load_scenario(overrides=WITHOUT_TRACKER))['sim']
    content = yaml.safe_load(resources.find('config', 'sim.yaml').read_text(encoding='utf-8'))
    expected = content['sim_node']['ros__parameters'] | {'wait_for_subscribers': 0}
    assert {**sim.parameters} == expected | {'use_sim_time': False}


@pytest.mark.parametrize(
    ('mode', 'simulated'), [('real_time', False), ('paced', True), ('lockstep', True)]
)
def test_simulated_time_drives_all_but_its_source(mode, simulated):
    nodes = sections(load_scenario(overrides=[*WITHOUT_TRACKER, f'time_mode:={mode}']))
    assert nodes['control'].parameters['use_sim_time'] is simulated
    assert nodes['sim'].parameters['use_sim_time'] is False
    assert {node.parameters['time_mode'] for node in nodes.values()} == {mode}


def test_overrides_reach_one_node_or_all_that_have_the_parameter():
    overrides = ['sim.latency_s:=0.1', 'control_node.gain_hz:=2', 'world_frame:=room', 'seed:=7']
    nodes = sections(load_scenario(overrides=[*WITHOUT_TRACKER, *overrides]))
    assert nodes['sim'].parameters['latency_s'] == 0.1
    assert nodes['sim'].parameters['seed'] == 7
    assert nodes['control'].parameters['gain_hz'] == 2.0
    assert isinstance(nodes['control'].parameters['gain_hz'], float)
    assert {node.parameters['world_frame'] for node in nodes.values()} == {'room'}


def test_back_end_of_the_tracker_is_its_parameter():
    nodes = sections(load_scenario(overrides=['tracker:=ground_truth']))
    assert nodes['tracker'].parameters['backend'] == 'ground_truth'
    assert nodes['sim'].parameters['wait_for_subscribers'] == 0


def test_namespace_and_remapping_apply_to_every_node():
    content = {'tracker': 'none', 'namespace': 'cell_1', 'remap': {'carm/image_raw': 'fluoro'}}
    for node in build_scenario(content).nodes():
        assert node.full_name.startswith('/cell_1/')
        assert node.remappings == (('carm/image_raw', 'fluoro'),)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ({'sede': 1}, "unknown key 'sede'; did you mean 'seed'"),
        ({'sim': {}}, "unknown key 'sim'; did you mean 'sim_node'"),
        ({'imager': 'simulator'}, "imager must be one of sim, none, got 'simulator'"),
        ({'sim_node': {'latency': 1}}, "sim_node has no parameter 'latency'; did you mean 'lat"),
        ({'sim_node': 5}, 'sim_node must be a mapping of parameters, got 5'),
        ({'domain_id': 200}, 'domain_id must be 0..101, got 200'),
        ({'respawn': ['control_node']}, "respawn names 'control_node'; did you mean 'control'"),
        ({'imager': 'none', 'time_mode': 'lockstep'}, 'lockstep needs imager: sim'),
        ({'imager': 'none', 'tracker': 'ground_truth'}, 'ground_truth needs imager: sim'),
    ],
)
def test_mistakes_in_a_scenario_are_named(content, words):
    with pytest.raises(ValueError, match=words):
        build_scenario(content)


@pytest.mark.parametrize(
    ('override', 'words'),
    [
        ('seed=1', 'written key:=value'),
        ('seed.x:=1', "unknown key 'seed'|seed must be"),
        ('sim.latency_s:=soon', "latency_s must be a number, got 'soon'"),
        ('sim.device_start:=3', 'device_start must be a list'),
        ('sim.beam_on:=1', 'beam_on must be a bool'),
    ],
)
def test_mistakes_in_an_override_are_named(override, words):
    with pytest.raises(ValueError, match=words):
        load_scenario(overrides=[*WITHOUT_TRACKER, override]).nodes()


def test_missing_and_broken_scenarios(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'chest_cm\.yaml'):
        load_scenario('nowhere.yaml')
    broken = tmp_path / 'broken.yaml'
    broken.write_text('imager: [sim')
    with pytest.raises(ValueError, match=r'broken\.yaml is not YAML'):
        load_scenario(str(broken))
    broken.write_text('- sim')
    with pytest.raises(ValueError, match='must be a mapping, got list'):
        load_scenario(str(broken))


class FakeArgument:
    def __init__(self, name, **options):
        self.name, self.options = name, options


@pytest.fixture
def launch_modules(monkeypatch):
    """The four classes our launch files use, recording what they are given."""
    modules = {name: ModuleType(name) for name in ('launch', 'launch.actions', 'launch_ros')}
    modules['launch_ros.actions'] = ModuleType('launch_ros.actions')
    modules['launch'].LaunchDescription = lambda entities: list(entities)
    modules['launch.actions'].DeclareLaunchArgument = FakeArgument
    modules['launch.actions'].OpaqueFunction = lambda **options: SimpleNamespace(**options)
    modules['launch_ros.actions'].Node = lambda **options: SimpleNamespace(**options)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, 'synthex_ros.ros.launching', raising=False)
    yield
    sys.modules.pop('synthex_ros.ros.launching', None)


def launch(name, **given):
    """Return the declared arguments and the nodes of a launch file."""
    spec = importlib.util.spec_from_file_location('launch_file', LAUNCH / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    *arguments, function = module.generate_launch_description()
    values = {argument.name: argument.options['default_value'] for argument in arguments}
    assert not set(given) - set(values)
    context = SimpleNamespace(launch_configurations={**values, **given})
    return arguments, function.function(context, **getattr(function, 'kwargs', {}))


@pytest.mark.usefixtures('launch_modules')
def test_launch_runs_the_same_nodes_as_the_command_line():
    _, actions = launch(
        'closed_loop.launch.py',
        tracker='none',
        time_mode='lockstep',
        record='true',
        seed='5',
        namespace='cell',
        bag_dir='/tmp/bag',
    )
    overrides = ['time_mode:=lockstep', 'record:=true', 'seed:=5', 'namespace:=cell']
    expected = load_scenario(overrides=[*WITHOUT_TRACKER, *overrides, 'bag_dir:=/tmp/bag']).nodes()
    assert [action.executable for action in actions] == [node.executable for node in expected]
    assert [action.parameters for action in actions] == [[node.parameters] for node in expected]
    assert {action.namespace for action in actions} == {'cell'}


@pytest.mark.usefixtures('launch_modules')
def test_launch_arguments_are_explained_and_choices_are_the_back_ends():
    arguments, _ = launch('closed_loop.launch.py', tracker='none')
    options = {argument.name: argument.options for argument in arguments}
    assert all(option['description'] for option in options.values())
    assert set(options['imager']['choices']) == {'', *bringup.IMAGERS}
    assert set(options['tracker']['choices']) == {'', *bringup.TRACKERS}
    assert set(options) <= {'scenario', *(argument.name for argument in ARGUMENTS)}


@pytest.mark.usefixtures('launch_modules')
@pytest.mark.parametrize(
    ('file', 'executable'),
    [
        ('imager.launch.py', 'sim_node'),
        ('tracker.launch.py', 'tracker_node'),
        ('controller.launch.py', 'control_node'),
        ('record.launch.py', 'recorder_node'),
    ],
)
def test_small_launch_files_start_one_node(file, executable):
    _, actions = launch(file, tracker='none', record='false')
    assert [action.executable for action in actions] == [executable]


@pytest.mark.parametrize('path', sorted(LAUNCH.glob('*.launch.py')), ids=lambda path: path.name)
def test_launch_files_hold_no_logic(path):
    tree = ast.parse(path.read_text(encoding='utf-8'))
    forbidden = (ast.If, ast.For, ast.While, ast.Try, ast.Lambda)
    assert not [node for node in ast.walk(tree) if isinstance(node, forbidden)]
    assert ast.get_docstring(tree)
