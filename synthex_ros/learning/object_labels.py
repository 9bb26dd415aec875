"""Labels of the foreign objects in a frame: exact masks, contrast, and which can be seen.

A pixel belongs to an object where one of the rays that the picture is drawn with runs inside it,
whatever lies before or behind, so masks of two objects may share pixels. Masks end at the edge of
the open field. What cannot be seen is not labelled: an object with too few pixels, with a contrast
below `least_contrast` (the 90th percentile over its pixels: a cable is seen by its core and not by
its sheath), or with a signal-to-noise ratio below `least_snr`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body
from synthex_ros.geometry import View
from synthex_ros.learning.coco import annotation_of
from synthex_ros.learning.distractors import Distractors, ForeignObject
from synthex_ros.learning.tiny_visibility import Shadow
from synthex_ros.learning.truth import open_mask
from synthex_ros.learning.view_setup import ViewSetup
from synthex_ros.xray.device_layer import MASK_PATH_M, trace_bodies

Array = NDArray[np.float64]

_CONTRAST_PERCENTILE = 90.0


def object_mask(bodies: Sequence[Body], view: View, supersampling: int) -> NDArray[np.bool_]:
    """Return the pixels that bodies change, shape (rows, columns).

    Args:
        bodies: parts of one object.
        view: geometry and pose of the exposure.
        supersampling: rays per pixel side, as the picture was drawn with.
    """
    mask = np.zeros(view.geometry.shape_px, bool)
    for item in trace_bodies(bodies, view, supersampling):
        mask[item.layer.slices] |= item.layer.path_m > MASK_PATH_M / supersampling**2
    return mask


def object_annotations(
    index: int, objects: Sequence[ForeignObject], setup: ViewSetup, settings: Distractors
) -> list[dict[str, Any]]:
    """Return the annotations of the objects that can be seen in frame `index`, without ids.

    Each holds `kind`, `contrast` and `snr` of its object.

    Args:
        index: number of the frame.
        objects: all foreign objects of the frame.
        setup: the view.
        settings: what counts as seen.
    """
    seen = _Seen(objects, setup)
    annotations = []
    for number, item in enumerate(objects):
        view, rays = setup.seen.view, setup.renderer.supersampling
        whole = object_mask(item.bodies, view, rays).astype(np.uint8)
        mask = open_mask(whole, setup.field_px) > 0
        if np.count_nonzero(mask) < settings.least_px:
            continue
        contrast, snr = seen.of(number, mask)
        if contrast >= settings.least_contrast and snr >= settings.least_snr:
            known = {'kind': item.kind, 'contrast': round(contrast, 5), 'snr': round(snr, 2)}
            annotations.append(annotation_of(index, mask, None, **known))
    return annotations


class _Seen:
    """What each object of a frame takes from the expected signal, beside all others."""

    def __init__(self, objects: Sequence[ForeignObject], setup: ViewSetup) -> None:
        self._objects, self._setup = objects, setup
        detector, gain = setup.renderer.detector, self._gain_counts_kev()
        self._full_kev = detector.full_scale / gain
        self._readout_kev2 = (detector.electronic_noise_counts / gain) ** 2
        self._swank = detector.swank_factor
        self._with = self._expected(None)

    def of(self, number: int, mask: NDArray[np.bool_]) -> tuple[float, float]:
        """Return contrast and signal-to-noise ratio of an object over its pixels.

        The ratio is that of an observer who knows what to look for and where
        (`tiny_visibility`). What saturates the panel takes nothing.
        """
        before, _ = self._expected(number)
        after, variance = self._with
        bright = np.minimum(before[mask], self._full_kev)
        lost = bright - np.minimum(after[mask], self._full_kev)
        quantum = np.maximum(variance[mask] / self._swank, 1e-12)
        ratio = Shadow(lost, quantum, self._readout_kev2).snr()
        parts = lost / np.maximum(bright, 1e-6)
        return float(np.percentile(parts, _CONTRAST_PERCENTILE)), ratio

    def _expected(self, without: int | None) -> tuple[Array, Array]:
        """Return signal [keV] and variance [keV^2] without one of the objects, or of all."""
        bodies = [b for k, item in enumerate(self._objects) if k != without for b in item.bodies]
        setup = self._setup
        image = setup.renderer.expected_kev(
            setup.seen.view, bodies, setup.seen.world_from_patient, technique=setup.technique
        )
        return image.signal_kev.astype(float), image.variance_kev2.astype(float)

    def _gain_counts_kev(self) -> float:
        setup = self._setup
        return setup.renderer.beam(setup.technique).gain_counts_kev(setup.seen.view.geometry)
