"""Pictures for people: logarithm, a window from the open field, patient's left on the right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PERCENTILES = (0.5, 99.5)
_SHUT_GREY = 12


def window(
    counts: NDArray[np.uint16], open_field: NDArray[np.bool_] | None = None
) -> tuple[float, float]:
    """Return the counts shown black and white: percentiles of the open field."""
    seen = counts if open_field is None else counts[open_field]
    low, high = np.percentile(seen, _PERCENTILES)
    return float(low), float(max(high, low + 1))


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
    low, high = np.log1p(limits or window(counts, open_field))
    grey = (np.log1p(counts.astype(np.float32)) - low) / max(high - low, 1e-6)
    picture = np.clip(np.round(255 * grey), 0, 255).astype(np.uint8)
    if open_field is not None:
        picture[~open_field] = np.minimum(picture[~open_field], _SHUT_GREY)
    return np.ascontiguousarray(picture[:, ::-1])
