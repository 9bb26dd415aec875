"""What is known of the shape before the image: settings, noise models and the prior.

Unknowns of a fit, in this order: five control points [rad], a small rotation [rad] of the
manipulator's frame about its own axes, and a translation [m] of it along the world axes. The
last six have tight priors: they carry the uncertainty of the known base into the tip.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CONTROLS = 5
UNKNOWNS = CONTROLS + 6


@dataclass(frozen=True)
class ShapeSettings:
    """Noise of the detector, trust in the kinematics, and the numerics of the fit.

    Attributes:
        tip_sigma_px: standard deviation of the tip landmark per axis at score 1 [px].
        centerline_sigma_px: standard deviation of the mask's lateral centre [px].
        centerline_correlation: distance over which that error decays by e, as a fraction of the
            length; neighbouring stations share most of their error.
        stations: number of places along the curve where the mask is read.
        tube_radius_m: outer radius of the device [m].
        search_px: how far from the predicted curve the mask is searched at first [px].
        common_sigma_rad: prior on an offset common to the control points [rad per notch]:
            friction, backlash and contact against the nominal tendon model.
        gradient_sigma_rad: prior on a change from base to tip (half range) [rad per notch].
        waviness_sigma_rad: prior on each control point alone [rad per notch]; the smoothness.
        base_position_sigma_m: uncertainty of the known base per axis [m].
        base_rotation_sigma_rad: uncertainty of the base's orientation per axis, roll too [rad].
        model_sigma_m: what the model of the shape itself leaves unexplained at the tip [m].
        base_gate_px: distance of the seen base from the known one beyond which the base's
            registration is in doubt [px].
        edge_on_rad: angle between ray and bending plane below which all depths that explain the
            image enter the covariance, not only the best one's surroundings [rad].
        iterations: most Gauss-Newton steps.
    """

    tip_sigma_px: float = 1.0
    centerline_sigma_px: float = 0.7
    centerline_correlation: float = 0.25
    stations: int = 14
    tube_radius_m: float = 0.003
    search_px: float = 24.0
    common_sigma_rad: float = 0.006
    gradient_sigma_rad: float = 0.004
    waviness_sigma_rad: float = 0.002
    base_position_sigma_m: float = 2e-4
    base_rotation_sigma_rad: float = 0.005
    model_sigma_m: float = 1e-4
    base_gate_px: float = 8.0
    edge_on_rad: float = float(np.radians(15.0))
    iterations: int = 8

    def __post_init__(self):
        for item in fields(self):
            value = getattr(self, item.name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f'{item.name} must be positive and finite, got {value}')
        if self.stations < 4:
            raise ValueError(f'stations must be at least 4, got {self.stations}')


def control_covariance(settings: ShapeSettings) -> Array:
    """Return the prior covariance of the control points [rad^2], shape (5, 5).

    A common part, a linear part and an independent part: an error of the tendons' pull changes
    all notches alike, friction along the tendons makes the bend fall off from base to tip, and
    what is left over is small, which keeps the curve smooth.
    """
    ramp = np.linspace(-1.0, 1.0, CONTROLS)
    return (
        settings.common_sigma_rad**2 * np.ones((CONTROLS, CONTROLS))
        + settings.gradient_sigma_rad**2 * np.outer(ramp, ramp)
        + settings.waviness_sigma_rad**2 * np.eye(CONTROLS)
    )


def prior_covariance(settings: ShapeSettings) -> Array:
    """Return the prior covariance of all unknowns, shape (11, 11)."""
    covariance = np.zeros((UNKNOWNS, UNKNOWNS))
    covariance[:CONTROLS, :CONTROLS] = control_covariance(settings)
    base = [settings.base_rotation_sigma_rad] * 3 + [settings.base_position_sigma_m] * 3
    covariance[CONTROLS:, CONTROLS:] = np.diag(np.square(base))
    return covariance


def station_covariance(settings: ShapeSettings) -> Array:
    """Return the covariance of the lateral offsets [px^2], shape (stations, stations).

    Exponential correlation along the curve, and a tenth of the variance independent.
    """
    place = station_fractions(settings)
    distance = np.abs(place[:, None] - place[None, :])
    shared = np.exp(-distance / settings.centerline_correlation)
    return settings.centerline_sigma_px**2 * (0.9 * shared + 0.1 * np.eye(len(place)))


def station_fractions(settings: ShapeSettings) -> Array:
    """Return where the mask is read, as fractions of the length, shape (stations,).

    The ends are left out: there the mask's rim, not its centre line, is seen.
    """
    return np.linspace(0.08, 0.94, settings.stations)
