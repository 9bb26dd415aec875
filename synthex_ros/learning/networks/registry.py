"""Networks by the name that a training recipe gives."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from synthex_ros.learning.networks.compact import WIDE, TrackerNetwork
from synthex_ros.learning.networks.instances import InstanceNetwork
from synthex_ros.learning.networks.quarter import QuarterNetwork
from synthex_ros.learning.networks.transunet import PAPER, SMALL, TransUNet

HEATMAP_STRIDE = 4
"""Input pixels a heat map cell, per side, of every network."""

NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    'compact': TrackerNetwork,
    'compact_wide': lambda landmarks, classes: TrackerNetwork(landmarks, classes, WIDE),
    'quarter': QuarterNetwork,
    'transunet': lambda landmarks, classes: TransUNet(landmarks, classes, PAPER),
    'transunet_small': lambda landmarks, classes: TransUNet(landmarks, classes, SMALL),
    'instances': InstanceNetwork,
}
"""Each takes the numbers of landmarks and classes, and maps an image (N, 1, H, W) to foreground
logits (N, C - 1, H, W), heat maps (N, L, H / 4, W / 4) and what else it knows."""

LANDMARK_NETWORKS = tuple(name for name in NETWORKS if name != 'instances')
"""Those that masks and landmarks of one device a frame are enough to train."""


def build_network(name: str, landmarks: int, classes: int) -> nn.Module:
    """Return a new network.

    Args:
        name: key of `NETWORKS`.
        landmarks: number of landmarks L.
        classes: number of classes C, background included.

    Raises:
        ValueError: no network of that name.
    """
    if name not in NETWORKS:
        raise ValueError(f'network must be one of {sorted(NETWORKS)}, got {name!r}')
    return NETWORKS[name](landmarks, classes)


def parameter_count(network: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(p.numel() for p in network.parameters())
