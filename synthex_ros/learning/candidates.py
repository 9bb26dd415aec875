"""What a first look takes for tiny devices in training frames, to learn a second look from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from synthex_ros.learning.coco import CocoFolder
from synthex_ros.learning.networks.second_look import MIDDLE, SIDE_PX
from synthex_ros.learning.patches import Objects, objects_of, packed, turned, unpacked, varied
from synthex_ros.tracking.detections import DetectorMaps
from synthex_ros.tracking.detector import DetectorModel, highpass
from synthex_ros.tracking.landmarks import cell_to_pixel

LEAST_CHANCE = 0.08
"""Of a centre; what is less probable is not looked at again."""

FAINT = 6.0
"""Signal-to-noise ratio of the faintest devices that are asked for."""

_NO_DEVICE_SNR = 40.0
_REACH_PX = 4
_KEPT_PX = SIDE_PX + 2 * _REACH_PX
_NEAR_PX, _NEAR_SHARE = 3.0, 0.5
_LEAST_SIDE_PX = 0.5

Example = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Candidates:
    """Places in frames, with what is there.

    Attributes:
        pictures: normalised surroundings, packed, shape (N, S, S) of somewhat more than is looked
            at, so that it can be moved; the place is the pixel S / 2.
        classes: class ids, 0 where there is no device, shape (N,).
        boxes: centre (u, v) from the place, width and height of the device [px], shape (N, 4).
        weights: how many candidates each one stands for, shape (N,).
        snr: signal-to-noise ratio of the device, 0 where it is not known or there is none,
            shape (N,).
    """

    pictures: NDArray[np.uint16]
    classes: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    weights: NDArray[np.float32]
    snr: NDArray[np.float32]

    def save(self, path: str | Path) -> None:
        """Write them to a file."""
        np.savez(path, **{item.name: getattr(self, item.name) for item in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> Candidates:
        """Return those of a file.

        Raises:
            FileNotFoundError: there is none.
        """
        with np.load(path) as stored:
            return cls(**{item.name: stored[item.name] for item in fields(cls)})


def places_of(
    maps: DetectorMaps, stride: int, least: float = LEAST_CHANCE
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return pixels (u, v) of the candidates of a picture, shape (N, 2), and their chances (N,).

    The peaks of the chance of a device of any class, the most probable first.
    """
    chance = maps.centres.max(axis=0)
    peaks = (chance >= cv2.dilate(chance, np.ones((3, 3), np.uint8))) & (chance >= least)
    rows, columns = np.nonzero(peaks)
    order = np.argsort(-chance[rows, columns], kind='stable')
    rows, columns = rows[order], columns[order]
    middles = cell_to_pixel(np.column_stack([columns, rows]).astype(float), stride)
    places = np.rint(middles + maps.boxes[:2, rows, columns].T).astype(np.int64)
    return places, chance[rows, columns]


def true_rows(places: NDArray[np.int64], objects: Objects) -> NDArray[np.int64]:
    """Return which object each place is a candidate for, -1 for none, shape (N,).

    The nearest one, if its centre is nearer than three pixels or half its larger side.
    """
    if not len(objects.classes):
        return np.full(len(places), -1)
    away = np.linalg.norm(places[:, None] - objects.centres_px[None], axis=2)
    near = np.maximum(_NEAR_PX, _NEAR_SHARE * objects.sizes_px.max(axis=1))
    share = away / near
    best = share.argmin(axis=1)
    return np.where(share[np.arange(len(places)), best] <= 1, best, -1)


