"""The description of `bringup` as launch arguments and actions; imported by launch files only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from launch.actions import DeclareLaunchArgument
from launch_ros.actions import Node

from synthex_ros.ros.bringup import (
    ARGUMENTS,
    DEFAULT_SCENARIO,
    PACKAGE,
    Argument,
    NodeDescription,
    load_scenario,
)

_LAUNCHED = tuple(item for item in ARGUMENTS if item.name not in ('domain_id', 'respawn', 'remap'))
"""Settings that are launch arguments; launch has its own words for the others."""

_AS_IN_SCENARIO = ''


def declare_arguments() -> list[DeclareLaunchArgument]:
    """Return the arguments of every launch file of this package."""
    scenario = DeclareLaunchArgument(
        'scenario',
        default_value=_AS_IN_SCENARIO,
        description=f'scenario YAML: path or name; empty: that of the device, {DEFAULT_SCENARIO}',
    )
    return [scenario, *map(_declare, _LAUNCHED)]


def _declare(argument: Argument) -> DeclareLaunchArgument:
    doc = f'{argument.doc}; empty: as in the scenario, there {argument.default!r} unless given'
    choices = {'choices': ['', *argument.choices]} if argument.choices else {}
    return DeclareLaunchArgument(
        argument.name, default_value=_AS_IN_SCENARIO, description=doc, **choices
    )


def node_actions(context: Any, sections: Sequence[str] = ()) -> list[Node]:
    """Return the nodes of the scenario that the launch arguments name.

    Args:
        context: launch context with the values of the arguments.
        sections: only these nodes, whether or not the scenario wants them; default: its own.
    """
    values = context.launch_configurations
    overrides = [
        f'{argument.name}:={values[argument.name]}'
        for argument in _LAUNCHED
        if values.get(argument.name, _AS_IN_SCENARIO) != _AS_IN_SCENARIO
    ]
    scenario = load_scenario(values['scenario'], overrides)
    nodes = [scenario.node(section) for section in sections] if sections else scenario.nodes()
    return [_action(node) for node in nodes]


def _action(node: NodeDescription) -> Node:
    return Node(
        package=PACKAGE,
        executable=node.executable,
        name=node.name,
        namespace=node.namespace,
        parameters=[node.parameters],
        remappings=list(node.remappings),
        arguments=['--ros-args', '--log-level', node.log_level],
        respawn=node.respawn,
        output='screen',
    )
