"""Compiled loops of the factorised projector, for voxels of one, four or eight materials."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from synthex_ros.xray.lane_vectors import lerp_lanes, prefetch, spline_lanes

BLOCK_ROWS = 48


@nb.njit(fastmath=True, inline='always')
def _resample_line(tag, flat, offset, following, voxel, share, low, high, out):
    """Fill out[low:high] with a slice's line, linear between each voxel and the next.

    The line that follows, in another page of memory, is asked for meanwhile.
    """
    lanes = len(tag)
    for i in range(low, high):
        prefetch(flat, np.uint64(following + voxel[i]))
        lerp_lanes(tag, flat, np.uint64(offset + voxel[i]), share[i], out, np.uint64(lanes * i))


@nb.njit(inline='always')
def _inside(start, step, count, limit):
    """Return the range of i in 0..count with 0 <= start + i * step < limit."""
    low = int(math.ceil(-start / step))
    high = int(math.ceil((limit - start) / step))
    return min(max(low, 0), count), min(max(high, 0), count)


@nb.njit(inline='always')
def _below(base, slope, low, high):
    """Return the part of low..high where base + slope * i < 1."""
    if slope > 0:
        return low, max(low, min(high, int(math.ceil((1.0 - base) / slope))))
    if slope < 0:
        return min(high, max(low, int(math.floor((1.0 - base) / slope)) + 1)), high
    return low, high if base < 1.0 else low


@nb.njit(parallel=True, fastmath=True, cache=True)
def accumulate(tag, flat, shape, strides, source, normal, cut, reference, first, step, sums):
    """Add the slices up on the intermediate plane: fill sums (rows, columns, lanes).

    tag has as many items as there are lanes; flat, shape and strides describe the packed volume
    as slices, lines and voxels; source and plane are in its voxel indices, see `shear_warp`.
    """
    lanes = len(tag)
    slices, lines, width = shape
    rows, columns, _ = sums.shape
    # An even number of blocks of nearly the same height: two threads end together.
    blocks = 2 * max(1, (rows + 2 * BLOCK_ROWS - 1) // (2 * BLOCK_ROWS))
    each = (rows + blocks - 1) // blocks
    for block in nb.prange(blocks):
        top = min(block * each, rows)
        count = min(each, rows - top)
        total = np.zeros((count, columns * lanes), np.float32)
        strip = np.empty((lines + 2, columns * lanes), np.float32)
        voxel, share = np.empty(columns, np.int32), np.empty(columns, np.float32)
        for k in range(slices):
            t = (k - 1 - source[2]) / (reference - source[2])
            if t < 1e-6:
                continue  # behind the focal spot
            # Indices count from the empty voxel around the grid.
            start_i = source[0] + (first[0] - source[0]) * t + 1.0
            start_j = source[1] + (first[1] + top * step[1] - source[1]) * t + 1.0
            step_i, step_j = step[0] * t, step[1] * t
            left, right = _inside(start_i, step_i, columns, width - 1 - 1e-3)
            low, high = _inside(start_j, step_j, count, lines - 1 - 1e-3)
            if left >= right or low >= high:
                continue
            near = max(int(start_j + low * step_j), 0)
            far = min(int(start_j + (high - 1) * step_j) + 1, lines - 1)
            for i in range(left, right):
                x = np.float32(start_i + i * step_i)
                whole = np.int32(x)
                voxel[i], share[i] = lanes * whole, x - np.float32(whole)
            for line in range(near, far + 1):
                offset = k * strides[0] + line * strides[1]
                ahead = strides[1] if line < far else strides[0] - (far - near) * strides[1]
                out = strip[line - near]
                _resample_line(tag, flat, offset, offset + ahead, voxel, share, left, right, out)
            for row in range(low, high):
                y = max(start_j + row * step_j, 0.0)
                line = min(int(y), lines - 2)
                f = np.float32(y - line)
                g = np.float32(1) - f
                start, stop = left, right
                if cut:
                    base = normal[0] * (start_i - 1.0 - source[0])
                    base += normal[1] * (y - 1.0 - source[1])
                    base += normal[2] * (k - 1.0 - source[2])
                    start, stop = _below(base, normal[0] * step_i, left, right)
                # Slices that are walked from 0 are what the compiler vectorises.
                s = total[row, start * lanes : stop * lanes]
                a = strip[line - near, start * lanes : stop * lanes]
                b = strip[line - near + 1, start * lanes : stop * lanes]
                for c in range(s.shape[0]):
                    s[c] += g * a[c] + f * b[c]
        for row in range(count):
            for c in range(columns):
                for m in range(lanes):
                    sums[top + row, c, m] = total[row, c * lanes + m]


@nb.njit(inline='always')
def _weights(f):
    """Return the four weights of the Catmull-Rom spline at fraction f."""
    return (
        np.float32(0.5) * f * (f * (np.float32(2) - f) - np.float32(1)),
        np.float32(0.5) * (f * f * (np.float32(3) * f - np.float32(5)) + np.float32(2)),
        np.float32(0.5) * f * (f * (np.float32(4) - np.float32(3) * f) + np.float32(1)),
        np.float32(0.5) * f * f * (f - np.float32(1)),
    )


@nb.njit(parallel=True, fastmath=True, cache=True)
def warp(tag, sums, rays, spacing, reference, first, step, scale, out):
    """Take the plane to the detector: fill out (M, rows, columns) by Catmull-Rom splines."""
    lanes = len(tag)
    source, corner, along_u, along_v = rays
    count, columns = out.shape[0], out.shape[2]
    depth = reference - source[2]
    flat, (height, width, _) = sums.reshape(-1), sums.shape
    per_step = (1.0 / step[0], 1.0 / step[1])
    for row in nb.prange(out.shape[1]):
        value = np.empty(lanes, np.float32)
        for column in range(columns):
            di = corner[0] + column * along_u[0] + row * along_v[0] - source[0]
            dj = corner[1] + column * along_u[1] + row * along_v[1] - source[1]
            dk = corner[2] + column * along_u[2] + row * along_v[2] - source[2]
            ahead = depth / dk
            x = (source[0] + di * ahead - first[0]) * per_step[0]
            y = (source[1] + dj * ahead - first[1]) * per_step[1]
            p, q = int(math.floor(x)), int(math.floor(y))
            if p < 1 or q < 1 or p >= width - 2 or q >= height - 2:
                for m in range(count):
                    out[m, row, column] = np.float32(0)
                continue
            way = (di * spacing[0]) ** 2 + (dj * spacing[1]) ** 2 + (dk * spacing[2]) ** 2
            length = np.float32(math.sqrt(way) / abs(dk))
            u, v = _weights(np.float32(x - p)), _weights(np.float32(y - q))
            here = np.uint64(((q - 1) * width + p - 1) * lanes)
            spline_lanes(tag, flat, here, np.uint64(width), u, v, value)
            for m in range(count):
                out[m, row, column] = max(value[m] * scale[m] * length, np.float32(0))
