"""Loops over the pixels around devices: displaced tissue, signal behind them, focal spot.

The pixels are spans of rows: those of row r have the columns from first[r] on and the places
starts[r] to starts[r + 1] of every list.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from synthex_ros.xray.fast_exp import exp_negative
from synthex_ros.xray.kernels import blend_four
from synthex_ros.xray.ray_marcher import MARGIN, fetch


@nb.njit(cache=True)
def widen_spans(path, corner, low, high):
    """Let the spans low..high (R) include where path (h, w), drawn at corner, is positive."""
    width = path.shape[1]
    for r in range(path.shape[0]):
        line, row = path[r], corner[0] + r
        c = 0
        while c < width and not line[c] > 0.0:
            c += 1
        if c == width:
            continue
        low[row] = min(low[row], corner[1] + c)
        c = width - 1
        while not line[c] > 0.0:
            c -= 1
        high[row] = max(high[row], corner[1] + c + 1)


@nb.njit(cache=True)
def list_spans(low, high, reach, columns, starts, first):
    """Fill starts (R + 1) and first (R) with spans widened by reach rows and columns."""
    rows, count = low.size, 0
    for row in range(rows):
        starts[row] = count
        left, right = columns, 0
        for other in range(max(row - reach[0], 0), min(row + reach[0] + 1, rows)):
            left, right = min(left, low[other]), max(right, high[other])
        first[row] = 0
        if left < right:
            first[row] = max(left - reach[1], 0)
            count += min(right + reach[1], columns) - first[row]
    starts[rows] = count


@nb.njit(inline='always')
def _toward(row, column, rays, ray_lengths):
    """Return a ray's direction in voxels a metre."""
    source, corner, along_u, along_v = rays
    distance, pitch_v, pitch_u, u0, v0 = ray_lengths
    y_m, x_m = (row - v0) * pitch_v, (column - u0) * pitch_u
    length = math.sqrt(distance * distance + x_m * x_m + y_m * y_m)
    return (
        (corner[0] + column * along_u[0] + row * along_v[0] - source[0]) / length,
        (corner[1] + column * along_u[1] + row * along_v[1] - source[1]) / length,
        (corner[2] + column * along_u[2] + row * along_v[2] - source[2]) / length,
    )


@nb.njit(inline='always')
def _mean_densities(hu, region, table, hu_min, source, way, near, far, step_m, max_samples, mean):
    """Fill mean (M) with the mean partial densities on a ray between two distances [m].

    HU are trilinear, the region is the nearest voxel's.
    """
    nz, ny, nx = hu.shape
    flat = hu.reshape(-1)
    samples = min(max(int(math.ceil((far - near) / step_m)), 1), max_samples)
    mean[:] = np.float32(0)
    for sample in range(samples):
        t = near + (sample + 0.5) * (far - near) / samples
        x, y, z = source[0] + t * way[0], source[1] + t * way[1], source[2] + t * way[2]
        if x < 0 or y < 0 or z < 0:
            continue
        if x >= nx - MARGIN - 1 or y >= ny - MARGIN - 1 or z >= nz - MARGIN - 1:
            continue
        value = fetch(flat, nx, ny, np.float32(x), np.float32(y), np.float32(z))
        row = int(min(max(value - hu_min + 0.5, 0.0), table.shape[1] - 1.0))
        own = region[int(z + 0.5), int(y + 0.5), int(x + 0.5)] if region.shape[0] > 0 else 0
        for m in range(mean.size):
            mean[m] += table[own, row, m]
    for m in range(mean.size):
        mean[m] /= np.float32(samples)


@nb.njit(parallel=True, fastmath=True, cache=True)
def place_device(
    hu, region, table, hu_min, rays, ray_lengths, starts, first, corner, layer, step_m,
    max_samples, stride, path, removed,
):  # fmt: skip
    """Add a device's path to path (n), and to removed (M, n) the tissue in its place.

    That is path length times mean partial density between entry and exit. The means of a pixel
    also hold for the next `stride` - 1 of its row: a CT has no finer detail than a few pixels.

    region: which of the tables (R, n_hu, M) holds in a voxel; (0, 0, 0) is the first everywhere.
    rays: source, corner, column and row vectors in voxel indices; ray_lengths: source to detector
    [m], pitches and piercing point; layer: path, entry and exit [m] (h, w), drawn at corner.
    """
    length, entry, exit_ = layer
    for r in nb.prange(length.shape[0]):
        mean = np.empty(table.shape[2], np.float32)
        row, valid_to = corner[0] + r, -1
        shift = starts[row] - first[row]
        for c in range(length.shape[1]):
            if not length[r, c] > 0.0:
                valid_to = -1
                continue
            column = corner[1] + c
            if column >= valid_to:
                way = _toward(row, column, rays, ray_lengths)
                _mean_densities(
                    hu, region, table, hu_min, rays[0], way, entry[r, c], exit_[r, c], step_m,
                    max_samples, mean,
                )  # fmt: skip
                valid_to = column + stride
            index = shift + column
            path[index] += np.float32(length[r, c])
            for m in range(mean.size):
                removed[m, index] += np.float32(100.0 * length[r, c]) * mean[m]


