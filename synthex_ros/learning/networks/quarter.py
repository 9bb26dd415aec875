"""The tracker network that does everything at a quarter of the input size and below.

The first layer turns every 4 x 4 pixels, with two more on each side, into one cell: some of its
features are of the image as it is, the others of its contrast with the surroundings, so that a
device in a dark part of the picture looks like one in a bright part. The deepest maps are joined
by dilated convolutions (Yu and Koltun, ICLR 2016), by which every cell sees the whole frame. All
numbers of channels are multiples of 16, which convolutions on processors are fastest with. Fully
convolutional: trained on crops, used on whole frames and regions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthex_ros.learning.networks.blocks import Merge, Residual, convolution

WIDTHS = (32, 64, 96, 160)
"""Channels at 1/4, 1/8, 1/16 and 1/32 of the input size."""

BLOCKS = (1, 1, 2, 2)
"""Residual blocks at each of these."""

DILATIONS = (1, 2)
"""Of the residual blocks that join the deepest maps."""

CELL_PX = 4
WINDOW_CELLS = 17
"""Side of the square that a cell's contrast is relative to; odd."""

PLAIN, RELATIVE = 8, 24
"""Features of the image as it is, and of its contrast."""

# Local deviations below a tenth of the image's are noise: they are not stretched further.
_LEAST_VARIANCE = 0.01
_HEAD = 32


class ContrastStem(nn.Module):
    """Features of every cell: linear ones of the image, and of its local contrast."""

    def __init__(self) -> None:
        super().__init__()
        size = {'kernel_size': 2 * CELL_PX, 'stride': CELL_PX}
        self.plain = nn.Conv2d(1, PLAIN, **size, bias=False)
        self.relative = nn.Conv2d(1, RELATIVE, **size, bias=False)
        self.normal = nn.Sequential(nn.BatchNorm2d(PLAIN + RELATIVE), nn.ReLU(inplace=True))

    def forward(self, image: Tensor) -> Tensor:
        """Return maps (N, PLAIN + RELATIVE, H / 4, W / 4) of images (N, 1, H, W)."""
        # Small contrasts on a large level do not survive half precision.
        with torch.autocast(image.device.type, enabled=False):
            mean = _around(functional.avg_pool2d(image, CELL_PX))
            variance = _around(functional.avg_pool2d(image * image, CELL_PX)) - mean * mean
            spread = torch.rsqrt(variance.clamp(min=0) + _LEAST_VARIANCE)
            # Convolution is linear: the level is taken off its result, cell by cell.
            level = self.relative.weight.sum(dim=(1, 2, 3)).view(1, -1, 1, 1) * mean
            # Zeros around the image would be a contrast of their own, in every cell at an edge.
            wider = _wider(image, CELL_PX // 2)
            contrast = (self.relative(wider) - level) * spread
            return self.normal(torch.cat([self.plain(wider), contrast], dim=1))


def _around(cells: Tensor) -> Tensor:
    """Return the mean over the square round every cell; less of it at the edges."""
    side, half = WINDOW_CELLS, WINDOW_CELLS // 2
    columns = functional.avg_pool2d(cells, (side, 1), 1, (half, 0), count_include_pad=False)
    return functional.avg_pool2d(columns, (1, side), 1, (0, half), count_include_pad=False)


def _wider(image: Tensor, margin: int) -> Tensor:
    """Return an image with its outermost rows and columns repeated `margin` times."""
    # Ends are counted from the end: a graph with the size of one image in it would refuse others.
    image = torch.cat([*[image[:, :, :1]] * margin, image, *[image[:, :, -1:]] * margin], dim=2)
    return torch.cat([*[image[..., :1]] * margin, image, *[image[..., -1:]] * margin], dim=3)


class QuarterNetwork(nn.Module):
    """Mask logits and landmark heat maps of a normalised radiograph.

    Args:
        landmarks: number of landmarks L.
        classes: number of classes C, background included.
        widths: channels at 1/4, 1/8, ... of the input size.
        blocks: residual blocks at each of them.
    """

    fully_convolutional = True
    """Any size of image that is a multiple of 32 will do."""

    def __init__(
        self,
        landmarks: int = 2,
        classes: int = 2,
        widths: tuple[int, ...] = WIDTHS,
        blocks: tuple[int, ...] = BLOCKS,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.stem = ContrastStem()
        self.first = _stage(PLAIN + RELATIVE, widths[0], 1, blocks[0])
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.down = nn.ModuleList(
            _stage(a, b, 2, count) for (a, b), count in zip(pairs, blocks[1:], strict=True)
        )
        self.deep = nn.Sequential(*(Residual(widths[-1], step) for step in DILATIONS))
        self.up = nn.ModuleList(Merge(b, a) for a, b in reversed(pairs))
        self.head = convolution(widths[0], _HEAD)
        self.heatmaps = nn.Conv2d(_HEAD, landmarks, 1)
        self.mask = nn.Conv2d(_HEAD, CELL_PX**2 * (classes - 1), 1)
        self.unpack = nn.PixelShuffle(CELL_PX)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return foreground logits (N, C - 1, H, W) and heat maps (N, L, H / 4, W / 4).

        Args:
            image: shape (N, 1, H, W), float32; H and W multiples of 32.
        """
        levels = [self.first(self.stem(image))]
        for stage in self.down:
            levels.append(stage(levels[-1]))
        x = self.deep(levels.pop())
        for merge, level in zip(self.up, reversed(levels), strict=True):
            x = merge(x, level)
        x = self.head(x)
        return self.unpack(self.mask(x)), self.heatmaps(x)


def _stage(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(
        convolution(inputs, outputs, 3, stride), *(Residual(outputs) for _ in range(blocks))
    )
