"""The tracker network: a compact encoder-decoder for device mask and landmark heat maps.

A stride-2 stem keeps fine edges for the mask; everything heavy happens at a quarter of the input
size and below. Landmark maps come at stride 4, the mask at full size by sub-pixel convolution
(Shi et al., CVPR 2016). Fully convolutional: trained on crops, used on whole frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthex_ros.learning.networks.blocks import Merge, Residual, convolution

WIDTHS = (8, 16, 32, 64, 96)
"""Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input size."""

WIDE = (8, 16, 40, 96, 192)
"""The same with three times the weights, where maps are small."""


class TrackerNetwork(nn.Module):
    """Mask logits and landmark heat maps of a normalised radiograph.

    Args:
        landmarks: number of landmarks L.
        classes: number of classes C, background included.
        widths: channels at 1/2, 1/4, ... of the input size.
    """

    fully_convolutional = True
    """Any size of image that is a multiple of 32 will do."""

    def __init__(
        self, landmarks: int = 2, classes: int = 2, widths: tuple[int, ...] = WIDTHS
    ) -> None:
        super().__init__()
        self.classes = classes
        self.stem = convolution(1, widths[0], 5, 2)
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.down = nn.ModuleList(
            nn.Sequential(convolution(a, b, 3, 2), Residual(b)) for a, b in pairs
        )
        self.deep = Residual(widths[-1])
        self.up = nn.ModuleList(Merge(b, a) for a, b in reversed(pairs[1:]))
        self.heatmaps = nn.Sequential(convolution(widths[1], 16), nn.Conv2d(16, landmarks, 1))
        self.to_half = nn.Conv2d(widths[1], widths[0] * 4, 1)
        self.refine = convolution(2 * widths[0], widths[0])
        self.to_full = nn.Conv2d(widths[0], 4 * (classes - 1), 1)
        self.unpack = nn.PixelShuffle(2)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return foreground logits (N, C - 1, H, W) and heat maps (N, L, H / 4, W / 4).

        Args:
            image: shape (N, 1, H, W), float32; H and W multiples of 32.
        """
        half, quarter = self.encode(image)
        return self.segment(half, quarter), self.heatmaps(quarter)

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stem's map at 1/2 and, with all context, the one at 1/4 of the size."""
        levels = [self.stem(image)]
        for stage in self.down:
            levels.append(stage(levels[-1]))
        x = self.deep(levels[-1])
        for merge, level in zip(self.up, reversed(levels[1:-1]), strict=True):
            x = merge(x, level)
        return levels[0], x

    def segment(self, half: Tensor, quarter: Tensor) -> Tensor:
        """Return foreground logits (N, C - 1, H, W) of the two maps of `encode`."""
        fine = self.refine(torch.cat([self.unpack(self.to_half(quarter)), half], dim=1))
        return self.unpack(self.to_full(fine))
