"""Parts of the pages that reports of models are made of."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from importlib import resources
from string import Template

import cv2
import numpy as np
from numpy.typing import NDArray

from synthex_ros import __version__


def whole_page(
    title: str, subtitle: str, numbers: Sequence[tuple[str, str, str]], cards: Sequence[str]
) -> str:
    """Return a page that refers to no other file.

    Args:
        title: of the page.
        subtitle: below it.
        numbers: (label, number, unit) of those that come first.
        cards: HTML of its parts, from `card`.
    """
    data = resources.files('synthex_ros.evaluation') / 'data'
    strip = [
        f'<div class="card"><div class="big">{text}<small>{unit}</small></div>'
        f'<div class="label">{label}</div></div>'
        for label, text, unit in numbers
    ]
    return Template((data / 'report.html').read_text(encoding='utf-8')).substitute(
        css=(data / 'report.css').read_text(encoding='utf-8'),
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        verdict='',
        strip=''.join(strip),
        chips='',
        cards='\n'.join(cards),
        version=html.escape(__version__),
    )


def card(title: str, note: str, body: str | None, wide: bool = False) -> str:
    """Return a part of a page, or nothing where it has no body."""
    if not body:
        return ''
    kind = 'card wide' if wide else 'card'
    return f'<section class="{kind}"><h2>{title}</h2><p class="note">{note}</p>{body}</section>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of plain text."""
    cells = ''.join(f'<th>{html.escape(cell)}</th>' for cell in head)
    body = ''.join(
        '<tr>' + ''.join(f'<td>{html.escape(cell)}</td>' for cell in row) + '</tr>' for row in rows
    )
    return f'<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>'


def picture(pixels: NDArray[np.uint8], name: str) -> str | None:
    """Return an image, shape (rows, columns, 3), as part of a page; None if it has no JPEG."""
    coded, jpeg = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, 82])
    if not coded:
        return None
    source = base64.b64encode(jpeg.tobytes()).decode('ascii')
    return f'<img alt="{name}" style="width:100%" src="data:image/jpeg;base64,{source}">'
