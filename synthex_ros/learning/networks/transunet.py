"""TransUNet, the network of SyntheX, for comparison with the compact one.

A ResNet-50 without its last stage, a vision transformer on its 1/16 map and a decoder with three
skips (Chen et al., arXiv 2102.04306; Gao et al., Nature Machine Intelligence 5, 2023). The ResNet
normalises by groups and standardises its kernels (Kolesnikov et al., ECCV 2020). Of the paper's
shape, without weights trained on photographs. The landmark head is linear, so that averaging its
16 features over 4 x 4 pixels gives exactly the cell means of the paper's full-size heat maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthex_ros.learning.networks.blocks import convolution

_GROUPS = 32
_CELL = 4
_LANDMARK_FEATURES = 4


@dataclass(frozen=True)
class TransUNetSize:
    """Width and depth of a TransUNet.

    Attributes:
        stem: channels of the first convolution; the stages have 4, 8 and 16 times as many.
        blocks: residual blocks of the three stages.
        hidden: width of the transformer.
        layers: transformer layers.
        heads: attention heads.
        mlp: width of the transformer's perceptrons.
        decoder: channels at 1/8, 1/4, 1/2 and 1/1 of the input size.
        grid: tokens a side that position embeddings are kept for; interpolated for other sizes.
        dropout: in the transformer, while training.
    """

    stem: int
    blocks: tuple[int, int, int]
    hidden: int
    layers: int
    heads: int
    mlp: int
    decoder: tuple[int, int, int, int]
    grid: int = 32
    dropout: float = 0.1


PAPER = TransUNetSize(64, (3, 4, 9), 768, 12, 12, 3072, (256, 128, 64, 16))
"""R50-ViT-B/16 at 512 x 512, as in SyntheX: 106 million parameters."""

SMALL = TransUNetSize(16, (2, 2, 2), 128, 4, 4, 256, (64, 32, 24, 16))
"""The same shape, trainable without an accelerator."""


class _StandardConv(nn.Conv2d):
    """Kernels without mean and of unit variance (Qiao et al., arXiv 1903.10520)."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        mean = weight.mean(dim=(1, 2, 3), keepdim=True)
        variance = weight.var(dim=(1, 2, 3), keepdim=True, unbiased=False)
        weight = (weight - mean) / torch.sqrt(variance + 1e-5)
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding)


