"""Animated preview of the fluoroscopy with overlay: WebP, and a smaller GIF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthex_ros.evaluation.display import Display, Overlay, draw
from synthex_ros.evaluation.frames import FrameSet, overlay_of
from synthex_ros.evaluation.inset import with_inset
from synthex_ros.evaluation.run_report import RunReport

WEBP_WIDTH_PX = 512
GIF_WIDTH_PX = 288
FRAME_MS = 80
_GIF_STEP = 2
_GIF_COLOURS = 64


def write_previews(report: RunReport, frames: FrameSet, folder: Path) -> list[Path]:
    """Write `preview.webp` and `preview.gif` of the given frames; return their paths."""
    display = frames.display.resized(WEBP_WIDTH_PX)
    pictures = [
        _picture(display, frames.images[stamp], overlay_of(report, frames, stamp))
        for stamp in (int(value) for value in frames.stamps_ns)
        if stamp in frames.images
    ]
    webp, gif = folder / 'preview.webp', folder / 'preview.gif'
    pictures[0].save(
        webp, save_all=True, append_images=pictures[1:], duration=FRAME_MS, loop=0, quality=60,
        method=2,
    )  # fmt: skip
    _write_gif(pictures[::_GIF_STEP], gif)
    return [webp, gif]


def _picture(display: Display, counts: NDArray, overlay: Overlay) -> Image.Image:
    return with_inset(draw(display, counts, overlay), display, counts, overlay)


def _write_gif(pictures: list[Image.Image], path: Path) -> None:
    """Write a GIF with one palette for all frames, so that it does not flicker."""
    height = round(GIF_WIDTH_PX * pictures[0].height / pictures[0].width)
    small = [p.resize((GIF_WIDTH_PX, height), Image.Resampling.LANCZOS) for p in pictures]
    some = small[:: max(1, len(small) // 6)]
    sheet = Image.fromarray(np.concatenate([np.asarray(picture) for picture in some]))
    palette = sheet.quantize(_GIF_COLOURS)
    indexed = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in small]
    indexed[0].save(
        path, save_all=True, append_images=indexed[1:], duration=FRAME_MS * _GIF_STEP, loop=0
    )
