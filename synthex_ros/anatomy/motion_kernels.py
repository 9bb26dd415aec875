"""Loops of the chest's deformation: where tissue came from, and the CT fetched there."""

from __future__ import annotations

import math

import numba as nb
import numpy as np


@nb.njit(inline='always')
def _smooth(t):
    t = min(max(t, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@nb.njit(nogil=True, cache=True)
def respiratory_pull(x, y, z, breath):
    """Return where breathing brought a point [m] from.

    breath: caudal and anterior displacement now, apex and base z, spine x and y, depth to the
    breastbone, radius at rest and radius of full motion round the spine, all [m].
    """
    caudal, anterior, apex, base, spine_x, spine_y, depth, rest, full = breath
    height = _smooth((apex - z) / (apex - base))
    aside, behind = x - spine_x, y - spine_y
    away = _smooth((np.sqrt(aside * aside + behind * behind) - rest) / (full - rest))
    # Back muscles, skin and table lie behind the spine and rest.
    front = _smooth((full - behind) / full)
    forward = _smooth(-behind / depth)
    return x, y + anterior * height * forward, z + caudal * height * away * front


@nb.njit(nogil=True, cache=True)
def heart_pull(x, y, z, heart):
    """Return where the heartbeat brought a point [m] from: further out, in a ball.

    heart: strength, centre x, y, z and radius of the ball [m].
    """
    strength, cx, cy, cz, reach = heart
    dx, dy, dz = x - cx, y - cy, z - cz
    square = (dx * dx + dy * dy + dz * dz) / (reach * reach)
    if square >= 1.0:
        return x, y, z
    pull = strength * (1.0 - square) ** 2
    return x + pull * dx, y + pull * dy, z + pull * dz


@nb.njit(cache=True)
def pull_points(points, breath, heart, out):
    """Fill out (N, 3) with where points (N, 3) came from [m]."""
    for n in range(points.shape[0]):
        x, y, z = respiratory_pull(points[n, 0], points[n, 1], points[n, 2], breath)
        out[n, 0], out[n, 1], out[n, 2] = heart_pull(x, y, z, heart)


@nb.njit(nogil=True, cache=True)
def _fill_nodes(k, j, stride, spacing, turn, shift, breath, heart, nodes):
    """Fill nodes (3, n) with the displacement back [voxels] of every `stride`-th voxel of a row.

    Returns if anything moves.
    """
    moves = False
    for n in range(nodes.shape[1]):
        gx, gy, gz = n * stride * spacing[0], j * spacing[1], k * spacing[2]
        px = turn[0, 0] * gx + turn[0, 1] * gy + turn[0, 2] * gz + shift[0]
        py = turn[1, 0] * gx + turn[1, 1] * gy + turn[1, 2] * gz + shift[1]
        pz = turn[2, 0] * gx + turn[2, 1] * gy + turn[2, 2] * gz + shift[2]
        qx, qy, qz = respiratory_pull(px, py, pz, breath)
        qx, qy, qz = heart_pull(qx, qy, qz, heart)
        dx, dy, dz = qx - px, qy - py, qz - pz
        # Displacements, not positions, so that what rests keeps its voxel exactly.
        for axis in range(3):
            back = turn[0, axis] * dx + turn[1, axis] * dy + turn[2, axis] * dz
            nodes[axis, n] = np.float32(back / spacing[axis])
            moves = moves or nodes[axis, n] != 0
    return moves


@nb.njit(nogil=True, cache=True)
def _warp_row(k, j, stride, nodes, hu, labels, labelled, line, line_labels):
    """Fill a row with HU pulled back trilinearly, and with the nearest voxels' labels."""
    nz, ny, nx = hu.shape
    one, half = np.float32(1), np.float32(0.5)
    for i in range(nx):
        n = i // stride
        f = np.float32(i - n * stride) / np.float32(stride)
        x = np.float32(i) + nodes[0, n] + f * (nodes[0, n + 1] - nodes[0, n])
        y = np.float32(j) + nodes[1, n] + f * (nodes[1, n + 1] - nodes[1, n])
        z = np.float32(k) + nodes[2, n] + f * (nodes[2, n + 1] - nodes[2, n])
        x = min(max(x, np.float32(0)), np.float32(nx - 1))
        y = min(max(y, np.float32(0)), np.float32(ny - 1))
        z = min(max(z, np.float32(0)), np.float32(nz - 1))
        if labelled:
            line_labels[i] = labels[int(z + half), int(y + half), int(x + half)]
        a, b, c = min(int(x), nx - 2), min(int(y), ny - 2), min(int(z), nz - 2)
        fx, fy, fz = x - np.float32(a), y - np.float32(b), z - np.float32(c)
        gx = one - fx
        near = gx * hu[c, b, a] + fx * hu[c, b, a + 1]
        behind = gx * hu[c, b + 1, a] + fx * hu[c, b + 1, a + 1]
        above = gx * hu[c + 1, b, a] + fx * hu[c + 1, b, a + 1]
        beyond = gx * hu[c + 1, b + 1, a] + fx * hu[c + 1, b + 1, a + 1]
        low = near + fy * (behind - near)
        high = above + fy * (beyond - above)
        line[i] = np.int16(math.floor(low + fz * (high - low) + half))


@nb.njit(nogil=True, cache=True)
def _warp_slice(k, hu, labels, spacing, patient_from_grid, breath, heart, stride, out, ids):
    turn, shift = patient_from_grid[:3, :3], patient_from_grid[:3, 3]
    labelled = labels.shape == hu.shape
    nodes = np.empty((3, (hu.shape[2] - 1) // stride + 2), np.float32)
    for j in range(hu.shape[1]):
        own = ids[j] if labelled else ids[0]
        if _fill_nodes(k, j, stride, spacing, turn, shift, breath, heart, nodes):
            _warp_row(k, j, stride, nodes, hu, labels, labelled, out[j], own)
        else:
            out[j] = hu[k, j]
            if labelled:
                own[:] = labels[k, j]


@nb.njit(parallel=True, cache=True)
def warp_volume(first, hu, labels, spacing, patient_from_grid, breath, heart, stride, out, ids):
    """Fill out (n, y, x) with slices from `first` on: HU pulled back trilinearly; ids likewise.

    Displacements are linear along rows between every `stride`-th voxel; ids are the nearest
    voxels' labels. Labels of another shape than hu are left out.
    """
    for k in nb.prange(out.shape[0]):
        own = ids[k] if ids.shape[0] == out.shape[0] else ids[0]
        _warp_slice(
            first + k, hu, labels, spacing, patient_from_grid, breath, heart, stride, out[k], own
        )


@nb.njit(nogil=True, cache=True)
def warp_alone(first, hu, labels, spacing, patient_from_grid, breath, heart, stride, out, ids):
    """Do what `warp_volume` does on the calling thread alone, beside other kernels."""
    for k in range(out.shape[0]):
        own = ids[k] if ids.shape[0] == out.shape[0] else ids[0]
        _warp_slice(
            first + k, hu, labels, spacing, patient_from_grid, breath, heart, stride, out[k], own
        )
