"""Per-pixel loops of the renderer: primary signal, signal behind devices, displaced tissue.

Inner loops run over the pixels of a row with contiguous slices, which compilers vectorise.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from synthex_ros.xray.fast_exp import exp_negative
from synthex_ros.xray.ray_marcher import MARGIN, fetch

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
def _blend_four(a, b, c, d, w, out):
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
        _blend_four(wide[0, p[0]], wide[0, p[1]], wide[0, p[2]], wide[0, p[3]], w, depth)
        _blend_four(wide[1, p[0]], wide[1, p[1]], wide[1, p[2]], wide[1, p[3]], w, quantum)
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


@nb.njit(cache=True)
def list_covered(covered, corner, starts, columns):
    """Fill starts (R + 1) and columns (n): pixels of row r are columns[starts[r]:starts[r + 1]].

    covered (h, w) is a part of the image from corner (row, column) on.
    """
    count = 0
    for row in range(starts.size - 1):
        starts[row] = count
        r = row - corner[0]
        if 0 <= r < covered.shape[0]:
            for c in range(covered.shape[1]):
                if covered[r, c]:
                    columns[count] = corner[1] + c
                    count += 1
    starts[-1] = count


@nb.njit(cache=True)
def gather(image, corner, starts, columns, out):
    """Fill out (n) with the listed pixels of an image that starts at corner; 0 outside of it."""
    height, width = image.shape
    for r in range(height):
        for index in range(starts[corner[0] + r], starts[corner[0] + r + 1]):
            c = columns[index] - corner[1]
            if 0 <= c < width:
                out[index] = image[r, c]


@nb.njit(parallel=True, fastmath=True, cache=True)
def behind_devices(
    area, rows_at, columns_at, removed, paths, mu, mu_device, weights, piercing, slope, profile,
    starts, columns, values,
):  # fmt: skip
    """Fill values (2, n), signal and variance of listed pixels behind anatomy and devices.

    removed (M, n) is taken off the area densities between the samples (M, h, w) first; paths
    (D, n) are in metres. rows_at, columns_at: places and weights of the pixels' four samples.
    """
    materials, nodes = mu.shape
    place, weight = columns_at
    for row in nb.prange(starts.size - 1):
        first, last = starts[row], starts[row + 1]
        size = last - first
        if size == 0:
            continue
        tissue, fall = np.empty((materials, size), np.float32), np.empty(size, np.float32)
        p, w = rows_at[0][row], rows_at[1][row]
        left, right = place[columns[first]].min(), place[columns[last - 1]].max() + 1
        line = np.empty(area.shape[2], np.float32)
        for m in range(materials):
            part = area[m, :, left:right]
            _blend_four(part[p[0]], part[p[1]], part[p[2]], part[p[3]], w, line[left:right])
            for i in range(size):
                q, g = place[columns[first + i]], weight[columns[first + i]]
                here = (
                    g[0] * line[q[0]] + g[1] * line[q[1]] + g[2] * line[q[2]] + g[3] * line[q[3]]
                )
                tissue[m, i] = max(max(here, np.float32(0)) - removed[m, first + i], np.float32(0))
        y = (row - piercing[1]) * slope[0]
        for i in range(size):
            column = columns[first + i]
            x = (column - piercing[0]) * slope[1]
            square = np.float32(1.0 / (1.0 + x * x + y * y))
            fall[i] = square * np.sqrt(square)
            if profile.shape[0] > 0:
                fall[i] *= profile[row, column]
        depth = np.empty(size, np.float32)
        s, v = values[0, first:last], values[1, first:last]
        s[:], v[:] = np.float32(0), np.float32(0)
        for k in range(nodes):
            depth[:] = np.float32(0)
            for m in range(materials):
                amount, factor = tissue[m], mu[m, k]
                for i in range(size):
                    depth[i] += factor * amount[i]
            for d in range(paths.shape[0]):
                amount, factor = paths[d, first:last], mu_device[d, k]
                for i in range(size):
                    depth[i] += factor * amount[i]
            energy, square = weights[0, k], weights[1, k]
            for i in range(size):
                passed = fall[i] * exp_negative(depth[i])
                s[i] += energy * passed
                v[i] += square * passed


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
def displaced(
    hu, region, table, hu_min, rays, ray_lengths, starts, columns, layer, step_m, max_samples,
    stride, removed,
):  # fmt: skip
    """Add path length times mean partial density between a device's entry and exit.

    The means of a listed pixel also hold for the next `stride` - 1 of its row that touch it: a
    CT has no finer detail than a few pixels.

    region: which of the tables (R, n_hu, M) holds in a voxel; (0, 0, 0) is the first everywhere.
    rays: source, corner, column and row vectors in voxel indices; ray_lengths: source to detector
    [m], pitches and piercing point; layer: path, entry and exit [m], (n) each; removed (M, n).
    """
    path, entry, exit_ = layer
    for row in nb.prange(starts.size - 1):
        mean = np.empty(table.shape[2], np.float32)
        valid_to = -1
        for index in range(starts[row], starts[row + 1]):
            if path[index] <= 0.0:
                valid_to = -1
                continue
            column = columns[index]
            if column >= valid_to or columns[index - 1] != column - 1:
                way = _toward(row, column, rays, ray_lengths)
                _mean_densities(
                    hu, region, table, hu_min, rays[0], way, entry[index], exit_[index],
                    step_m, max_samples, mean,
                )  # fmt: skip
                valid_to = column + stride
            for m in range(mean.size):
                removed[m, index] += np.float32(100.0 * path[index]) * mean[m]
