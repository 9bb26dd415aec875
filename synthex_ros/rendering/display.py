"""Pictures for people: logarithm, a window from the open field, patient's left on the right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthex_ros.geometry import ProjectionGeometry
from synthex_ros.rendering.request import RenderSettings
from synthex_ros.xray.display import (
    AutomaticWindow,
    DisplayChain,
    DisplayStep,
    EdgeEnhancement,
    FixedWindow,
    Flip,
    Inversion,
    Logarithm,
    Shutter,
    TemporalFilter,
)

_PERCENTILES = (0.5, 99.5)
_ALL_PIXELS = 2**26


def window(
    counts: NDArray[np.uint16], open_field: NDArray[np.bool_] | None = None
) -> tuple[float, float]:
    """Return the counts shown black and white: percentiles of the open field."""
    low, high = _automatic(open_field).measured(np.asarray(counts, np.float32))
    return low, max(high, low + 1)


def display_picture(
    counts: NDArray[np.uint16],
    open_field: NDArray[np.bool_] | None = None,
    limits: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """Return a grey picture, shape (rows, columns), mirrored to the radiological view.

    More X-rays are brighter, as on a fluoroscopy screen. The image of the tube's side, columns
    towards the patient's right, becomes the one of an observer who faces the patient.

    Args:
        counts: detector counts, shape (rows, columns).
        open_field: pixels that decide the window; the others are shown nearly black.
        limits: counts shown black and white; default `window(counts, open_field)`.
    """
    steps: list[DisplayStep] = [Logarithm(), _fixed(limits or window(counts, open_field))]
    if open_field is not None:
        steps.append(Shutter(open_field))
    return DisplayChain([*steps, Flip(horizontal=True)]).show(counts)


def make_chain(
    settings: RenderSettings, geometry: ProjectionGeometry, open_field: NDArray[np.bool_]
) -> DisplayChain:
    """Return the display chain that settings ask for; one chain shows all frames of a cine.

    Args:
        settings: those that begin with `display_`.
        geometry: of the frames.
        open_field: pixels that decide the window; the others are shown nearly black.
    """
    steps: list[DisplayStep] = [Logarithm()]
    if settings.display_frame_weight < 1:
        steps.append(
            TemporalFilter(settings.display_frame_weight, settings.display_motion or None)
        )
    if settings.display_window:
        steps.append(_fixed((settings.display_window[0], settings.display_window[1])))
    else:
        steps.append(_automatic(open_field, settings.display_time_constant_s))
    if settings.display_edge_strength:
        strength, radius_m = settings.display_edge_strength, settings.display_edge_radius_m
        steps.append(EdgeEnhancement(strength, radius_m, geometry.pixel_pitch_m))
    if settings.display_inverted:
        steps.append(Inversion())
    flip = Flip(settings.display_mirrored, settings.display_upside_down)
    return DisplayChain([*steps, Shutter(open_field), flip])


def _automatic(
    open_field: NDArray[np.bool_] | None, time_constant_s: float = 1.0
) -> AutomaticWindow:
    return AutomaticWindow(_PERCENTILES, time_constant_s, open_field, _ALL_PIXELS)


def _fixed(limits: tuple[float, float]) -> FixedWindow:
    low, high = np.log1p(np.maximum(limits, 0))
    return FixedWindow(float(low), float(max(high, low + 1e-6)))