def candidates_of(
    model: DetectorModel, folder: CocoFolder, row: int, others: int, rng: np.random.Generator
) -> Candidates:
    """Return candidates of a frame: all that are devices, and some of the others.

    Devices that the first look does not see are candidates, too: a second look at something like
    them may come from a neighbour. Of the others half are the most probable ones, half are drawn
    from the rest.

    Args:
        model: gives the first look.
        folder: the frames.
        row: which of them.
        others: how many that are no devices.
        rng: random numbers.
    """
    counts, objects = folder.counts(row), objects_of(folder, row)
    places, _ = places_of(model.maps(counts), model.metadata.stride)
    truths = true_rows(places, objects)
    unseen = np.setdiff1d(np.arange(len(objects.classes)), truths)
    seen, rest = np.flatnonzero(truths >= 0), np.flatnonzero(truths < 0)
    sure, drawn = rest[: others // 2], rest[others // 2 :]
    share = 1.0
    if len(drawn) > others - others // 2:
        kept = rng.choice(drawn, others - others // 2, replace=False)
        share, drawn = len(drawn) / len(kept), kept
    places = np.concatenate([
        places[seen], np.rint(objects.centres_px[unseen]).astype(np.int64), places[sure],
        places[drawn],
    ])  # fmt: skip
    truths = np.concatenate([truths[seen], unseen, truths[sure], truths[drawn]])
    weights = np.ones(len(places), np.float32)
    weights[len(places) - len(drawn) :] = share
    classes = np.where(truths >= 0, np.append(objects.classes, 0)[truths], 0)
    boxes = np.zeros((len(places), 4), np.float32)
    own = truths >= 0
    boxes[own, :2] = objects.centres_px[truths[own]] - places[own]
    boxes[own, 2:] = objects.sizes_px[truths[own]]
    ratios = np.array([item.get('snr', 0.0) for item in folder.annotations(row)], np.float32)
    snr = np.where(own, np.append(ratios, np.float32(0))[truths], 0).astype(np.float32)
    pictures = _surroundings(counts, places)
    return Candidates(pictures, classes.astype(np.uint8), boxes, weights, snr)


def _surroundings(counts: NDArray, places: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Return what is around some pixels, mirrored at edges as a detector's tiles are."""
    side, half = _KEPT_PX, _KEPT_PX // 2
    bordered = cv2.copyMakeBorder(highpass(counts), side, side, side, side, cv2.BORDER_REFLECT)
    image = packed(bordered.astype(np.float32))
    made = np.empty((len(places), side, side), np.uint16)
    last = np.array(image.shape[::-1]) - side
    for k, place in enumerate(places):
        left, top = np.clip(place + side - half, 0, last)
        made[k] = image[top : top + side, left : left + side]
    return made


def collect(
    model: DetectorModel,
    folder: CocoFolder,
    limit: int,
    others: int,
    seed: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Candidates:
    """Return the candidates of the first frames of a folder.

    Args:
        model: gives the first look.
        folder: the frames.
        limit: how many of them; 0 is all.
        others: how many candidates of a frame that are no devices.
        seed: of the random numbers.
        progress: called with the number of frames that are done.
    """
    count = min(limit or len(folder.images), len(folder.images))
    parts = []
    for row in range(count):
        rng = np.random.default_rng([seed, row])
        parts.append(candidates_of(model, folder, row, others, rng))
        progress(row + 1)
    names = [item.name for item in fields(Candidates)]
    return Candidates(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))


class CandidateSet(Dataset):
    """Candidates, each moved, turned, mirrored and varied; an item's key is (epoch, row).

    Some are faded into another candidate that is no device: `a * one + sqrt(1 - a * a) * other`
    has the noise of both, and `a` of the device's contrast. Faint devices, of which there are the
    fewest and the least is seen, are learnt from all the others so.

    Args:
        candidates: of the frames.
        seed: of the random numbers.
        fading_share: part of the devices whose signal-to-noise ratio is brought down, to `FAINT`
            at the least; and, so that fading itself tells nothing, of what is none.
        repeats: how often a device comes in an epoch, varied anew each time.
    """

    def __init__(
        self, candidates: Candidates, seed: int, fading_share: float = 0.0, repeats: int = 1
    ) -> None:
        cv2.setNumThreads(1)
        self._all, self._seed, self._fading_share = candidates, seed, fading_share
        self._others = np.flatnonzero(candidates.classes == 0)
        devices = np.flatnonzero(candidates.classes)
        self._rows = np.concatenate([self._others, np.tile(devices, repeats)])
        self._share = 1 / repeats

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: tuple[int, int]) -> Example:
        """Return the picture (1, SIDE_PX, SIDE_PX), class id, box as the network gives it, weight.

        The box of what is no device means nothing. The weight of a device that is repeated is
        shared among its repeats.
        """
        epoch, item = key
        rng, row = np.random.default_rng([self._seed, epoch, item]), int(self._rows[item])
        share = self._share if self._all.classes[row] else 1.0
        picture, (across, down) = self._moved(row, rng)
        picture = self._faded(picture, row, rng)
        box = self._all.boxes[row].astype(float)
        centre = box[:2] + MIDDLE + _REACH_PX - [across, down]
        one = Objects(centre[None], box[None, 2:], np.ones(1, np.int64))
        picture, _, one = turned(
            picture, picture, one, int(rng.integers(4)), bool(rng.random() < 0.5)
        )
        sizes = np.log(np.maximum(one.sizes_px[0], _LEAST_SIDE_PX))
        target = np.concatenate([one.centres_px[0] - MIDDLE, sizes]).astype(np.float32)
        return (
            torch.from_numpy(varied(picture, rng)[None]),
            torch.tensor(int(self._all.classes[row])),
            torch.from_numpy(target),
            torch.tensor(share * float(self._all.weights[row])),
        )

    def _moved(
        self, row: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return a part of what is kept of a candidate, and where (u, v) in it that begins."""
        first = rng.integers(0, 2 * _REACH_PX + 1, 2)
        across, down = first
        part = self._all.pictures[row, down : down + SIDE_PX, across : across + SIDE_PX]
        return unpacked(part), first

    def _faded(
        self, picture: NDArray[np.float32], row: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        snr = float(self._all.snr[row]) if self._all.classes[row] else _NO_DEVICE_SNR
        if rng.random() >= self._fading_share or snr <= FAINT or not len(self._others):
            return picture
        share = np.float32(np.exp(rng.uniform(np.log(FAINT), np.log(snr))) / snr)
        other, _ = self._moved(int(rng.choice(self._others)), rng)
        return share * picture + np.sqrt(1 - share**2) * other
