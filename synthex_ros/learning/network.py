"""The tracker network: a compact encoder-decoder for device mask and landmark heat maps.

A stride-2 stem keeps fine edges for the mask; everything heavy happens at a quarter of the input
size and below. Landmark maps come at stride 4, the mask at full size by sub-pixel convolution
(Shi et al., CVPR 2016). Fully convolutional: trained on crops, used on whole frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

HEATMAP_STRIDE = 4
WIDTHS = (8, 16, 32, 64, 96)
"""Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input size."""


def _convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class _Merge(nn.Module):
    """Bring the coarser map up and join it with the finer one."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.lateral = nn.Conv2d(coarse, fine, 1, bias=False)
        self.smooth = _convolution(fine, fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        raised = functional.interpolate(self.lateral(coarse), scale_factor=2, mode='nearest')
        return self.smooth(raised + fine)


class TrackerNetwork(nn.Module):
    """Mask logits and landmark heat maps of a normalised radiograph.

    Args:
        landmarks: number of landmarks L.
        classes: number of classes C, background included.
        widths: channels at 1/2, 1/4, ... of the input size.
    """

    def __init__(
        self, landmarks: int = 2, classes: int = 2, widths: tuple[int, ...] = WIDTHS
    ) -> None:
        super().__init__()
        self.classes = classes
        self.stem = _convolution(1, widths[0], 5, 2)
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(a, b, 3, 2), _Residual(b)) for a, b in pairs
        )
        self.deep = _Residual(widths[-1])
        self.up = nn.ModuleList(_Merge(b, a) for a, b in reversed(pairs[1:]))
        self.heatmaps = nn.Sequential(_convolution(widths[1], 16), nn.Conv2d(16, landmarks, 1))
        self.to_half = nn.Conv2d(widths[1], widths[0] * 4, 1)
        self.refine = _convolution(2 * widths[0], widths[0])
        self.to_full = nn.Conv2d(widths[0], 4 * (classes - 1), 1)
        self.unpack = nn.PixelShuffle(2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return foreground logits (N, C - 1, H, W) and heat maps (N, L, H / 4, W / 4).

        Args:
            image: shape (N, 1, H, W), float32; H and W multiples of 32.
        """
        levels = [self.stem(image)]
        for stage in self.down:
            levels.append(stage(levels[-1]))
        x = self.deep(levels[-1])
        for merge, level in zip(self.up, reversed(levels[1:-1]), strict=True):
            x = merge(x, level)
        fine = self.refine(torch.cat([self.unpack(self.to_half(x)), levels[0]], dim=1))
        return self.unpack(self.to_full(fine)), self.heatmaps(x)


class ExportedNetwork(nn.Module):
    """The network as it is exported: class probabilities instead of logits.

    The background's logit is fixed at 0, so that C - 1 maps describe C classes.
    """

    def __init__(self, network: TrackerNetwork) -> None:
        super().__init__()
        self.network = network
        self._one_foreground = network.classes == 2

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (N, C, H, W) and heat maps (N, L, H / 4, W / 4)."""
        logits, heatmaps = self.network(image)
        if self._one_foreground:
            foreground = torch.sigmoid(logits)
            return torch.cat([1 - foreground, foreground], dim=1), heatmaps
        background = torch.zeros_like(logits[:, :1])
        return torch.softmax(torch.cat([background, logits], dim=1), dim=1), heatmaps


def parameter_count(network: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(p.numel() for p in network.parameters())
