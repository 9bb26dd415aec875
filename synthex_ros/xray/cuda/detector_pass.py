"""The detector pass of many frames at once: `Detector.expose` on a GPU, number for number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    frames = signal_kev.shape[0]
    if memory is not None and frames != 1:
        raise ValueError(
            f'lag carries one frame to the next; expose them one at a time, got {frames} at once'
        )
    panel = _Pass(device, detector, signal_kev.shape, keys)
    down, across = (device.upload(blur_taps(detector.blur_m / p)) for p in pixel_pitch_m)
    absorbed = panel.absorb(signal_kev, variance_kev2, scatter)
    lines = panel.spread_down(absorbed, down)
    lag = _lag_arguments(device, memory, interval_s)
    counts = panel.read_out(lines, across, gains_counts_kev, lag, maps)
    if memory is not None:
        memory.states[:] = device.download(lag[1])
    return counts


class _Pass:
    """The three kernels of a detector pass; arrays stay on the device.

    Args:
        device: where to run.
        detector: panel of all frames.
        shape: of the frames: (N, rows, columns).
        keys: noise key of each frame.
    """

    def __init__(
        self, device: Device, detector: Detector, shape: tuple[int, ...], keys: Sequence[int]
    ) -> None:
        self._device, self._detector, self._shape = device, detector, shape
        self._seeds = device.upload(np.array(keys, np.uint64))
        normals = device.upload(normal_table())
        self._normals = normals, np.int32(normals.size)

    def absorb(
        self, signal_kev: Array, variance_kev2: Array, scatter: Sequence[ScatteredSignal]
    ) -> Array:
        """Return what the scintillator absorbs, quantum noise in it, (N, rows, columns) [keV]."""
        detector, absorbed = self._detector, self._device.empty(self._shape, np.float32)
        light = np.float32(1 / detector.swank_factor if detector.quantum_noise else 0)
        beam = signal_kev, variance_kev2, *_scatter_arguments(self._device, scatter)
        self._launch('absorb', *beam, light, self._seeds, *self._normals, out=absorbed)
        return absorbed

    def spread_down(self, absorbed: Array, taps: Array) -> Array:
        """Return light spread along columns, (N, rows, columns) [keV]."""
        lines = self._device.empty(self._shape, np.float32)
        self._launch('spread_down', absorbed, taps, np.int32(taps.size), out=lines)
        return lines

    def read_out(
        self,
        lines: Array,
        taps: Array,
        gains_counts_kev: Sequence[float],
        lag: tuple,
        maps: PanelMaps | None,
    ) -> Array:
        """Return counts of light that spreads along rows as well, (N, rows, columns), uint16."""
        device, detector = self._device, self._detector
        counts = device.empty(self._shape, np.uint16)
        spread = lines, taps, np.int32(taps.size)
        gains = device.upload(np.array(gains_counts_kev, np.float32))
        noise = np.float32(detector.electronic_noise_counts), self._seeds, *self._normals
        top = np.float32(detector.full_scale)
        panel = *_map_arguments(device, maps), gains
        self._launch('read_out', *spread, *lag, *panel, *noise, top, out=counts)
        return counts

    def _launch(self, kernel: str, *arguments: Any, out: Array) -> None:
        frames, rows, columns = self._shape
        size = np.int32(rows), np.int32(columns)
        self._device.launch(
            source.DETECTOR, kernel, (columns, rows, frames), (*arguments, *size, out)
        )


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
