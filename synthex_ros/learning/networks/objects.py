"""A network for foreign objects: where they are, and for each a small network that draws its mask.

At every cell of 8 px a branch gives the weights of a tiny network that tells the pixels of the
object there from all others, as CondInst does (Tian et al., ECCV 2020). It reads features at a
quarter of the image size, with the way to the cell, and features at full size. So masks may share
pixels, a wire is as sharp as the image, and no box and no vote has to reach the far end of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthex_ros.learning.networks.blocks import Merge, Residual, convolution
from synthex_ros.learning.networks.compact import WIDTHS
from synthex_ros.tracking.object_masks import (
    BACKGROUND,
    CENTRE_STRIDE,
    COARSE,
    COARSE_STRIDE,
    FINE,
    HIDDEN,
    POSITION_SCALE_PX,
    WEIGHTS,
)

INPUTS = 2
"""Channels of the input; see `synthex_ros.tracking.objects`."""

_RARE = -3.0


class ObjectNetwork(nn.Module):
    """Centre logits, weights of the masks' networks, and the features that these read.

    Args:
        widths: channels at 1/2, 1/4, ... of the input size.
    """

    fully_convolutional = True

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        half, quarter, eighth = widths[:3]
        self.stem = convolution(INPUTS, half, 5, 2)
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.down = nn.ModuleList(
            nn.Sequential(convolution(a, b, 3, 2), Residual(b)) for a, b in pairs
        )
        self.deep, self.deeper = Residual(widths[-1]), Residual(widths[-1])
        self.up = nn.ModuleList(Merge(b, a) for a, b in reversed(pairs[1:]))
        last = nn.Conv2d(eighth, 1, 1)
        nn.init.constant_(last.get_parameter('bias'), _RARE)
        self.centres = nn.Sequential(convolution(eighth, eighth), last)
        weights = nn.Conv2d(64, WEIGHTS, 1)
        nn.init.normal_(weights.weight, std=0.02)
        start = torch.zeros(WEIGHTS)
        start[-FINE] = 1.0  # every mask begins as what shows any object
        with torch.no_grad():
            weights.get_parameter('bias').copy_(start)
        self.weights = nn.Sequential(convolution(eighth, 64), weights)
        self.coarse = nn.Sequential(convolution(quarter, quarter), nn.Conv2d(quarter, COARSE, 1))
        self.to_half = nn.Conv2d(quarter, half * 4, 1)
        self.refine = convolution(2 * half, 2 * half)
        self.to_full = nn.Conv2d(2 * half, 4 * FINE, 1)
        self.unpack = nn.PixelShuffle(2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return centre logits, weights, coarse and fine features.

        Args:
            image: shape (N, 2, H, W), float32; H and W multiples of 32.

        Returns:
            logits (N, 1, H / 8, W / 8), weights (N, 105, H / 8, W / 8), features
            (N, 8, H / 4, W / 4) and (N, 8, H, W). The first fine feature learns to be the logit
            of any object, so that the others and the weights have less to learn.
        """
        levels = [self.stem(image)]
        for stage in self.down:
            levels.append(stage(levels[-1]))
        x = self.deeper(self.deep(levels[-1]))
        maps = []
        for merge, level in zip(self.up, reversed(levels[1:-1]), strict=True):
            x = merge(x, level)
            maps.append(x)
        eighth, quarter = maps[-2:]
        fine = self.refine(torch.cat([self.unpack(self.to_half(quarter)), levels[0]], dim=1))
        return (
            self.centres(eighth),
            self.weights(eighth),
            self.coarse(quarter),
            self.unpack(self.to_full(fine)),
        )


def start_weights(network: ObjectNetwork, weights: dict[str, Tensor]) -> int:
    """Give a network the weights of another one where names and shapes agree; return how many.

    Encoder and decoder are those of the compact tracker network. Its stem reads one channel: the
    other one begins with zeros.

    Args:
        network: to be changed.
        weights: state of the other network.
    """
    own = network.state_dict()
    taken = {name: value for name, value in weights.items() if name in own}
    stem = taken.get('stem.0.weight')
    if stem is not None and stem.shape[1] == 1:
        taken['stem.0.weight'] = torch.cat([stem, torch.zeros_like(stem)], dim=1)
    same = {name: value for name, value in taken.items() if value.shape == own[name].shape}
    network.load_state_dict(own | same)
    return len(same)


class ExportedObjects(nn.Module):
    """The network as it is exported: probabilities of centres, the rest as it is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return probabilities of centres, weights, coarse and fine features."""
        centres, *others = self.network(image)
        return torch.sigmoid(centres), *others


def mask_logits(weights: Tensor, cells: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
    """Return the masks that some cells of one image draw, logits, shape (K, H, W).

    `synthex_ros.tracking.object_masks.draw_masks` is the same without gradients.

    Args:
        weights: of the cells' networks, shape (K, 105).
        cells: their (row, column) in the map of centres, shape (K, 2).
        coarse: features of the image, shape (8, H / 4, W / 4).
        fine: features of the image, shape (8, H, W).
    """
    count, (_, rows, columns) = len(weights), coarse.shape
    inner, outer, sharp = weights.split([HIDDEN * (COARSE + 3), HIDDEN + 1, FINE], dim=1)
    inner = inner.reshape(count, HIDDEN, COARSE + 3)
    v, u = torch.meshgrid(
        torch.arange(rows, dtype=coarse.dtype) * COARSE_STRIDE + (COARSE_STRIDE - 1) / 2,
        torch.arange(columns, dtype=coarse.dtype) * COARSE_STRIDE + (COARSE_STRIDE - 1) / 2,
        indexing='ij',
    )
    places = torch.stack([v, u]).reshape(2, -1) / POSITION_SCALE_PX
    read = torch.cat([coarse.reshape(COARSE, -1), places])
    middle = (cells.to(coarse.dtype) * CENTRE_STRIDE + (CENTRE_STRIDE - 1) / 2) / POSITION_SCALE_PX
    shift = inner[..., -1] - (inner[..., COARSE:-1] @ middle[..., None])[..., 0]
    hidden = inner[..., :-1].reshape(count * HIDDEN, -1) @ read + shift.reshape(-1, 1)
    hidden = functional.relu(hidden).reshape(count, HIDDEN, -1)
    member = (outer[:, None, :-1] @ hidden)[:, 0] + outer[:, -1:]
    member = functional.interpolate(
        member.reshape(count, 1, rows, columns), scale_factor=COARSE_STRIDE, mode='bilinear'
    )[:, 0]
    edge = sharp @ fine.reshape(FINE, -1)
    return member + edge.reshape(member.shape) + BACKGROUND
