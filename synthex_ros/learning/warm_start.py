"""Weights to start a training from: those of a checkpoint, or of a shipped model file.

A model file holds what is needed to run it: batch normalisations are folded into the convolutions
before them. To train on they are unfolded again, with the mean and deviation that the features
have in some training images, so that the network gives what the file gives and goes on to learn
from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from synthex_ros.learning.networks.registry import LANDMARK_NETWORKS, build_network
from synthex_ros.learning.run_state import load_checkpoint
from synthex_ros.learning.tracker_part import without_closer_look
from synthex_ros.tracking.metadata import ModelMismatch
from synthex_ros.tracking.model import open_session

_PREFIX = 'network.'

Weights = dict[str, Tensor]


def start_weights_of(
    path: str | Path,
    networks: Iterable[nn.Module],
    images: Callable[[], Tensor],
    more: bool = False,
) -> Weights:
    """Return the state of the network in a file, to start a training from.

    Args:
        path: checkpoint of a training run, whose averaged weights are taken, or a model file that
            `synthex export` wrote.
        networks: what a model file may hold; the first that fits is taken.
        images: gives normalised images as they will be trained on, shape (N, channels, H, W); a
            network that reads fewer channels gets the first ones.
        more: a model file may hold more than the network, after it.

    Raises:
        FileNotFoundError: no such file.
        ModelMismatch: the model file is none, or holds none of the networks.
    """
    if Path(path).suffix != '.onnx':
        return load_checkpoint(path)['average']
    open_session(path, 1)  # says what is wrong with the file
    graph = without_closer_look(onnx.load(str(path))).graph
    some, kinds = images(), []
    for network in networks:
        kinds.append(type(network).__name__)
        own = some[:, : _channels(network)]
        if _fill(network, graph, own[:1], more):
            return _unfolded(network, own).state_dict()
    raise ModelMismatch(
        f'{path} holds no network of the kinds {sorted(set(kinds))}, of the same size and with '
        'the same landmarks and classes; start from another model, or from best.pt of a run'
    )


def tracker_networks(landmarks: int, classes: int) -> Iterator[nn.Module]:
    """Yield one of every network that a tracker model may hold."""
    return (build_network(name, landmarks, classes) for name in LANDMARK_NETWORKS)


def _channels(network: nn.Module) -> int:
    """Return how many channels a network reads."""
    return next(m.in_channels for m in network.modules() if isinstance(m, nn.Conv2d))


def _fill(network: nn.Module, graph: Any, image: Tensor, more: bool) -> bool:
    """Give a network the weights of a graph; return whether all of them fit.

    Convolutions are told by their order, everything else by its name.
    """
    stored = _stored(graph)
    nodes = [[*node.input] for node in graph.node if node.op_type == 'Conv']
    layers = _layers_in_order(network.eval(), image)
    own, filled = network.state_dict(), {}
    nodes = nodes[: len(layers)] if more else nodes
    if len(nodes) != len(layers) or any(set(node[1:]) - set(stored) for node in nodes):
        return False
    for (_, weight, *bias), (conv, norm) in zip(nodes, layers, strict=True):
        filled[f'{conv}.weight'] = stored[weight]
        if not bias:
            continue
        if f'{conv}.bias' in own:
            filled[f'{conv}.bias'] = stored[bias[0]]
        elif norm:
            filled |= _identity(norm, own, stored[bias[0]])
        else:
            return False
    for name, value in stored.items():
        if name.removeprefix(_PREFIX) in own:
            filled[name.removeprefix(_PREFIX)] = value
    counters = {name for name in own if name.endswith('num_batches_tracked')}
    fits = set(own) - counters <= set(filled)
    if not fits or any(filled[name].shape != own[name].shape for name in set(own) - counters):
        return False
    network.load_state_dict({name: filled.get(name, own[name]) for name in own})
    return True


def _stored(graph: Any) -> Weights:
    """Return the tensors of a graph by name, equal ones, which it keeps once, by every name."""
    stored = {item.name: torch.tensor(numpy_helper.to_array(item)) for item in graph.initializer}
    for node in graph.node:
        if node.op_type == 'Identity' and node.input[0] in stored:
            stored[node.output[0]] = stored[node.input[0]]
    return stored


def _identity(norm: str, own: Weights, bias: Tensor) -> Weights:
    """Return the state of a normalisation that only adds a bias."""
    ones = torch.ones_like(own[f'{norm}.running_var'])
    return {
        f'{norm}.weight': ones,
        f'{norm}.bias': bias,
        f'{norm}.running_mean': torch.zeros_like(ones),
        f'{norm}.running_var': ones,
    }


def _layers_in_order(network: nn.Module, image: Tensor) -> list[tuple[str, str]]:
    """Return the names of all convolutions as they run, each with a normalisation of its result.

    The second name is empty where none follows at once.
    """
    order: list[tuple[str, str]] = []

    def note(name: str, layer: nn.Module) -> Callable[..., None]:
        def run(*_: Any) -> None:
            if isinstance(layer, nn.Conv2d):
                order.append((name, ''))
            elif order and not order[-1][1]:
                order[-1] = order[-1][0], name

        return run

    kinds = nn.Conv2d | nn.BatchNorm2d
    hooks = [
        layer.register_forward_hook(note(name, layer))
        for name, layer in network.named_modules()
        if isinstance(layer, kinds)
    ]
    with torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    return order


def _unfolded(network: nn.Module, images: Tensor) -> nn.Module:
    """Let every normalisation know its features' mean and variance; the results stay the same."""
    seen: dict[nn.BatchNorm2d, Tensor] = {}

    def look(layer: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        seen[layer] = inputs[0]

    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    with torch.no_grad():
        network.eval()(images)
        for hook in hooks:
            hook.remove()
        for layer, features in seen.items():
            _know(layer, features.mean(dim=(0, 2, 3)), features.var(dim=(0, 2, 3)))
    return network


def _know(layer: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Set mean and variance of a normalisation; weight and bias make up for the change."""
    old_mean, old_variance = layer.get_buffer('running_mean'), layer.get_buffer('running_var')
    gain = layer.weight / torch.sqrt(old_variance + layer.eps)
    layer.bias.add_(gain * (mean - old_mean))
    layer.weight.copy_(gain * torch.sqrt(variance + layer.eps))
    old_mean.copy_(mean)
    old_variance.copy_(variance)
