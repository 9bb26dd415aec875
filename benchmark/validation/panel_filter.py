"""The panel's light spread as theory gives it: a Gaussian over square pixels, sampled."""

from __future__ import annotations

import numpy as np

ORDERS = np.arange(-6, 7)


def ideal_mtf(cycles_px: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return the MTF of a continuous panel: Gaussian spread, then square pixels."""
    return np.exp(-2 * (np.pi * sigma_px * cycles_px) ** 2) * np.sinc(cycles_px)


def sampled_filter(cycles_px: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return what a filter does that is `ideal_mtf`'s point image sampled at pixel centres.

    Sampling repeats the spectrum at every whole number of cycles a pixel.
    """
    repeats = np.add.outer(ORDERS, np.asarray(cycles_px, float))
    return ideal_mtf(repeats, sigma_px).sum(axis=0) / ideal_mtf(ORDERS, sigma_px).sum()


def aperture(cycles_px: np.ndarray, rays: int) -> np.ndarray:
    """Return what averaging `rays` even points a pixel does; 1 is a ray at the centre."""
    return (
        np.sinc(cycles_px) / np.sinc(np.asarray(cycles_px) / rays)
        if rays > 1
        else np.ones_like(cycles_px)
    )
