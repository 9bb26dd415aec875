"""Loops of the chest's deformation: where tissue came from, and the CT fetched there."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(inline='always')
def _smooth(t):
    t = min(max(t, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@nb.njit(cache=True)
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


@nb.njit(cache=True)
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


@nb.njit(parallel=True, cache=True)
def warp_volume(hu, labels, spacing, patient_from_grid, breath, heart, out, out_labels):
    """Fill out (z, y, x) with HU pulled back trilinearly and out_labels with nearest labels.

    labels of another shape are left out.
    """
    nz, ny, nx = hu.shape
    turn, shift = patient_from_grid[:3, :3], patient_from_grid[:3, 3]
    labelled = labels.shape == hu.shape
    for k in nb.prange(nz):
        for j in range(ny):
            for i in range(nx):
                gx, gy, gz = i * spacing[0], j * spacing[1], k * spacing[2]
                px = turn[0, 0] * gx + turn[0, 1] * gy + turn[0, 2] * gz + shift[0]
                py = turn[1, 0] * gx + turn[1, 1] * gy + turn[1, 2] * gz + shift[1]
                pz = turn[2, 0] * gx + turn[2, 1] * gy + turn[2, 2] * gz + shift[2]
                qx, qy, qz = respiratory_pull(px, py, pz, breath)
                qx, qy, qz = heart_pull(qx, qy, qz, heart)
                dx, dy, dz = qx - px, qy - py, qz - pz
                # Displacements, not positions, so that what rests keeps its voxel exactly.
                x = i + (turn[0, 0] * dx + turn[1, 0] * dy + turn[2, 0] * dz) / spacing[0]
                y = j + (turn[0, 1] * dx + turn[1, 1] * dy + turn[2, 1] * dz) / spacing[1]
                z = k + (turn[0, 2] * dx + turn[1, 2] * dy + turn[2, 2] * dz) / spacing[2]
                x = min(max(x, 0.0), nx - 1.0)
                y = min(max(y, 0.0), ny - 1.0)
                z = min(max(z, 0.0), nz - 1.0)
                if labelled:
                    out_labels[k, j, i] = labels[int(z + 0.5), int(y + 0.5), int(x + 0.5)]
                i0, j0, k0 = min(int(x), nx - 2), min(int(y), ny - 2), min(int(z), nz - 2)
                fx, fy, fz = x - i0, y - j0, z - k0
                value = 0.0
                for c in range(8):
                    a, b, d = c & 1, (c >> 1) & 1, c >> 2
                    weight = (fx if a else 1 - fx) * (fy if b else 1 - fy) * (fz if d else 1 - fz)
                    value += weight * hu[k0 + d, j0 + b, i0 + a]
                out[k, j, i] = int(np.floor(value + 0.5))
