"""Layers that several networks share."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


def convolution(
    inputs: int, outputs: int, size: int = 3, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Return a convolution that keeps the size (over `stride`), with normalisation and ReLU."""
    reach = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, reach, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two convolutions beside an identity (He et al., CVPR 2016).

    Args:
        channels: of input and output.
        dilation: cells between the cells that a convolution joins.
    """

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = convolution(channels, channels, dilation=dilation)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, dilation, dilation, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the same shape, (N, channels, H, W)."""
        return functional.relu(x + self.second(self.first(x)))


class Merge(nn.Module):
    """Bring the coarser map up and join it with the finer one."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.lateral = nn.Conv2d(coarse, fine, 1, bias=False)
        self.smooth = convolution(fine, fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Return maps of the finer one's shape."""
        raised = functional.interpolate(self.lateral(coarse), scale_factor=2, mode='nearest')
        return self.smooth(raised + fine)
