"""The detector in one pass over the image: scatter, noise, light spread, lag, read-out.

Rows are worked through in blocks that stay in the cache; a block also computes the few rows around
it that the light spread needs, so that blocks do not depend on each other. Randomness is
counter-based: every pixel hashes its own index with the frame's key, so a seed gives the same
bytes on any number of threads.
"""

from __future__ import annotations

from functools import lru_cache

import numba as nb
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

BLOCK_ROWS = 32
POISSON_BELOW_QUANTA = 20.0
NORMALS = 4096
_POISSON_STREAM = 0xA5A5A5A5A5A5A5A5
_READ_OUT_STREAM = 0x5BF0363529C6D5E1


@lru_cache(maxsize=1)
def normal_table() -> NDArray[np.float32]:
    """Return `NORMALS` equally likely values of the unit normal distribution."""
    values = ndtri((np.arange(NORMALS) + 0.5) / NORMALS)
    return (values / values.std()).astype(np.float32)


@nb.njit(inline='always')
def _hash(key, index):
    """Return 64 random bits of a counter (SplitMix64; Steele, Lea and Flood, OOPSLA 2014)."""
    z = key + (nb.uint64(index) + nb.uint64(1)) * nb.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> nb.uint64(30))) * nb.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> nb.uint64(27))) * nb.uint64(0x94D049BB133111EB)
    return z ^ (z >> nb.uint64(31))


@nb.njit(inline='always')
def _poisson(mean, bits):
    """Return a Poisson number by inversion of 32 random bits, for means up to about 20."""
    uniform = (nb.float64(bits) + 0.5) / 4294967296.0
    count, term = 0.0, np.exp(-mean)
    total = term
    while uniform > total and count < 200.0:
        count += 1.0
        term *= mean / count
        total += term
    return count


