"""Time of the display chain and of an image intensifier, and how little the picture flickers.

    python benchmark/display.py [--pixels 512 1024 1536] [--frames 60]

Printed are medians of wall-clock milliseconds on one thread: each step by itself, the whole chain
(logarithm, slow window, unsharp mask, temporal filter, flip, 8 bit), and what an image intensifier
adds to a frame. Flicker: the largest change of the background's grey from one frame to the next
while a dark device comes, moves and leaves, with the slow window and with one of every frame.
"""

import argparse
import statistics
import time

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from synthex_ros.geometry import CArm
from synthex_ros.xray.display import (
    AutomaticWindow,
    DisplayChain,
    EdgeEnhancement,
    Flip,
    Logarithm,
    TemporalFilter,
    eight_bit,
)
from synthex_ros.xray.intensifier import ImageIntensifier

FRAME_S = 1 / 15


def milliseconds(action, frames):
    """Return the median time of an action [ms]."""
    times = []
    for _ in range(frames + 3):
        start = time.perf_counter()
        action()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[3:])


def steps_of(geometry):
    """Return all steps that take time."""
    return [
        Logarithm(),
        AutomaticWindow(),
        EdgeEnhancement(1.0, 0.5e-3, geometry.pixel_pitch_m),
        TemporalFilter(0.5),
        Flip(horizontal=True),
    ]


def chain_times(geometry, frames):
    """Return the milliseconds of each step and of the chain."""
    counts = np.random.default_rng(1).uniform(500, 50_000, geometry.shape_px).astype(np.uint16)
    steps, times = steps_of(geometry), {}
    image = np.array(counts, np.float32)
    for step in steps:
        _, state = step.apply(image.copy(), None, FRAME_S)
        times[type(step).__name__] = milliseconds(
            lambda step=step, state=state: step.apply(image, state, FRAME_S), frames
        )
    times['8 bit'] = milliseconds(lambda: eight_bit(image), frames)
    chain = DisplayChain(steps)
    times['whole chain'] = milliseconds(lambda: chain.show(counts, FRAME_S), frames)
    tube = ImageIntensifier(s_distortion_deg=2.0)
    signal = counts.astype(np.float32)
    tube.signal(signal, geometry)
    times['intensifier: signal'] = milliseconds(lambda: tube.signal(signal, geometry), frames)
    times['intensifier: variance'] = milliseconds(lambda: tube.variance(signal, geometry), frames)
    return times


def flicker(time_constant_s):
    """Return the largest change of the background's grey between two frames."""
    ramp = np.tile(np.geomspace(4000, 40_000, 256), (256, 1)).astype(np.uint16)
    chain, shown = (
        DisplayChain([Logarithm(), AutomaticWindow(time_constant_s=time_constant_s)]),
        [],
    )
    for index in range(60):
        frame = ramp.copy()
        if 5 <= index < 50:
            frame[:, 60 + 2 * index : 90 + 2 * index] //= 10
        shown.append(int(chain.show(frame, FRAME_S)[128, 40]))
    return max(abs(b - a) for a, b in zip(shown, shown[1:], strict=False))


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pixels', type=int, nargs='+', default=[512, 1024, 1536])
    parser.add_argument('--frames', type=int, default=60)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    columns = {
        pixels: chain_times(CArm().view().geometry.resized((pixels, pixels)), args.frames)
        for pixels in args.pixels
    }
    table = Table('one thread, median ms', *(f'{pixels} px' for pixels in columns))
    for name in next(iter(columns.values())):
        table.add_row(name, *(f'{times[name]:.2f}' for times in columns.values()))
    console = Console()
    console.print(table)
    console.print(
        f'largest jump of the background between frames: {flicker(1.0)} of 255 with a time '
        f'constant of 1 s, {flicker(1e-6)} with a window of every frame'
    )


if __name__ == '__main__':
    main()
