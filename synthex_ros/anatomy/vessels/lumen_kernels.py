"""Loops over distance grids: smooth value and gradient, tapered capsules."""

from __future__ import annotations

import math

import numba as nb
import numpy as np


@nb.njit(inline='always')
def _near(position, count, weights, slopes):
    """Fill weights and their slopes for three samples round a position; return the first one.

    Quadratic B-splines round the nearest sample; near a border the last three samples are used,
    and still give back what is linear.
    """
    middle = min(max(int(position + 0.5), 1), count - 2)
    t = position - middle
    weights[0], weights[1], weights[2] = 0.5 * (0.5 - t) ** 2, 0.75 - t * t, 0.5 * (0.5 + t) ** 2
    slopes[0], slopes[1], slopes[2] = t - 0.5, -2.0 * t, t + 0.5
    return middle - 1


@nb.njit(cache=True)
def sample_point(distance, i, j, k, weights, slopes):
    """Return value, gradient an index (x, y, z) and how far outside the grid (in indices).

    Quadratic B-splines make the gradient continuous (Unser, IEEE Signal Process. Mag. 16(6), 22
    (1999)): what lies at a wall finds no kinks in it, as between cells of linear interpolation.

    Args:
        distance: grid values, shape (nz, ny, nx), 3 or more a side.
        i, j, k: position as indices along x, y, z; outside the grid the border's values hold.
        weights, slopes: room to work in, shape (3, 3).
    """
    nz, ny, nx = distance.shape
    x = min(max(i, 0.0), nx - 1.0)
    y = min(max(j, 0.0), ny - 1.0)
    z = min(max(k, 0.0), nz - 1.0)
    i0 = _near(x, nx, weights[0], slopes[0])
    j0 = _near(y, ny, weights[1], slopes[1])
    k0 = _near(z, nz, weights[2], slopes[2])
    value, dx, dy, dz = 0.0, 0.0, 0.0, 0.0
    for c in range(3):
        slab, slab_x, slab_y = 0.0, 0.0, 0.0
        for b in range(3):
            row, row_x = 0.0, 0.0
            for a in range(3):
                sample = distance[k0 + c, j0 + b, i0 + a]
                row += weights[0, a] * sample
                row_x += slopes[0, a] * sample
            slab += weights[1, b] * row
            slab_x += weights[1, b] * row_x
            slab_y += slopes[1, b] * row
        value += weights[2, c] * slab
        dx += weights[2, c] * slab_x
        dy += weights[2, c] * slab_y
        dz += slopes[2, c] * slab
    return value, dx, dy, dz, i - x, j - y, k - z


@nb.njit(cache=True)
def sample_points(distance, origin, spacing, axes, points, values, normals):
    """Write signed distances and unit inward normals of points, shape (N, 3).

    Outside the grid the distance to the grid is taken off, and the normal leads back to it.
    """
    weights, slopes = np.empty((3, 3)), np.empty((3, 3))
    for n in range(points.shape[0]):
        px = points[n, 0] - origin[0]
        py = points[n, 1] - origin[1]
        pz = points[n, 2] - origin[2]
        i = (axes[0, 0] * px + axes[1, 0] * py + axes[2, 0] * pz) / spacing[0]
        j = (axes[0, 1] * px + axes[1, 1] * py + axes[2, 1] * pz) / spacing[1]
        k = (axes[0, 2] * px + axes[1, 2] * py + axes[2, 2] * pz) / spacing[2]
        value, dx, dy, dz, oi, oj, ok = sample_point(distance, i, j, k, weights, slopes)
        gx, gy, gz = dx / spacing[0], dy / spacing[1], dz / spacing[2]
        ox, oy, oz = oi * spacing[0], oj * spacing[1], ok * spacing[2]
        outside = math.sqrt(ox * ox + oy * oy + oz * oz)
        if outside > 0.0:
            value -= outside
            gx, gy, gz = -ox, -oy, -oz
        length = math.sqrt(gx * gx + gy * gy + gz * gz)
        values[n] = value
        for a in range(3):
            part = axes[a, 0] * gx + axes[a, 1] * gy + axes[a, 2] * gz
            normals[n, a] = part / length if length > 1e-12 else 0.0


