"""Figures of one look: panels side by side, without pyplot's global state."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID = '#0f172a', '#64748b', '#e2e8f0'
BLUE, GREEN, AMBER, PINK, CYAN = '#2563eb', '#16a34a', '#d97706', '#db2777', '#0891b2'
COLOURS = (BLUE, AMBER, GREEN, PINK, CYAN, MUTED)
HEIGHT_IN, PANEL_IN = 3.1, 4.6
STYLE = {
    'axes.axisbelow': True,
    'axes.edgecolor': MUTED,
    'axes.grid': True,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'axes.titlesize': 10,
    'font.size': 9,
    'grid.color': GRID,
    'grid.linewidth': 0.7,
    'legend.fontsize': 8,
    'legend.frameon': False,
    'text.color': INK,
}


def panels(count: int, width_in: float | None = None) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels in a row."""
    with mpl.rc_context(STYLE):
        figure = Figure(
            figsize=(width_in or PANEL_IN * count, HEIGHT_IN), layout='constrained', dpi=100
        )
        axes = figure.subplots(1, count, squeeze=False)[0]
    return figure, list(axes)


def legend(axes: Axes, **kwargs) -> None:
    """Draw a plain legend."""
    with mpl.rc_context(STYLE):
        axes.legend(**kwargs)
