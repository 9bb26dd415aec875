"""A closer look at each landmark that a tracker found: where it is, from pixels instead of cells.

A heat map says in which cell a landmark is, and half a pixel is 0.3 % of its loss. A network that
looks at the pixels around the landmark alone, and gives the place itself, reads the half pixel
(regression in stages: Sun et al., CVPR 2013).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthex_ros.learning.networks.blocks import Residual, convolution

SIDE_PX = 32
"""Pixels per side of the window that is looked at."""

# Local deviations below a tenth of the image's are noise: they are not stretched further.
_LEAST_VARIANCE = 0.01
_WIDTHS = (32, 64, 96)
_HIDDEN = 128
_SCALE_PX = 8.0
_RADIUS_SIGMA = 3.0
_LEAST_MATCH = 1e-6
_ACROSS = torch.tensor([-1, 0, 1, 0, 0])
_DOWN = torch.tensor([0, 0, 0, -1, 1])


class CloserLook(nn.Module):
    """Where landmarks are, relative to the middle of a window around them.

    Args:
        landmarks: number of landmarks L.
    """

    def __init__(self, landmarks: int = 2) -> None:
        super().__init__()
        self.landmarks = landmarks
        first, second, third = _WIDTHS
        self.trunk = nn.Sequential(
            convolution(1, first, 5, 2),
            Residual(first),
            convolution(first, second, 3, 2),
            Residual(second),
            convolution(second, third, 3, 2),
            Residual(third),
            nn.Flatten(),
            nn.Linear(third * (SIDE_PX // 8) ** 2, _HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(_HIDDEN, 2 * landmarks),
        )

    def forward(self, windows: Tensor) -> Tensor:
        """Return where each of the landmarks would be, (du, dv), shape (N, L, 2) [px].

        Args:
            windows: of the normalised radiograph, shape (N, 1, SIDE_PX, SIDE_PX).
        """
        centred = windows - windows.mean(dim=(2, 3), keepdim=True)
        variance = (centred * centred).mean(dim=(2, 3), keepdim=True)
        away = self.trunk(centred * torch.rsqrt(variance + _LEAST_VARIANCE))
        return _SCALE_PX * away.view(-1, self.landmarks, 2)


class Starts(nn.Module):
    """Where heat maps fit a Gaussian of their width best, between cells by a parabola.

    The logarithm of a Gaussian, filtered by its like, is one.

    Args:
        sigma_cells: standard deviation of the Gaussian [cells].
    """

    kernel: Tensor

    def __init__(self, sigma_cells: float) -> None:
        super().__init__()
        reach = math.ceil(_RADIUS_SIGMA * sigma_cells)
        across = torch.arange(-reach, reach + 1, dtype=torch.float32) / sigma_cells
        self.register_buffer('kernel', torch.exp(-0.5 * across * across)[None, None, None])

    def forward(self, heatmaps: Tensor) -> Tensor:
        """Return cells (column, row) of the maps (1, L, h, w), shape (L, 2), float32."""
        maps = heatmaps.transpose(0, 1)
        reach = self.kernel.shape[-1] // 2
        maps = functional.conv2d(maps, self.kernel, padding=(0, reach))
        maps = functional.conv2d(maps, self.kernel.transpose(2, 3), padding=(reach, 0))
        logs, (rows, columns) = maps.clamp(min=_LEAST_MATCH).log().flatten(1), maps.shape[2:]
        best = logs.argmax(dim=1, keepdim=True)
        row, column = torch.div(best, columns, rounding_mode='floor'), best % columns
        index = _within(row + _DOWN, rows) * columns + _within(column + _ACROSS, columns)
        left, middle, right, above, below = logs.gather(1, index).unbind(dim=1)
        away = [_vertex(left, middle, right), _vertex(above, middle, below)]
        return torch.cat([column, row], dim=1) + torch.stack(away, dim=1)


def _within(index: Tensor, size: Tensor | int) -> Tensor:
    """Return indices, those beyond an axis of some size at its ends."""
    # The size is a part of the graph, which takes pictures of any.
    return torch.minimum(index.clamp(min=0), size - 1 + 0 * index)


def _vertex(before: Tensor, middle: Tensor, after: Tensor) -> Tensor:
    """Return where the parabola through values at -1, 0 and 1 is greatest, within half a step."""
    bend = (2 * middle - before - after).clamp(min=_LEAST_MATCH)
    return (0.5 * (after - before) / bend).clamp(-0.5, 0.5)


class ExportedCloserLook(nn.Module):
    """A closer look as it is exported: from what a tracker gives to places in the frame.

    Args:
        look: trained.
        sigma_px: standard deviation of a landmark's Gaussian [px].
        stride: pixels a cell of the heat maps, per side.
    """

    def __init__(self, look: CloserLook, sigma_px: float, stride: int) -> None:
        super().__init__()
        self.look, self.starts, self._stride = look, Starts(sigma_px / stride), stride

    def forward(self, image: Tensor, heatmaps: Tensor) -> Tensor:
        """Return (u, v) of each landmark, shape (1, L, 2) [px].

        Args:
            image: normalised radiograph, shape (1, 1, H, W).
            heatmaps: shape (1, L, H / stride, W / stride).
        """
        middles = window_middles(self.starts(heatmaps), self._stride)
        windows = around(image[0, 0], middles, SIDE_PX)
        away = self.look(windows[:, None])
        own = torch.diagonal(away, dim1=0, dim2=1).T
        return (middles - 0.5 + own)[None]


def window_middles(cells: Tensor, stride: int) -> Tensor:
    """Return the pixels (u, v) right of and below the middles of the windows, int64, (L, 2)."""
    return torch.round(cells * stride + stride / 2).to(torch.int64)


def around(picture: Tensor, middles: Tensor, side: int) -> Tensor:
    """Return the windows of a picture, shape (h, w), around points, shape (N, side, side).

    Beyond the edges the outermost pixels are repeated.

    Args:
        picture: the picture.
        middles: pixels (u, v) right of and below the points, int64, shape (N, 2).
        side: of the windows, even [px].
    """
    reach = torch.arange(side) - side // 2
    columns = _within(middles[:, :1] + reach, picture.shape[1])
    rows = _within(middles[:, 1:] + reach, picture.shape[0])
    return picture.reshape(-1)[rows[:, :, None] * picture.shape[1] + columns[:, None, :]]