@nb.njit(inline='always')
def _fill_normals(normals, key, row, out):
    """Fill out, a multiple of four long, with unit normal numbers of a row; four a hash."""
    mask = nb.uint64(normals.size - 1)
    for group in range(out.size // 4):
        bits = _hash(key, (nb.uint64(row) << nb.uint64(32)) + nb.uint64(group))
        place = 4 * group
        out[place] = normals[bits & mask]
        out[place + 1] = normals[(bits >> nb.uint64(16)) & mask]
        out[place + 2] = normals[(bits >> nb.uint64(32)) & mask]
        out[place + 3] = normals[(bits >> nb.uint64(48)) & mask]


@nb.njit(inline='always')
def _widen(coarse, columns):
    """Return a coarse map (h, w) with its columns interpolated to full size, (h, columns)."""
    height, width = coarse.shape
    out = np.empty((height, columns), np.float32)
    for c in range(columns):
        x = min(max((c + 0.5) * width / columns - 0.5, 0.0), width - 1.0)
        i = min(int(x), width - 2)
        f = np.float32(x - i)
        for j in range(height):
            out[j, c] = coarse[j, i] + f * (coarse[j, i + 1] - coarse[j, i])
    return out


@nb.njit(inline='always')
def _add_scatter(scatter, quantum_kev, row, rows, signal, variance):
    """Add a map (h, columns) to one of `rows` rows, linear between its own rows."""
    height = scatter.shape[0]
    y = min(max((row + 0.5) * height / rows - 0.5, 0.0), height - 1.0)
    j = min(int(y), height - 2)
    above, below, f = scatter[j], scatter[j + 1], np.float32(y - j)
    for c in range(signal.size):
        value = above[c] + f * (below[c] - above[c])
        signal[c] += value
        variance[c] += value * quantum_kev


@nb.njit(inline='always')
def _absorb(signal, variance, light, noise, key, row, out):
    """Fill out with what a row absorbs: normal quantum noise, Poisson where quanta are few."""
    few = 0
    for c in range(out.size):
        mean, spread = signal[c], variance[c] * light
        out[c] = mean + np.sqrt(max(spread, np.float32(0))) * noise[c]
        few += mean * mean < spread * np.float32(POISSON_BELOW_QUANTA) or not mean > 0
    if few:
        stream = key ^ nb.uint64(_POISSON_STREAM)
        for c in range(out.size):
            mean, spread = signal[c], variance[c] * light
            if not mean > 0:
                out[c] = 0
            elif mean * mean < spread * np.float32(POISSON_BELOW_QUANTA):
                bits = _hash(stream, (nb.uint64(row) << nb.uint64(32)) + nb.uint64(c))
                quanta = nb.float64(mean) * mean / spread
                out[c] = _poisson(quanta, bits >> nb.uint64(32)) * (spread / mean)


@nb.njit(inline='always')
def _blur_row(lines, middle, down, across, tall, out):
    """Fill out with row `middle` of lines after the separable spread; edges are repeated."""
    reach, side = down.size // 2, across.size // 2
    columns = out.size
    inner = tall[side : side + columns]
    first = lines[middle - reach]
    for c in range(columns):
        inner[c] = down[0] * first[c]
    for tap in range(1, down.size):
        line, weight = lines[middle - reach + tap], down[tap]
        for c in range(columns):
            inner[c] += weight * line[c]
    for c in range(side):
        tall[c], tall[side + columns + c] = inner[0], inner[columns - 1]
    for c in range(columns):
        out[c] = across[0] * tall[c]
    for tap in range(1, across.size):
        shifted, weight = tall[tap : tap + columns], across[tap]
        for c in range(columns):
            out[c] += weight * shifted[c]


@nb.njit(inline='always')
def _remember(value, memory, row, kept, decays, raw):
    """Let a row carry over what earlier frames left behind; update what this one leaves."""
    raw[:] = value
    for term in range(memory.shape[0]):
        state, share, decay = memory[term, row], kept[term], decays[term]
        for c in range(value.size):
            old = decay * state[c]
            value[c] += share * (old - decay * raw[c])
            state[c] = old + (np.float32(1) - decay) * raw[c]


@nb.njit(parallel=True, fastmath=True, cache=True)
def expose_frame(
    signal, variance, starts, first_column, values, scatter, scatter_kev, light, key, normals,
    down, across, memory, kept, decays, gain, noise_counts, gain_map, offset_map, top, out,
):  # fmt: skip
    """Fill out (rows, columns), uint16, with a frame.

    signal, variance: expected energy [keV] and its variance [keV^2], (rows, columns).
    starts, first_column, values: places starts[r] to starts[r + 1] of values (2, n) hold in row r
        from a column on; starts is empty if there are none.
    scatter, scatter_kev: coarse map (h, w) [keV] or (0, 0), and the mean energy of its quanta.
    memory, kept, decays: (n, rows, columns) states of lag, their shares and decay a frame.
    gain_map, offset_map: (rows, columns) or (0, 0).
    """
    rows, columns = out.shape
    reach, side = down.size // 2, across.size // 2
    padded = (columns + 3) // 4 * 4
    wide = scatter
    if scatter.shape[0] > 0:
        wide = _widen(scatter, columns)
    blocks = (rows + BLOCK_ROWS - 1) // BLOCK_ROWS
    for block in nb.prange(blocks):
        first = block * BLOCK_ROWS
        last = min(first + BLOCK_ROWS, rows)
        lines = np.empty((BLOCK_ROWS + 2 * reach, columns), np.float32)
        mean, spread = np.empty(columns, np.float32), np.empty(columns, np.float32)
        random, raw = np.empty(padded, np.float32), np.empty(columns, np.float32)
        tall, value = np.empty(columns + 2 * side, np.float32), np.empty(columns, np.float32)
        for index in range(last - first + 2 * reach):
            row = min(max(first - reach + index, 0), rows - 1)
            mean[:], spread[:] = signal[row], variance[row]
            if starts.size > 0:
                begin, left = starts[row], first_column[row]
                for i in range(starts[row + 1] - begin):
                    mean[left + i], spread[left + i] = values[0, begin + i], values[1, begin + i]
            if scatter.shape[0] > 0:
                _add_scatter(wide, scatter_kev, row, rows, mean, spread)
            _fill_normals(normals, key, row, random)
            _absorb(mean, spread, light, random, key, row, lines[index])
        for row in range(first, last):
            _blur_row(lines, row - first + reach, down, across, tall, value)
            if memory.shape[0] > 0:
                _remember(value, memory, row, kept, decays, raw)
            _fill_normals(normals, key ^ nb.uint64(_READ_OUT_STREAM), row, random)
            if gain_map.shape[0] > 0:
                factor, offset = gain_map[row], offset_map[row]
                for c in range(columns):
                    value[c] = value[c] * factor[c] + offset[c] / gain
            line = out[row]
            for c in range(columns):
                counts = gain * value[c] + noise_counts * random[c] + np.float32(0.5)
                line[c] = np.uint16(np.int32(min(max(counts, np.float32(0)), top)))
