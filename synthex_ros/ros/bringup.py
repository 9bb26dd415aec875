"""Which nodes run with which parameters: the one description behind `synthex up` and launch.

A scenario is a YAML file of back ends (`imager`, `tracker`, `controller`, `record`), settings of
the whole graph (`time_mode`, `seed`, `namespace`...) and a section of parameters for each node,
under the node's name (`sim_node`), or `common` for every node that has the parameter. Each default
stands in `config/sim.yaml`, `tracker.yaml`, `control.yaml`, `recorder.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from synthex_ros import resources
from synthex_ros.ros.parameters import closest

PACKAGE = 'synthex_ros'
DEFAULT_SCENARIO = 'chest_cm.yaml'


@dataclass(frozen=True)
class Program:
    """What starts a node: installed executable, Python module, node name."""

    executable: str
    module: str


PROGRAMS = {
    'sim': Program('sim_node', 'sim_node'),
    'tracker': Program('tracker_node', 'tracker_node'),
    'control': Program('control_node', 'control_node'),
    'recorder': Program('recorder_node', 'synthex_ros.ros.recorder'),
}

_SECTION_OF = {program.executable: section for section, program in PROGRAMS.items()}

IMAGERS = {'sim': 'sim', 'none': None}
TRACKERS = {'onnx': 'tracker', 'ground_truth': 'tracker', 'none': None}
CONTROLLERS = {'continuum': 'control', 'magnetic': 'control', 'none': None}
SCENARIOS = {
    'continuum': DEFAULT_SCENARIO,
    'guidewire': 'guidewire_in_aorta.yaml',
    'soft_robot': 'soft_robot_in_vessel.yaml',
    'droplet': 'droplet_coils.yaml',
    'sphere': 'droplet_coils.yaml',
}
"""The scenario of a device where none is named."""
TIME_MODES = ('real_time', 'paced', 'lockstep')
LOG_LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')


@dataclass(frozen=True)
class Argument:
    """One setting of the whole graph, as users of launch and of `synthex up` write it."""

    name: str
    default: Any
    doc: str
    choices: tuple[str, ...] = ()


ARGUMENTS = (
    Argument('imager', 'sim', 'who publishes carm/image_raw; none = a driver', tuple(IMAGERS)),
    Argument('tracker', 'onnx', 'who publishes tracker/landmarks', tuple(TRACKERS)),
    Argument('controller', 'continuum', 'who publishes device/servo_jp', tuple(CONTROLLERS)),
    Argument('device', 'continuum', 'what is steered', tuple(SCENARIOS)),
    Argument('time_mode', 'real_time', 'wall clock, simulated pace, or waiting', TIME_MODES),
    Argument('record', False, 'write a bag', ('true', 'false')),
    Argument('bag_dir', 'out/bag', 'folder of the bag'),
    Argument('seed', 0, 'seed of everything random'),
    Argument('namespace', '', 'namespace of all nodes; topics are relative to it'),
    Argument('log_level', 'info', 'least severity that is printed', LOG_LEVELS),
    Argument('domain_id', None, 'ROS domain 0..101; unset: ROS_DOMAIN_ID, else 0'),
    Argument('respawn', [], 'nodes to start again when they die: list of sections'),
    Argument('remap', {}, 'topic names to replace, relative: {from: to}'),
)
_ARGUMENT = {argument.name: argument for argument in ARGUMENTS}


@dataclass(frozen=True)
class NodeDescription:
    """One node to run.

    Attributes:
        section: its section in a scenario: sim, tracker, control, recorder.
        executable: installed program, for `ros2 run` and launch.
        module: Python module that does the same, for `python -m`.
        name: node name.
        namespace: node namespace, '' for the root.
        parameters: all values by name.
        remappings: topic names to replace.
        log_level: least severity that is printed.
        respawn: whether to start it again when it dies.
    """

    section: str
    executable: str
    module: str
    name: str
    namespace: str
    parameters: dict[str, Any]
    remappings: tuple[tuple[str, str], ...] = ()
    log_level: str = 'info'
    respawn: bool = False

    @property
    def full_name(self) -> str:
        """Absolute node name, such as '/cell_1/sim_node'."""
        namespace = self.namespace.strip('/')
        return f'/{namespace}/{self.name}' if namespace else f'/{self.name}'


@dataclass(frozen=True)
class Scenario:
    """Settings of the graph and the parameters each section was given, defaults not included."""

    settings: dict[str, Any]
    sections: dict[str, dict[str, Any]]
    common: dict[str, Any] = field(default_factory=dict)

    def nodes(self) -> list[NodeDescription]:
        """Return the nodes to run, in start order: readers before the imager."""
        order = ('recorder', 'control', 'tracker', 'sim')
        return [self.node(section) for section in order if section in self._wanted()]

    def _wanted(self) -> set[str]:
        settings = self.settings
        wanted = {
            IMAGERS[settings['imager']],
            TRACKERS[settings['tracker']],
            CONTROLLERS[settings['controller']],
            'recorder' if settings['record'] else None,
        }
        return {section for section in wanted if section}

    def node(self, section: str) -> NodeDescription:
        """Return one node with its values resolved, whether or not the scenario runs it.

        Raises:
            ValueError: a value of the wrong type.
        """
        settings, program = self.settings, PROGRAMS[section]
        known = node_defaults(section)
        values = dict(known)
        shared = {**self._graph_parameters(section), **self.common}
        values.update({key: value for key, value in shared.items() if key in known})
        values.update(self.sections.get(section, {}))
        values = {key: _like(key, value, known[key]) for key, value in values.items()}
        values['use_sim_time'] = section != 'sim' and settings['time_mode'] != 'real_time'
        return NodeDescription(
            section=section,
            executable=program.executable,
            module=program.module,
            name=program.executable,
            namespace=settings['namespace'],
            parameters=values,
            remappings=tuple(settings['remap'].items()),
            log_level=settings['log_level'],
            respawn=section in settings['respawn'],
        )

    def _graph_parameters(self, section: str) -> dict[str, Any]:
        settings = self.settings
        readers = settings['tracker'] == 'onnx', bool(settings['record'])
        own: dict[str, dict[str, Any]] = {
            'sim': {'wait_for_subscribers': sum(readers)},  # nobody misses the first frame
            'tracker': {'backend': settings['tracker']},
            'control': self._controller_name(),
            'recorder': {
                'output': settings['bag_dir'],
                'if_exists': 'next' if 'recorder' in settings['respawn'] else 'fail',
            },
        }
        shared = {name: settings[name] for name in ('time_mode', 'seed', 'device')}
        return shared | own.get(section, {})

    def _controller_name(self) -> dict[str, Any]:
        name = self.settings['controller']
        return {} if name == 'none' else {'controller': name}


def node_defaults(section: str) -> dict[str, Any]:
    """Return every parameter of a node with its default, from `config/<section>.yaml`."""
    content = yaml.safe_load(
        resources.find('config', f'{section}.yaml').read_text(encoding='utf-8')
    )
    values: dict[str, Any] = {}
    for node in content.values():
        values.update(node['ros__parameters'])
    values.pop('use_sim_time', None)
    return values


def scenario_for(name: str, overrides: Iterable[str]) -> str:
    """Return the scenario to load: `name`, or that of the device in the overrides if it is ''."""
    if name:
        return name
    devices = [text.partition(':=')[2] for text in overrides if text.startswith('device:=')]
    return SCENARIOS.get(devices[-1], DEFAULT_SCENARIO) if devices else DEFAULT_SCENARIO


def load_scenario(name: str = DEFAULT_SCENARIO, overrides: Iterable[str] = ()) -> Scenario:
    """Read a scenario file and apply overrides.

    Args:
        name: path, or file name in the package's config folder; '' is that of the device.
        overrides: `key:=value` texts; the key is a setting (`seed`), a parameter of one node
            (`sim_node.latency_s`, or short `sim.latency_s`) or a parameter of every node that
            has it (`frame_rate_hz`).

    Raises:
        FileNotFoundError: no such scenario.
        ValueError: an unknown key (the closest one is named) or a value that is not allowed.
    """
    overrides = list(overrides)
    path = resources.find('config', scenario_for(str(name), overrides))
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8')) or {}
    except yaml.YAMLError as error:
        raise ValueError(f'{path.name} is not YAML: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path.name} must be a mapping, got {type(content).__name__}')
    for override in overrides:
        _apply(content, override)
    return build_scenario(content, Path(path).name)


def build_scenario(content: Mapping[str, Any], where: str = 'scenario') -> Scenario:
    """Return the scenario of a mapping, checked.

    Raises:
        ValueError: an unknown key or a value that is not allowed.
    """
    known = [*_ARGUMENT, *_SECTION_OF, 'common']
    for key in content:
        if key not in known:
            raise ValueError(f'{where}: unknown key {key!r}{closest(key, known)}')
    settings = {name: argument.default for name, argument in _ARGUMENT.items()}
    settings |= {name: content[name] for name in _ARGUMENT if name in content}
    _check_settings(settings, where)
    sections = {section: _mapping(content, name, where) for name, section in _SECTION_OF.items()}
    common = _mapping(content, 'common', where)
    every: dict[str, Any] = {}
    for section, values in sections.items():
        if values or common:
            defaults = node_defaults(section)
            every |= defaults
            _check_names(values, defaults, f'{where}: {PROGRAMS[section].executable}')
    _check_names(common, every, f'{where}: common')
    return Scenario(settings, sections, common)


def _mapping(content: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = content.get(key) or {}
    if not isinstance(value, Mapping):
        raise ValueError(f'{where}: {key} must be a mapping of parameters, got {value!r}')
    return dict(value)


def _check_names(values: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    for key in values:
        if key not in known:
            raise ValueError(f'{where} has no parameter {key!r}{closest(key, known)}')


def _check_settings(settings: dict[str, Any], where: str) -> None:
    for argument in ARGUMENTS:
        value = settings[argument.name]
        text = str(value).lower() if isinstance(value, bool) else value
        if argument.choices and text not in argument.choices:
            allowed = ', '.join(argument.choices)
            raise ValueError(f'{where}: {argument.name} must be one of {allowed}, got {value!r}')
    if settings['domain_id'] is not None and settings['domain_id'] not in range(102):
        raise ValueError(f'{where}: domain_id must be 0..101, got {settings["domain_id"]!r}')
    if settings['respawn'] is True:
        settings['respawn'] = ['tracker', 'control', 'recorder']
    settings['respawn'] = settings['respawn'] or []
    for section in settings['respawn']:
        if section not in PROGRAMS:
            raise ValueError(f'{where}: respawn names {section!r}{closest(section, PROGRAMS)}')
    if settings['imager'] == 'none' and settings['time_mode'] != 'real_time':
        raise ValueError(
            f'{where}: {settings["time_mode"]} needs imager: sim, a driver cannot wait'
        )
    if settings['imager'] == 'none' and settings['tracker'] == 'ground_truth':
        raise ValueError(
            f'{where}: tracker: ground_truth needs imager: sim, a driver has no truth'
        )


def _apply(content: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition(':=')
    if not sign or not key:
        raise ValueError(f'an override is written key:=value, got {override!r}')
    value = yaml.safe_load(text) if text else ''
    first, dot, name = key.partition('.')
    if dot:
        node = PROGRAMS[first].executable if first in PROGRAMS else first
        content[node] = {**_mapping(content, node, 'override'), name: value}
    elif key in _ARGUMENT:
        content[key] = value
    else:
        content['common'] = {**_mapping(content, 'common', 'override'), key: value}


def _like(key: str, value: Any, default: Any) -> Any:
    """Return `value` in the type of the default, as ROS tells 1 from 1.0."""
    if isinstance(default, list):
        if not isinstance(value, (list, tuple)):
            raise ValueError(f'{key} must be a list like {default}, got {value!r}')
        return [_like(key, item, default[0]) for item in value] if default else list(value)
    if isinstance(default, float):
        return _number(key, value)
    if isinstance(default, str) and isinstance(value, Mapping):
        return yaml.safe_dump(dict(value), default_flow_style=True).strip()
    if isinstance(default, str) and isinstance(value, (int, float)):
        return str(value)
    if type(value) is not type(default):
        kind = type(default).__name__
        raise ValueError(f'{key} must be a {kind} like {default!r}, got {value!r}')
    return value


def _number(key: str, value: Any) -> float:
    try:
        return float(value)  # YAML reads 1e-3 as text
    except (TypeError, ValueError):
        raise ValueError(f'{key} must be a number, got {value!r}') from None
