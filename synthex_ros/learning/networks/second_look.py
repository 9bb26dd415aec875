"""A second look at what a detector of tiny devices takes for one: class and box from finer pixels.

A detector must be quick on a million pixels, so that it can spend little on each. What it takes
for a device is a few dozen places; a network that looks at those alone may be many times as
thorough for the same time (cascades: Viola and Jones, CVPR 2001; regions: Girshick, ICCV 2015).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthex_ros.learning.networks.blocks import Residual, convolution

SIDE_PX = 48
"""Side of the part of a picture that is looked at; its pixel `MIDDLE` is the place."""

MIDDLE = SIDE_PX // 2

_WIDTHS = (32, 64, 96)
_STRIDE = 8
_HIDDEN = 128
_OFFSET_PX = 4.0
_TYPICAL_LOG = 1.8


class SecondLook(nn.Module):
    """Class and box of the device in the middle of a small picture, if there is one.

    Args:
        classes: number of classes C, background included.
        widths: channels at 1/2, 1/4 and 1/8 of the picture's size.
    """

    def __init__(self, classes: int, widths: tuple[int, ...] = _WIDTHS) -> None:
        super().__init__()
        self.classes = classes
        stages = [convolution(1, widths[0], 5, 2), Residual(widths[0])]
        for a, b in zip(widths[:-1], widths[1:], strict=True):
            stages += [convolution(a, b, 3, 2), Residual(b)]
        self.stages = nn.Sequential(*stages)
        cells = (SIDE_PX // _STRIDE) ** 2
        self.hidden = nn.Linear(cells * widths[-1], _HIDDEN)
        self.kinds = nn.Linear(_HIDDEN, classes)
        self.boxes = nn.Linear(_HIDDEN, 4)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits (N, C) and boxes (N, 4).

        Boxes are the offset (u, v) of the centre from the pixel `MIDDLE` and the logarithm of
        width and height [px].

        Args:
            pictures: parts of a normalised radiograph, shape (N, 1, SIDE_PX, SIDE_PX), float32.
        """
        seen = functional.relu(self.hidden(self.stages(pictures).flatten(1)))
        offset, size = self.boxes(seen).split(2, dim=1)
        return self.kinds(seen), torch.cat([_OFFSET_PX * offset, size + _TYPICAL_LOG], dim=1)


class ExportedTwoLooks(nn.Module):
    """A detector and the second look at its candidates, in the form in which they are exported.

    Args:
        detector: the first look in its exported form.
        second: the second look.
        stride: input pixels a cell of the detector, per side.
        halo_px: border of a picture in which nothing is looked at twice; at least `MIDDLE`.
        most: greatest number of candidates a picture.
        least: least chance of a candidate.
    """

    def __init__(
        self,
        detector: nn.Module,
        second: nn.Module,
        stride: int,
        halo_px: int,
        most: int,
        least: float,
    ) -> None:
        super().__init__()
        self.detector, self.second = detector, second
        self._stride, self._halo = stride, halo_px // stride
        self._most, self._least = most, least

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the detector's maps and the devices, shape (N, 3 + C).

        Of each: the centre (u, v) and the logarithm of width and height [px], and the chance of
        every class but the background. Boxes are the mean of both looks', chances their geometric
        mean: the two err in different places. There is at least one, whatever its chance.

        Args:
            image: one normalised picture, shape (1, 1, H, W).
        """
        centres, boxes, mask = self.detector(image)
        row, column = self._candidates(centres)
        before = _at(functional.max_pool2d(centres, 3, 1, 1), row, column)
        offset, size = _at(boxes, row, column).split(2, dim=1)
        middle = torch.stack([column, row], dim=1) * self._stride + (self._stride - 1) / 2
        first = torch.cat([middle + offset, size], dim=1)
        places = _with_surroundings(torch.round(first[:, :2]).to(torch.int64), image)
        logits, placed = self.second(parts_of(image[0, 0], places))
        second = torch.cat([places.to(placed.dtype) + placed[:, :2], placed[:, 2:]], dim=1)
        chances = torch.sqrt(before * torch.softmax(logits, dim=1)[:, 1:])
        return centres, boxes, mask, torch.cat([(first + second) / 2, chances], dim=1)

    def _candidates(self, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cells of the candidates: rows and columns, each of shape (N,), int64."""
        chance = centres.amax(dim=1, keepdim=True)
        peaks = chance * (chance == functional.max_pool2d(chance, 3, 1, 1))
        halo = self._halo
        inner = peaks[0, 0, halo:-halo, halo:-halo]
        best, index = inner.reshape(-1).topk(self._most)
        first = torch.arange(self._most) == 0
        index = index[torch.nonzero((best >= self._least) | first)[:, 0]]
        columns = inner.shape[1]
        return index // columns + halo, index % columns + halo


def _at(maps: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return the values of maps, shape (1, K, h, w), in some cells, shape (N, K)."""
    return maps[0].flatten(1)[:, row * maps.shape[3] + column].T


def _with_surroundings(places: Tensor, image: Tensor) -> Tensor:
    """Return pixels (u, v), shape (N, 2), moved inwards where a picture ends beside them.

    Whatever a network says of a picture that is none, nothing outside of it is read.
    """
    u, v = places.clamp(min=MIDDLE).unbind(dim=1)
    last_u, last_v = image.shape[3] - MIDDLE + 0 * u, image.shape[2] - MIDDLE + 0 * v
    return torch.stack([torch.minimum(u, last_u), torch.minimum(v, last_v)], dim=1)


def parts_of(image: Tensor, places: Tensor) -> Tensor:
    """Return the parts of a picture around some pixels, shape (N, 1, SIDE_PX, SIDE_PX).

    Args:
        image: shape (H, W).
        places: (u, v), shape (N, 2), int64, each at least `MIDDLE` px from every edge.
    """
    reach = torch.arange(SIDE_PX) - MIDDLE
    row = (places[:, 1:] + reach)[:, :, None]
    column = (places[:, :1] + reach)[:, None, :]
    return image.reshape(-1)[row * image.shape[1] + column][:, None]
