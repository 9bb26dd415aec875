"""The files of a model's report: numbers, page and the worst frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def write_report_files(
    out: Path, values: dict[str, Any], page: str, sheet: NDArray[np.uint8]
) -> None:
    """Write evaluation.json, evaluation.html and worst.png.

    Args:
        out: folder; made if absent.
        values: plain numbers.
        page: HTML text.
        sheet: contact sheet, shape (rows, columns, 3), blue first.

    Raises:
        OSError: something could not be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / 'evaluation.json').write_text(json.dumps(values, indent=1) + '\n', encoding='utf-8')
    (out / 'evaluation.html').write_text(page, encoding='utf-8')
    if not cv2.imwrite(str(out / 'worst.png'), sheet):
        raise OSError(f'could not write {out / "worst.png"}; is there room on the disk?')
