"""Per-pixel loops of the renderer: primary signal, tissue a device displaces.

What runs once a view uses all cores. What runs every frame takes about a millisecond and stays on
the calling thread: waiting for a second core that other processes use costs more than it saves.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from synthex_ros.xray.ray_marcher import MARGIN, fetch


@nb.njit(inline='always')
def _falloff(row, column, piercing, slope):
    """Return the cube of the cosine between a ray and the detector's normal."""
    x, y = (column - piercing[0]) * slope[1], (row - piercing[1]) * slope[0]
    square = np.float32(1.0 / (1.0 + x * x + y * y))
    return square * np.sqrt(square)


@nb.njit(parallel=True, fastmath=True, cache=True)
def primary(area, mu, weights, piercing, slope, signal, variance):
    """Fill signal [keV] and variance [keV^2] of the beam behind area densities (M, R, C)."""
    materials, nodes = mu.shape
    for row in nb.prange(area.shape[1]):
        for column in range(area.shape[2]):
            s, v = np.float32(0), np.float32(0)
            for k in range(nodes):
                depth = np.float32(0)
                for m in range(materials):
                    depth += mu[m, k] * area[m, row, column]
                passed = np.exp(-depth)
                s += weights[0, k] * passed
                v += weights[1, k] * passed
            fall = _falloff(row, column, piercing, slope)
            signal[row, column], variance[row, column] = s * fall, v * fall


@nb.njit(fastmath=True, cache=True)
def behind_device(
    area, removed, paths, mu, mu_device, weights, piercing, slope, top, left, signal, variance
):
    """Recompute signal and variance in a device's box where any of paths (D, h, w) is positive.

    removed (M, h, w) is taken off the area densities first.
    """
    devices, height, width = paths.shape
    materials, nodes = mu.shape
    for r in range(height):
        tissue = np.empty(materials, np.float32)
        row = top + r
        for c in range(width):
            total = 0.0
            for d in range(devices):
                total += paths[d, r, c]
            if total <= 0.0:
                continue
            column = left + c
            for m in range(materials):
                tissue[m] = max(area[m, row, column] - removed[m, r, c], np.float32(0))
            s, v = np.float32(0), np.float32(0)
            for k in range(nodes):
                depth = np.float32(0)
                for m in range(materials):
                    depth += mu[m, k] * tissue[m]
                for d in range(devices):
                    depth += mu_device[d, k] * np.float32(paths[d, r, c])
                passed = np.exp(-depth)
                s += weights[0, k] * passed
                v += weights[1, k] * passed
            fall = _falloff(row, column, piercing, slope)
            signal[row, column], variance[row, column] = s * fall, v * fall


@nb.njit(fastmath=True, cache=True)
def displaced(
    hu, table, hu_min, rays, ray_lengths, layer, top, left, step_m, max_samples, removed
):
    """Add path length times mean partial density between a device's entry and exit.

    rays: source, corner, column and row vectors in voxel indices; ray_lengths: source to detector
    [m], pitches and piercing point; layer: path, entry and exit [m]; removed (M, h, w) [g/cm^2].
    """
    path, entry, exit_ = layer
    source, corner, along_u, along_v = rays
    distance, pitch_v, pitch_u, u0, v0 = ray_lengths
    nz, ny, nx = hu.shape
    flat = hu.reshape(-1)
    for r in range(path.shape[0]):
        y_m = (top + r - v0) * pitch_v
        for c in range(path.shape[1]):
            if path[r, c] <= 0.0:
                continue
            x_m = (left + c - u0) * pitch_u
            length = math.sqrt(distance * distance + x_m * x_m + y_m * y_m)
            dx = (
                corner[0] + (left + c) * along_u[0] + (top + r) * along_v[0] - source[0]
            ) / length
            dy = (
                corner[1] + (left + c) * along_u[1] + (top + r) * along_v[1] - source[1]
            ) / length
            dz = (
                corner[2] + (left + c) * along_u[2] + (top + r) * along_v[2] - source[2]
            ) / length
            span = exit_[r, c] - entry[r, c]
            samples = min(max(int(math.ceil(span / step_m)), 1), max_samples)
            share = np.float32(path[r, c] * 100.0 / samples)
            for sample in range(samples):
                t = entry[r, c] + (sample + 0.5) * span / samples
                x, y, z = source[0] + t * dx, source[1] + t * dy, source[2] + t * dz
                if x < 0 or y < 0 or z < 0:
                    continue
                if x >= nx - MARGIN - 1 or y >= ny - MARGIN - 1 or z >= nz - MARGIN - 1:
                    continue
                value = fetch(flat, nx, ny, np.float32(x), np.float32(y), np.float32(z))
                bin_ = int(min(max(value - hu_min + 0.5, 0.0), table.shape[0] - 1.0))
                for m in range(table.shape[1]):
                    removed[m, r, c] += share * table[bin_, m]
