"""Labels of the foreign objects in a frame: exact masks, contrast, and which can be seen.

A pixel belongs to an object where one of the rays that the picture is drawn with runs inside it,
whatever lies before or behind, so masks of two objects may share pixels. Masks end at the edge of
the open field. What cannot be seen is not labelled. Of an object, parts of a material that take
less than `least_contrast` of the signal (median over the part's pixels) are left out of the mask,
such as a cable's sheath of silicone in soft tissue; an object of which fewer than `least_px`
pixels are left, or whose signal-to-noise ratio there is below `least_snr`, has no annotation.
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
from synthex_ros.learning.scene_signal import SceneSignal
from synthex_ros.learning.truth import open_mask
from synthex_ros.learning.view_setup import ViewSetup
from synthex_ros.xray.device_layer import MASK_PATH_M, trace_bodies


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
    for item in objects:
        mask = seen.mask(item.bodies, settings.least_contrast)
        if np.count_nonzero(mask) < settings.least_px:
            continue
        contrast, snr = seen.shadow(item.bodies, mask)
        if snr >= settings.least_snr:
            known: dict[str, Any] = {
                'kind': item.kind,
                'contrast': round(contrast, 5),
                'snr': round(snr, 2),
            }
            annotations.append(annotation_of(index, mask, None, **known))
    return annotations


class _Seen:
    """What each object of a frame takes from the expected signal, beside all others."""

    def __init__(self, objects: Sequence[ForeignObject], setup: ViewSetup) -> None:
        self._bodies = [body for item in objects for body in item.bodies]
        self._setup, self._signal = setup, SceneSignal(setup)
        self._with = self._signal.expected(self._bodies)

    def mask(self, bodies: Sequence[Body], least_contrast: float) -> NDArray[np.bool_]:
        """Return the pixels of an object's parts that can be seen, cut at the open field."""
        setup = self._setup
        view, rays = setup.seen.view, setup.renderer.supersampling
        whole = np.zeros(view.geometry.shape_px, bool)
        for material in sorted({body.material for body in bodies}):
            part = [body for body in bodies if body.material == material]
            shown = open_mask(object_mask(part, view, rays).astype(np.uint8), setup.field_px) > 0
            if shown.any() and self.shadow(part, shown)[0] >= least_contrast:
                whole |= shown
        return whole

    def shadow(self, bodies: Sequence[Body], mask: NDArray[np.bool_]) -> tuple[float, float]:
        """Return contrast and signal-to-noise ratio of some bodies, beside all others, in a mask.

        The ratio is that of an observer who knows what to look for and where (`visibility`).
        """
        taken = {id(body) for body in bodies}
        rest = [body for body in self._bodies if id(body) not in taken]
        bright = self._signal.expected(rest)[0][mask]
        after, quantum = (image[mask] for image in self._with)
        lost = bright - after
        parts = lost / np.maximum(bright, 1e-6)
        return float(np.median(parts)), self._signal.shadow(lost, quantum).snr()
