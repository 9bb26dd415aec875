"""Loops over the pixels of an anatomy: attenuation, signal between samples, blends.

Inner loops run over the pixels of a row with contiguous slices, which compilers vectorise.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from synthex_ros.xray.fast_exp import exp_negative

DARKEST = 60.0
"""Greatest logarithm of the open beam over a signal that is told apart from none."""
OVERSHOOT = 0.1
"""Greatest distance of a spline through that logarithm from the straight line."""


@nb.njit(inline='always')
def _fall_off(row, first, piercing, slope, signal, variance):
    """Weaken a row by the cube of the cosine between ray and the detector's normal."""
    y = (row - piercing[1]) * slope[0]
    step, start = np.float32(slope[1]), np.float32((first - piercing[0]) * slope[1])
    rest = np.float32(1.0 + y * y)
    for c in range(signal.size):
        x = start + np.float32(c) * step
        square = np.float32(1) / (rest + x * x)
        fall = square * np.sqrt(square)
        signal[c] *= fall
        variance[c] *= fall


@nb.njit(parallel=True, fastmath=True, cache=True)
def attenuate(area, mu, weights, out):
    """Fill out (2, h, w) with the beam behind area densities (M, h, w).

    out[0] is the logarithm of the open beam's signal over the signal, at most `DARKEST`; out[1] is
    variance over signal [keV].
    """
    materials, nodes = mu.shape
    columns = area.shape[2]
    open_kev = np.float32(0)
    for k in range(nodes):
        open_kev += weights[0, k]
    for row in nb.prange(area.shape[1]):
        depth = np.empty(columns, np.float32)
        s, v = np.zeros(columns, np.float32), np.zeros(columns, np.float32)
        for k in range(nodes):
            depth[:] = np.float32(0)
            for m in range(materials):
                line, factor = area[m, row], mu[m, k]
                for c in range(columns):
                    depth[c] += factor * line[c]
            energy, square = weights[0, k], weights[1, k]
            for c in range(columns):
                passed = exp_negative(depth[c])
                s[c] += energy * passed
                v[c] += square * passed
        least = open_kev * np.float32(math.exp(-DARKEST))
        for c in range(columns):
            kept = max(s[c], least)
            out[0, row, c] = np.log(open_kev / kept)
            out[1, row, c] = v[c] / kept


@nb.njit(inline='always')
def blend_four(a, b, c, d, w, out):
    """Fill out with the sum of four lines, weighted."""
    w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
    for i in range(out.size):
        out[i] = w0 * a[i] + w1 * b[i] + w2 * c[i] + w3 * d[i]


@nb.njit(parallel=True, fastmath=True, cache=True)
def raise_signal(
    samples, coefficients, rows_at, columns_at, open_kev, piercing, slope, profile, signal,
    variance,
):  # fmt: skip
    """Fill signal [keV] and variance [keV^2] (R, C) between samples (2, h, w) of `attenuate`.

    Splines, given by their coefficients, interpolate; where the logarithm's would be farther than
    `OVERSHOOT` from the straight line, as beside the shadow of metal, it ends there.

    rows_at, columns_at: places, spline weights and linear weights of the pixels' four samples.
    profile (R, C) is a factor of both; (0, 0) is 1.
    """
    _, height, _ = coefficients.shape
    rows, columns = signal.shape
    place, spline, linear = columns_at
    wide = np.empty((3, height, columns), np.float32)
    for row in nb.prange(height):
        depth, quantum, straight = coefficients[0, row], coefficients[1, row], samples[0, row]
        for c in range(columns):
            a, b, d, e = place[c, 0], place[c, 1], place[c, 2], place[c, 3]
            u, v, w, x = spline[c, 0], spline[c, 1], spline[c, 2], spline[c, 3]
            wide[0, row, c] = u * depth[a] + v * depth[b] + w * depth[d] + x * depth[e]
            wide[1, row, c] = u * quantum[a] + v * quantum[b] + w * quantum[d] + x * quantum[e]
            wide[2, row, c] = linear[c, 1] * straight[b] + linear[c, 2] * straight[d]
    for row in nb.prange(rows):
        p, w, g = rows_at[0][row], rows_at[1][row], rows_at[2][row]
        depth, quantum = np.empty(columns, np.float32), np.empty(columns, np.float32)
        blend_four(wide[0, p[0]], wide[0, p[1]], wide[0, p[2]], wide[0, p[3]], w, depth)
        blend_four(wide[1, p[0]], wide[1, p[1]], wide[1, p[2]], wide[1, p[3]], w, quantum)
        above, below, g1, g2 = wide[2, p[1]], wide[2, p[2]], g[1], g[2]
        s, v = signal[row], variance[row]
        for c in range(columns):
            straight = g1 * above[c] + g2 * below[c]
            least = max(straight - np.float32(OVERSHOOT), np.float32(0))
            bent = min(max(depth[c], least), straight + np.float32(OVERSHOOT))
            passed = open_kev * exp_negative(bent)
            s[c] = passed
            v[c] = passed * quantum[c]
        _fall_off(row, 0, piercing, slope, s, v)
        if profile.shape[0] > 0:
            factors = profile[row]
            for c in range(columns):
                s[c] *= factors[c]
                v[c] *= factors[c]


@nb.njit(parallel=True, fastmath=True, cache=True)
def mix(first, second, share, out):
    """Fill out with (1 - share) * first + share * second; all (n), float32."""
    for i in nb.prange(out.size):
        out[i] = first[i] + share * (second[i] - first[i])
