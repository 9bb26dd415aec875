"""Run a task on a fresh graph and score the bag: behind `synthex demo` and `evaluate task`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthex_ros import resources
from synthex_ros.anatomy import load_volume
from synthex_ros.anatomy.samples import load_sample
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.parameters import ContinuumParameters
from synthex_ros.devices.registry import device_kind, device_parameters
from synthex_ros.errors import SynthexError
from synthex_ros.evaluation.flow_task import flow_task, place_in_tube
from synthex_ros.evaluation.goals import TargetRules
from synthex_ros.evaluation.report import write_report
from synthex_ros.evaluation.run_report import RunReport
from synthex_ros.evaluation.tasks import TASKS, Task
from synthex_ros.evaluation.vessel_task import vessel_task
from synthex_ros.geometry import pose_from_parameters
from synthex_ros.ros.bringup import Scenario, load_scenario
from synthex_ros.ros.conductor import Conductor, Progress
from synthex_ros.ros.graph import DomainTakenError, Graph, GraphError
from synthex_ros.ros.parameters import mapping
from synthex_ros.simulation.build import VESSEL_PHANTOM

VESSEL_TASK, FLOW_TASK = 'aorta', 'flow'
"""Tasks that follow from the vessels of the scenario."""
OTHER_TASKS = (VESSEL_TASK, FLOW_TASK)

_WHERE = ('bag_dir', 'output', 'recorder.output')
_STILL_TIMEOUT_S = 60.0
_DOMAINS = range(1, 101)
_MOST_DOMAINS = 5
_DRAIN_S = 0.5
"""Time for the recorder to take what is under way when the task ends [s]."""


@dataclass(frozen=True)
class TaskRun:
    """A task in a scenario, ready to run.

    Attributes:
        task: what the tip is asked to do.
        scenario: nodes and parameters.
        bag: folder of the bag to write.
    """

    task: Task
    scenario: Scenario
    bag: Path


def prepare(
    name: str,
    out: Path,
    scenario: str = 'chest_cm.yaml',
    overrides: Sequence[str] = (),
) -> TaskRun:
    """Return the run of a task; an earlier bag of the same task in `out` is replaced.

    Args:
        name: key of `TASKS`, or one of `OTHER_TASKS`.
        out: folder to write into.
        scenario: path or name of the scenario.
        overrides: `key:=value` texts; they win over what the task asks for.

    Raises:
        ValueError: an unknown task, or an override that does not fit.
    """
    if name not in (*TASKS, *OTHER_TASKS):
        known = ', '.join((*TASKS, *OTHER_TASKS))
        raise ValueError(f'task must be one of {known}, got {name!r}')
    for text in overrides:
        if text.split(':=')[0] in _WHERE:
            raise ValueError(f'a task writes its bag below --out, got {text}')
    bag = out / 'bag'
    plain = load_scenario(scenario, overrides)
    sim = plain.node('sim').parameters
    if name == FLOW_TASK:
        task = _flow_task(sim, plain.node('control').parameters)
    else:
        task = _task(name, sim, int(plain.settings['seed']))
    asked = ['time_mode:=lockstep']
    asked += [f'{key}:={json.dumps(value)}' for key, value in task.scenario.items()]
    asked += overrides
    shutil.rmtree(bag, ignore_errors=True)
    provenance = _provenance(load_scenario(scenario, asked), task)
    asked += ['record:=true', f'bag_dir:={bag}', 'sim.start_paused:=true']
    asked += ['sim.wait_for_subscribers:=2']
    asked += [f'sim.end_time_s:={sim["start_time_s"] + task.duration_s!r}']
    asked += [f'recorder.{key}:={json.dumps(value)}' for key, value in provenance.items()]
    return TaskRun(task, load_scenario(scenario, asked), bag)


def _task(name: str, sim: dict[str, Any], seed: int) -> Task:
    if name == VESSEL_TASK:
        place = sim['isocenter_patient_m']
        return vessel_task(sim['anatomy'], place, sim['vessels'], _base(sim)[:3, 3])
    return TASKS[name](_kinematics(sim), _base(sim), seed)


def _flow_task(sim: dict[str, Any], control: dict[str, Any]) -> Task:
    """Return the task of a body without tether in the tube of the scenario.

    Raises:
        ValueError: another device, or no tube.
    """
    device = sim['device']
    if not device_kind(device).in_fluid or sim['vessels'] != 'tube':
        raise ValueError(
            f'task {FLOW_TASK} needs a device without tether in vessels: tube, '
            f'got {device} in vessels: {sim["vessels"]}'
        )
    settings = mapping(sim['device_settings'], 'device_settings')
    room_m = sim['vessel_radius_m'] - device_parameters(device, settings).radius_m
    entry = pose_from_parameters(sim['vessel_pose'][:3], sim['vessel_pose'][3:])
    start, upstream = place_in_tube(entry, _base(sim)[:3, 3], room_m, sim['flow_m_s'])
    return flow_task(device, start, upstream, control['swim_speed_m_s'])


def _kinematics(sim: dict[str, Any]) -> ContinuumKinematics:
    return ContinuumKinematics(
        ContinuumParameters(
            length_m=sim['device_length_m'],
            outer_diameter_m=sim['device_outer_diameter_m'],
            inner_diameter_m=sim['device_inner_diameter_m'],
            tendon_offset_m=sim['device_tendon_offset_m'],
        )
    )


def _base(sim: dict[str, Any]):
    pose = sim['device_base_pose']
    return pose_from_parameters(pose[:3], pose[3:])


def _provenance(scenario: Scenario, task: Task) -> dict[str, str]:
    """Return what the bag says of its origin: hashes of configuration, CT and model."""
    parameters = {node.name: node.parameters for node in scenario.nodes()}
    config = json.dumps(parameters, sort_keys=True, default=str)
    anatomy = scenario.node('sim').parameters['anatomy']
    return {
        'task': task.name,
        'limits': json.dumps(task.limits),
        'config_sha256': hashlib.sha256(config.encode()).hexdigest(),
        'ct_sha256': '' if anatomy == VESSEL_PHANTOM else load_volume(anatomy).sha256(),
        'model_sha256': _model_sha256(scenario),
        'git_revision': _git_revision(),
    }


def _model_sha256(scenario: Scenario) -> str:
    """Return the hash of the tracker's model, '' where the tracker uses none."""
    if scenario.settings['tracker'] != 'onnx':
        return ''
    name = str(scenario.node('tracker').parameters['model'])
    path = resources.find('models', name if name.endswith('.onnx') else f'{name}.onnx')
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _git_revision() -> str:
    folder = Path(__file__).parent
    command = ['git', '-C', str(folder), 'rev-parse', 'HEAD']
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip()


