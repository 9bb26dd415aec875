"""A network for devices of a few pixels: centres, boxes and mask at half the input size and finer.

One map of centres a class, with the offset to the centre and the size of the box at each cell, as
in CenterNet (Zhou et al., arXiv 1904.07850). Fully convolutional: trained on patches, used on
tiles of a frame (`synthex_ros.tracking.detector`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthex_ros.learning.networks.blocks import Merge, Residual, convolution

STRIDE = 2
"""Input pixels a cell of centres and boxes, per side."""

WIDTHS = (16, 24, 40, 56)
"""Channels at 1/2, 1/4, 1/8 and 1/16 of the input size."""

# Before training one cell in a hundred is a centre, so that the first steps are not all about
# background (Lin et al., ICCV 2017).
_RARE = -4.6
_OFFSET_PX = 2.0


class DetectorNetwork(nn.Module):
    """Centre logits, boxes and mask logits of a normalised radiograph.

    Args:
        classes: number of classes C, background included.
        widths: channels at 1/2, 1/4, ... of the input size.
    """

    fully_convolutional = True

    def __init__(self, classes: int = 2, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.classes = classes
        self.stem = nn.Sequential(convolution(1, widths[0], 5, 2), Residual(widths[0]))
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.down = nn.ModuleList(
            nn.Sequential(convolution(a, b, 3, 2), Residual(b)) for a, b in pairs
        )
        self.up = nn.ModuleList(Merge(b, a) for a, b in reversed(pairs))
        last = nn.Conv2d(widths[0], classes - 1, 1)
        nn.init.constant_(last.get_parameter('bias'), _RARE)
        self.centres = nn.Sequential(convolution(widths[0], widths[0]), last)
        self.boxes = nn.Sequential(convolution(widths[0], widths[0]), nn.Conv2d(widths[0], 4, 1))
        self.mask = nn.Conv2d(widths[0], STRIDE**2 * (classes - 1), 1)
        self.unpack = nn.PixelShuffle(STRIDE)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return centre logits (N, C - 1, H / 2, W / 2), boxes and mask logits (N, C - 1, H, W).

        Boxes, (N, 4, H / 2, W / 2), are the offset (u, v) from the middle of the cell to the
        centre [px] and the logarithm of width and height [px].

        Args:
            image: shape (N, 1, H, W), float32; H and W multiples of 16.
        """
        levels = [self.stem(image)]
        for stage in self.down:
            levels.append(stage(levels[-1]))
        x = levels.pop()
        for merge, level in zip(self.up, reversed(levels), strict=True):
            x = merge(x, level)
        offset, size = self.boxes(x).split(2, dim=1)
        boxes = torch.cat([_OFFSET_PX * offset, size], dim=1)
        return self.centres(x), boxes, self.unpack(self.mask(x))


class ExportedDetector(nn.Module):
    """The network as it is exported: probabilities instead of logits, boxes as they are."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return probabilities of centres, boxes, and probabilities of the foreground classes."""
        centres, boxes, mask = self.network(image)
        return torch.sigmoid(centres), boxes, torch.sigmoid(mask)
