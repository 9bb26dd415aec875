"""What a tracker's training starts from: another run, or a model file, also of another device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from synthex_ros import resources
from synthex_ros.learning.run_state import load_checkpoint
from synthex_ros.learning.warm_start import start_weights_of, tracker_networks
from synthex_ros.tracking.metadata import ModelMetadata, ModelMismatch
from synthex_ros.tracking.model import open_session

_MODEL = '.onnx'
_COUNTER = 'num_batches_tracked'
_MOST_OWN = 8
"""Tensors of a network that may keep their first weights: those that depend on how many landmarks
and classes there are."""


def start_tracker(network: nn.Module, path: str, images: Callable[[], Tensor]) -> list[str]:
    """Give a tracker network the weights of a start and return the names of those that it lacks.

    A start of other landmarks or classes fits but for the last layers, which stay as they are.

    Args:
        network: with its first weights.
        path: best.pt of a run, a model file, or the name of a shipped one.
        images: gives normalised images as they will be trained on, shape (N, 1, H, W).

    Raises:
        FileNotFoundError: no such file.
        ModelMismatch: the file holds another kind of network.
    """
    if Path(path).suffix == _MODEL:
        file = resources.find('models', path)
        known = ModelMetadata.from_session(open_session(file, 1), file)
        kinds = tracker_networks(len(known.landmarks), len(known.classes))
        weights = start_weights_of(file, kinds, images)
    else:
        weights = load_checkpoint(path)['average']
    own = network.state_dict()
    names = [name for name in own if not name.endswith(_COUNTER)]
    lacking = [
        name for name in names if name not in weights or weights[name].shape != own[name].shape
    ]
    if len(lacking) > _MOST_OWN:
        raise ModelMismatch(
            f'{path} does not fit the network of the recipe: {len(lacking)} of {len(names)} '
            'tensors are others; set `network` to what it was trained as, or start from another'
        )
    network.load_state_dict(
        {name: own[name] if name in lacking else weights.get(name, own[name]) for name in own}
    )
    return lacking
