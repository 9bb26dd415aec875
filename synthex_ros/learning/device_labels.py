"""Labels of the device in a frame: mask, landmarks, contrast, and which landmarks can be seen.

A landmark is visible where it lies inside the open field and can be told from one somewhere else:
of a manipulator, from a base or tip one notch further in. That holds where the pictures of both
differ with a signal-to-noise ratio of at least `least_landmark_snr` (`visibility`). Contrast alone
does not say: a tube may stand out of a picture whose noise hides its notches. Of a device of the
user's own, the piece of it around the landmark must stand out of the noise with that ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body
from synthex_ros.learning.coco import annotation_of
from synthex_ros.learning.sampling import SceneSampling
from synthex_ros.learning.scene_signal import SceneSignal
from synthex_ros.learning.shown_device import ShownDevice
from synthex_ros.learning.truth import keypoints_of, local_contrast, open_mask, pieces_of
from synthex_ros.learning.view_setup import ViewSetup

Array = NDArray[np.float64]


def device_annotation(
    index: int,
    setup: ViewSetup,
    device: ShownDevice,
    objects: Sequence[Body],
    mask: NDArray[np.uint8],
    sampling: SceneSampling,
) -> dict[str, Any]:
    """Return the annotation of the device in frame `index`, without its id.

    It holds `contrast` and `snr` of the device, `keypoint_contrast` and, where the device says how
    else its landmarks could lie or that pieces of it tell, `keypoint_snr` of each landmark.

    Args:
        index: number of the frame.
        setup: the view.
        device: as it is shown.
        objects: bodies of the foreign objects of the frame.
        mask: pixels of the device in the open field, shape (rows, columns), some not 0.
        sampling: what counts as visible.
    """
    points = setup.seen.view.project(device.landmarks_world_m)
    signal = SceneSignal(setup)
    before, _ = signal.expected(objects)
    with_device = signal.expected([*device.bodies, *objects])
    contrast = 1 - with_device[0] / np.maximum(before, 1e-6)
    at_landmarks = local_contrast(contrast, mask, points)
    shown = at_landmarks >= sampling.least_contrast
    lost, quantum = before - with_device[0], with_device[1]
    whole = signal.shadow(lost[mask > 0], quantum[mask > 0])
    known: dict[str, Any] = {'snr': round(whole.snr(), 3)}
    ratios = None
    if device.moved:
        ratios = _landmark_snr(signal, with_device, device, objects, setup)
    elif device.seen_by_pieces:
        ratios = _piece_snr(signal, lost, quantum, mask, points)
    if ratios is not None:
        shown &= ratios >= sampling.least_landmark_snr
        known['keypoint_snr'] = [round(float(value), 3) for value in ratios]
    keypoints = keypoints_of(
        points, setup.field_px, mask.shape, sampling.landmark_margin_px, shown
    )
    return annotation_of(
        index,
        mask > 0,
        keypoints,
        contrast=round(float(np.median(contrast[mask > 0])), 5),
        keypoint_contrast=[round(float(value), 5) for value in at_landmarks],
        keypoints_projected=points.tolist(),
        **known,
        **device.state,
    )


def _landmark_snr(
    signal: SceneSignal,
    with_device: tuple[Array, Array],
    device: ShownDevice,
    objects: Sequence[Body],
    setup: ViewSetup,
) -> Array:
    """Return how well each landmark can be told from where it also could be, shape (L,)."""
    actual, quantum = with_device
    field = open_mask(np.ones(actual.shape, np.uint8), setup.field_px) > 0
    ratios = []
    for bodies in device.moved:
        other, _ = signal.expected([*bodies, *objects])
        ratios.append(signal.shadow((other - actual)[field], quantum[field]).snr())
    return np.array(ratios)


def _piece_snr(
    signal: SceneSignal, lost: Array, quantum: Array, mask: NDArray[np.uint8], points_px: Array
) -> Array:
    """Return how well the device near each landmark can be told from nothing, shape (L,).

    Args:
        signal: of the view.
        lost: what the device takes [keV], shape (rows, columns).
        quantum: variance of quantum noise [keV^2], likewise.
        mask: pixels of the device, likewise.
        points_px: landmarks (u, v), shape (L, 2).
    """
    near = pieces_of(mask, points_px)
    return np.array([signal.shadow(lost[piece], quantum[piece]).snr() for piece in near])