@nb.njit(parallel=True, fastmath=True, cache=True)
def behind_devices(
    area, rows_at, columns_at, removed, paths, mu, mu_device, weights, piercing, slope, profile,
    signal, variance, starts, first, values,
):  # fmt: skip
    """Fill values (2, n), signal and variance behind devices; those of (R, C) without a path.

    removed (M, n) is taken off the area densities between the samples (M, h, w); paths (D, n) are
    in metres. rows_at, columns_at: places and weights of the pixels' four samples. profile (R, C)
    is a factor of both; (0, 0) is 1.
    """
    materials, nodes = mu.shape
    place, weight = columns_at
    for row in nb.prange(starts.size - 1):
        begin, end, left = starts[row], starts[row + 1], first[row]
        size = end - begin
        if size == 0:
            continue
        tissue, fall = np.empty((materials, size), np.float32), np.empty(size, np.float32)
        line, p, w = np.empty(area.shape[2], np.float32), rows_at[0][row], rows_at[1][row]
        low, high = place[left].min(), place[left + size - 1].max() + 1
        for m in range(materials):
            part, gone = area[m, :, low:high], removed[m, begin:end]
            blend_four(part[p[0]], part[p[1]], part[p[2]], part[p[3]], w, line[low:high])
            for i in range(size):
                c = left + i
                here = weight[c, 0] * line[place[c, 0]] + weight[c, 1] * line[place[c, 1]]
                here += weight[c, 2] * line[place[c, 2]] + weight[c, 3] * line[place[c, 3]]
                tissue[m, i] = max(max(here, np.float32(0)) - gone[i], np.float32(0))
        y = (row - piercing[1]) * slope[0]
        rest = np.float32(1.0 + y * y)
        step, start = np.float32(slope[1]), np.float32((left - piercing[0]) * slope[1])
        for i in range(size):
            x = start + np.float32(i) * step
            square = np.float32(1) / (rest + x * x)
            fall[i] = square * np.sqrt(square)
        if profile.shape[0] > 0:
            factors = profile[row, left : left + size]
            for i in range(size):
                fall[i] *= factors[i]
        depth = np.empty(size, np.float32)
        s, v = values[0, begin:end], values[1, begin:end]
        s[:], v[:] = np.float32(0), np.float32(0)
        for k in range(nodes):
            depth[:] = np.float32(0)
            for m in range(materials):
                amount, factor = tissue[m], mu[m, k]
                for i in range(size):
                    depth[i] += factor * amount[i]
            for d in range(paths.shape[0]):
                amount, factor = paths[d, begin:end], mu_device[d, k]
                for i in range(size):
                    depth[i] += factor * amount[i]
            energy, square = weights[0, k], weights[1, k]
            for i in range(size):
                passed = fall[i] * exp_negative(depth[i])
                s[i] += energy * passed
                v[i] += square * passed
        total = depth
        total[:] = np.float32(0)
        for d in range(paths.shape[0]):
            amount = paths[d, begin:end]
            for i in range(size):
                total[i] += amount[i]
        old, old_variance = signal[row, left : left + size], variance[row, left : left + size]
        for i in range(size):
            if not total[i] > 0:
                s[i], v[i] = old[i], old_variance[i]


@nb.njit(parallel=True, fastmath=True, cache=True)
def blur_spans(starts, first, values, signal, variance, down, across, out):
    """Fill out (2, n) with signal and variance (R, C) and the spread of what values change there.

    Beyond the spans nothing is changed.
    """
    rows, side, reach = starts.size - 1, across.size // 2, down.size // 2
    wide = np.zeros(values.shape, np.float32)
    for row in nb.prange(rows):
        size, left = starts[row + 1] - starts[row], first[row]
        line = np.empty(size, np.float32)
        for image in range(2):
            old = signal[row] if image == 0 else variance[row]
            for i in range(size):
                line[i] = values[image, starts[row] + i] - old[left + i]
            sums = wide[image, starts[row] : starts[row + 1]]
            for tap in range(across.size):
                shift, weight = tap - side, across[tap]
                for i in range(max(0, -shift), min(size, size - shift)):
                    sums[i] += weight * line[i + shift]
    for row in nb.prange(rows):
        size, left = starts[row + 1] - starts[row], first[row]
        for image in range(2):
            sums = out[image, starts[row] : starts[row + 1]]
            old = signal[row] if image == 0 else variance[row]
            for i in range(size):
                sums[i] = old[left + i]
            for tap in range(down.size):
                other, weight = row + tap - reach, down[tap]
                if other < 0 or other >= rows:
                    continue
                line = wide[image, starts[other] : starts[other + 1]]
                shift = left - first[other]
                for i in range(max(0, -shift), min(size, line.size - shift)):
                    sums[i] += weight * line[i + shift]