def _normalised(channels: int) -> nn.GroupNorm:
    groups = next(n for n in (_GROUPS, 16, 8, 4, 2, 1) if channels % n == 0 and n <= channels // 2)
    return nn.GroupNorm(groups, channels)


class _Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = outputs // 4
        self.body = nn.Sequential(
            _StandardConv(inputs, inner, 1, bias=False),
            _normalised(inner),
            nn.ReLU(inplace=True),
            _StandardConv(inner, inner, 3, stride, 1, bias=False),
            _normalised(inner),
            nn.ReLU(inplace=True),
            _StandardConv(inner, outputs, 1, bias=False),
            _normalised(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                _StandardConv(inputs, outputs, 1, stride, bias=False), _normalised(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.shortcut(x) + self.body(x))


class _ResNet(nn.Module):
    """Maps at 1/2, 1/4, 1/8 and 1/16 of the input size."""

    def __init__(self, size: TransUNetSize) -> None:
        super().__init__()
        self.root = nn.Sequential(
            _StandardConv(1, size.stem, 7, 2, 3, bias=False),
            _normalised(size.stem),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.MaxPool2d(3, 2, 1)
        stages, inputs = [], size.stem
        for index, count in enumerate(size.blocks):
            outputs = size.stem * 4 * 2**index
            blocks = [_Bottleneck(inputs, outputs, 1 if index == 0 else 2)]
            blocks += [_Bottleneck(outputs, outputs, 1) for _ in range(count - 1)]
            stages.append(nn.Sequential(*blocks))
            inputs = outputs
        self.stages = nn.ModuleList(stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = [self.root(image)]
        x = self.pool(maps[0])
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class _Layer(nn.Module):
    """A transformer layer with normalisation first (Dosovitskiy et al., ICLR 2021)."""

    def __init__(self, size: TransUNetSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.first, self.second = nn.LayerNorm(size.hidden, 1e-6), nn.LayerNorm(size.hidden, 1e-6)
        self.to_qkv = nn.Linear(size.hidden, 3 * size.hidden)
        self.join = nn.Linear(size.hidden, size.hidden)
        self.perceptron = nn.Sequential(
            nn.Linear(size.hidden, size.mlp),
            nn.GELU(),
            nn.Dropout(size.dropout),
            nn.Linear(size.mlp, size.hidden),
            nn.Dropout(size.dropout),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        count, length, width = tokens.shape
        qkv = self.to_qkv(self.first(tokens)).view(count, length, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.join(mixed.transpose(1, 2).reshape(count, length, width))
        return tokens + self.perceptron(self.second(tokens))


class _Transformer(nn.Module):
    """Tokens are the cells of the 1/16 map."""

    def __init__(self, inputs: int, size: TransUNetSize) -> None:
        super().__init__()
        self.embed = nn.Conv2d(inputs, size.hidden, 1)
        self.place = nn.Parameter(0.02 * torch.randn(1, size.hidden, size.grid, size.grid))
        self.drop = nn.Dropout(size.dropout)
        self.layers = nn.Sequential(*(_Layer(size) for _ in range(size.layers)))
        self.norm = nn.LayerNorm(size.hidden, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        rows, columns = int(x.shape[2]), int(x.shape[3])
        tokens = self.drop((x + self._place(rows, columns)).flatten(2).transpose(1, 2))
        tokens = self.norm(self.layers(tokens))
        return tokens.transpose(1, 2).reshape(x.shape[0], -1, rows, columns)

    def _place(self, rows: int, columns: int) -> Tensor:
        """Return position embeddings of a grid, shape (1, hidden, rows, columns)."""
        if (rows, columns) == tuple(self.place.shape[2:]):
            return self.place
        return functional.interpolate(
            self.place, (rows, columns), mode='bilinear', align_corners=False
        )


class _Raise(nn.Module):
    """Double the size, join a skip, smooth twice."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.smooth = nn.Sequential(
            convolution(inputs + skip, outputs), convolution(outputs, outputs)
        )

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        x = functional.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
        return self.smooth(x if skip is None else torch.cat([x, skip], dim=1))


class TransUNet(nn.Module):
    """Mask logits and landmark heat maps of a normalised radiograph.

    Args:
        landmarks: number of landmarks L.
        classes: number of classes C, background included.
        size: width and depth.
    """

    fully_convolutional = False

    def __init__(self, landmarks: int = 2, classes: int = 2, size: TransUNetSize = PAPER) -> None:
        super().__init__()
        self.classes = classes
        self.encoder = _ResNet(size)
        stem, deepest, joined = size.stem, 16 * size.stem, 2 * size.decoder[0]
        self.transformer = _Transformer(deepest, size)
        self.more = convolution(size.hidden, joined)
        inputs, skips = (joined, *size.decoder[:3]), (8 * stem, 4 * stem, stem, 0)
        self.up = nn.ModuleList(
            _Raise(*shape) for shape in zip(inputs, skips, size.decoder, strict=True)
        )
        self.mask = nn.Conv2d(size.decoder[3], classes, 3, padding=1)
        self.heatmaps = nn.Sequential(
            nn.Conv2d(size.decoder[3] + classes, _LANDMARK_FEATURES, 1, bias=False),
            nn.Conv2d(_LANDMARK_FEATURES, landmarks, 1, bias=False),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return foreground logits (N, C - 1, H, W) and heat maps (N, L, H / 4, W / 4).

        Args:
            image: shape (N, 1, H, W), float32; H and W multiples of 16.
        """
        half, quarter, eighth, deepest = self.encoder(image)
        x = self.more(self.transformer(deepest))
        for block, skip in zip(self.up, (eighth, quarter, half, None), strict=True):
            x = block(x, skip)
        logits = self.mask(x)
        cells = functional.avg_pool2d(torch.cat([x, logits], dim=1), _CELL)
        # Only differences of logits count: the background's is moved to 0.
        return logits[:, 1:] - logits[:, :1], self.heatmaps(cells)
