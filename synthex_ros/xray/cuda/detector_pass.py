"""The detector pass of many frames at once: `Detector.expose` on a GPU, number for number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synthex_ros.xray.cuda import source
from synthex_ros.xray.cuda.device import Array, Device
from synthex_ros.xray.detector import Detector, ScatteredSignal, blur_taps
from synthex_ros.xray.detector_kernels import normal_table
from synthex_ros.xray.lag import LagMemory
from synthex_ros.xray.panel import PanelMaps

_NOTHING = np.zeros(1, np.float32)


def expose_frames(
    device: Device,
    detector: Detector,
    signal_kev: Array,
    variance_kev2: Array,
    gains_counts_kev: Sequence[float],
    pixel_pitch_m: tuple[float, float],
    keys: Sequence[int],
    *,
    scatter: Sequence[ScatteredSignal] = (),
    maps: PanelMaps | None = None,
    memory: LagMemory | None = None,
    interval_s: float = 1 / 15,
) -> Array:
    """Return frames of expected absorbed energies.

    Args:
        device: where to run.
        detector: panel of all frames.
        signal_kev: expected absorbed energy [keV], shape (N, rows, columns), on the device.
        variance_kev2: its quantum variance [keV^2], same shape.
        gains_counts_kev: counts per absorbed keV of each frame.
        pixel_pitch_m: detector pitch as (row, column) [m].
        keys: noise key of each frame, such as `rng.integers(0, 2**63)`, which the CPU draws.
        scatter: what scattered quanta add to each frame; empty is nothing.
        maps: gain and offset of the pixels; default an even panel.
        memory: what earlier frames left behind, brought up to date; for a single frame.
        interval_s: time since the frame before [s]; only lag asks.

    Returns:
        Counts, shape (N, rows, columns), uint16, on the device.

    Raises:
        ValueError: lag was asked for more than one frame at a time.
    """
    frames, rows, columns = signal_kev.shape
    if memory is not None and frames != 1:
        raise ValueError(
            f'lag carries one frame to the next; expose them one at a time, got {frames} at once'
        )
    down, across = (device.upload(blur_taps(detector.blur_m / p)) for p in pixel_pitch_m)
    normals = device.upload(normal_table())
    seeds = device.upload(np.array(keys, np.uint64))
    size = (np.int32(rows), np.int32(columns))
    threads = (columns, rows, frames)
    absorbed = device.empty(signal_kev.shape, np.float32)
    light = np.float32(1 / detector.swank_factor if detector.quantum_noise else 0)
    device.launch(
        source.DETECTOR,
        'absorb',
        threads,
        (
            signal_kev,
            variance_kev2,
            *_scatter_arguments(device, scatter),
            light,
            seeds,
            normals,
            np.int32(normals.size),
            *size,
            absorbed,
        ),
    )
    lines = device.empty(signal_kev.shape, np.float32)
    device.launch(
        source.DETECTOR,
        'spread_down',
        threads,
        (absorbed, down, np.int32(down.size), *size, lines),
    )
    counts = device.empty(signal_kev.shape, np.uint16)
    lag = _lag_arguments(device, memory, interval_s)
    device.launch(
        source.DETECTOR,
        'read_out',
        threads,
        (
            lines,
            across,
            np.int32(across.size),
            *lag,
            *_map_arguments(device, maps),
            device.upload(np.array(gains_counts_kev, np.float32)),
            np.float32(detector.electronic_noise_counts),
            seeds,
            normals,
            np.int32(normals.size),
            np.float32(detector.full_scale),
            *size,
            counts,
        ),
    )
    if memory is not None:
        memory.states[:] = device.download(lag[1])
    return counts


def _scatter_arguments(device: Device, scatter: Sequence[ScatteredSignal]) -> tuple:
    if not scatter:
        nothing = device.upload(_NOTHING)
        return nothing, nothing, np.int32(0), np.int32(0)
    coarse: NDArray[np.float32] = np.stack([item.signal_kev for item in scatter])
    energies = np.array([item.quantum_kev for item in scatter], np.float32)
    return (
        device.upload(coarse),
        device.upload(energies),
        np.int32(coarse.shape[1]),
        np.int32(coarse.shape[2]),
    )


def _lag_arguments(device: Device, memory: LagMemory | None, interval_s: float) -> tuple:
    if memory is None:
        nothing = device.upload(_NOTHING)
        return np.int32(0), nothing, nothing, nothing
    arrays = (memory.states, memory.shares, memory.decays(interval_s))
    return np.int32(len(memory.shares)), *map(device.upload, arrays)


def _map_arguments(device: Device, maps: PanelMaps | None) -> tuple:
    if maps is None:
        nothing = device.upload(_NOTHING)
        return np.int32(0), nothing, nothing
    return np.int32(1), device.upload(maps.gain), device.upload(maps.offset_counts)