def execute(
    run: TaskRun,
    watch: Callable[[Progress], None],
    say: Callable[[str], None],
    log: Callable[[str, str], None],
) -> None:
    """Run the task on a fresh graph and stop it.

    Args:
        run: what to run.
        watch: told the progress.
        say: told what is being done, one line each.
        log: told each line (section, text) that the nodes print.

    Raises:
        GraphError: a node failed at start or died on the way.
        TimeoutError: time stood still.
    """
    scenario = run.scenario
    simulated = scenario.settings['time_mode'] != 'real_time'
    start_s = scenario.node('sim').parameters['start_time_s'] if simulated else None
    say('starting simulator, tracker, controller and recorder')
    graph = started_graph(scenario, log)
    with contextlib.ExitStack() as stack:
        stack.callback(graph.stop)

        def alive() -> None:
            ended = graph.poll()
            if ended:
                section = next(iter(ended))
                tail = graph.processes[section].last_lines()
                raise GraphError(f'{section} ended with code {ended[section]}:\n{tail}')

        graph.wait_active(300.0)
        say(run.task.title)
        with Conductor(run.task, start_s, graph.domain_id) as conductor:
            conductor.run(watch, alive, _STILL_TIMEOUT_S)
        graph.wait(_DRAIN_S)
        graph.stop_node('recorder')  # before the others send their last holds


def started_graph(scenario: Scenario, log: Callable[[str, str], None]) -> Graph:
    """Return the running nodes of a scenario, on its ROS domain or, without one, on a free one.

    Raises:
        GraphError: a node failed at start, or the domain is taken; so are all that were tried.
    """
    domain = scenario.settings['domain_id']
    tried = random.sample(_DOMAINS, _MOST_DOMAINS) if domain is None else [domain]
    for number in tried:
        graph = Graph(scenario.nodes(), number, sink=log)
        try:
            graph.start()
        except DomainTakenError:
            if number == tried[-1]:
                raise
        else:
            break
    return graph


def score(run: TaskRun, out: Path) -> RunReport:
    """Write report.html, report.json and the preview of a run into `out`.

    Raises:
        SynthexError: the bag cannot be evaluated.
    """
    if not run.bag.is_dir():
        raise SynthexError(f'the recorder left no bag in {run.bag}: see its messages above')
    return write_report(run.bag, out, TargetRules())


def need_sample(anatomy: str) -> bool:
    """Tell whether a CT sample has to be fetched before it can be used."""
    if anatomy not in ('chest', 'head'):
        return False
    try:
        load_sample(anatomy)
    except FileNotFoundError:
        return True
    return False