@nb.njit(cache=True)
def paint_capsules(starts, ends, radii0, radii1, origin, spacing, reach, distance):
    """Raise grid values to the room inside tapered capsules, shape (S, 3) each.

    Args:
        starts, ends: axis ends of the capsules [m].
        radii0, radii1: radii there, shape (S,) [m].
        origin, spacing: of an axis-parallel grid [m].
        reach: how far outside a capsule values are written [m].
        distance: grid, shape (nz, ny, nx); becomes the maximum of itself and radius - distance.
    """
    nz, ny, nx = distance.shape
    for s in range(starts.shape[0]):
        a, b = starts[s], ends[s]
        length2 = (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2 + (b[2] - a[2]) ** 2
        around = max(radii0[s], radii1[s]) + reach
        i0 = max(int((min(a[0], b[0]) - around - origin[0]) / spacing), 0)
        j0 = max(int((min(a[1], b[1]) - around - origin[1]) / spacing), 0)
        k0 = max(int((min(a[2], b[2]) - around - origin[2]) / spacing), 0)
        i1 = min(int((max(a[0], b[0]) + around - origin[0]) / spacing) + 2, nx)
        j1 = min(int((max(a[1], b[1]) + around - origin[1]) / spacing) + 2, ny)
        k1 = min(int((max(a[2], b[2]) + around - origin[2]) / spacing) + 2, nz)
        for k in range(k0, k1):
            z = origin[2] + k * spacing - a[2]
            for j in range(j0, j1):
                y = origin[1] + j * spacing - a[1]
                for i in range(i0, i1):
                    x = origin[0] + i * spacing - a[0]
                    along = x * (b[0] - a[0]) + y * (b[1] - a[1]) + z * (b[2] - a[2])
                    t = min(max(along / max(length2, 1e-18), 0.0), 1.0)
                    dx = x - t * (b[0] - a[0])
                    dy = y - t * (b[1] - a[1])
                    dz = z - t * (b[2] - a[2])
                    radius = radii0[s] + t * (radii1[s] - radii0[s])
                    room = radius - math.sqrt(dx * dx + dy * dy + dz * dz)
                    if room > distance[k, j, i]:
                        distance[k, j, i] = np.float32(room)


@nb.njit(cache=True)
def nearest_on_bend(points, start, direction, towards, bend_radius, bend):
    """Return the nearest points, shape (N, 3) [m], of a line with a circular bend.

    Args:
        points: where, shape (N, 3) [m].
        start: where the bend begins, shape (3,) [m].
        direction: of the line there, unit vector, shape (3,).
        towards: from there to the centre of the bend, unit vector, shape (3,).
        bend_radius: of the bend [m].
        bend: angle of the bend [rad].
    """
    out = np.empty_like(points)
    cosine, sine = np.cos(bend), np.sin(bend)
    end = start + bend_radius * (sine * direction + (1 - cosine) * towards)
    leaving = cosine * direction + sine * towards
    for n in range(len(points)):
        ahead, behind, side = 0.0, 0.0, 0.0
        for k in range(3):
            ahead += (points[n, k] - start[k]) * direction[k]
            behind += (points[n, k] - end[k]) * leaving[k]
            side += (points[n, k] - start[k]) * towards[k]
        turn = min(max(math.atan2(ahead, bend_radius - side), 0.0), bend)
        best = np.inf
        for before, angle, after in (
            (min(ahead, 0.0), 0.0, 0.0), (0.0, turn, 0.0), (0.0, bend, max(behind, 0.0)),
        ):  # fmt: skip
            c, s = math.cos(angle), math.sin(angle)
            squared = 0.0
            for k in range(3):
                bent = bend_radius * (s * direction[k] + (1 - c) * towards[k])
                straight = before * direction[k] + after * leaving[k]
                squared += (start[k] + bent + straight - points[n, k]) ** 2
            if squared < best:
                best = squared
                for k in range(3):
                    bent = bend_radius * (s * direction[k] + (1 - c) * towards[k])
                    straight = before * direction[k] + after * leaving[k]
                    out[n, k] = start[k] + bent + straight
    return out


@nb.njit(cache=True)
def room_in_tube(points, nearest, radius):
    """Return room to the wall, (N,) [m], and unit inward normals, (N, 3); zero on the axis.

    Args:
        points: where, shape (N, 3) [m].
        nearest: nearest points of the axis, shape (N, 3) [m].
        radius: of the tube [m].
    """
    room, normal = np.empty(len(points)), np.zeros((len(points), 3))
    for n in range(len(points)):
        x, y, z = nearest[n] - points[n]
        off = math.sqrt(x * x + y * y + z * z)
        room[n] = radius - off
        if off > 1e-12:
            normal[n, 0], normal[n, 1], normal[n, 2] = x / off, y / off, z / off
    return room, normal
