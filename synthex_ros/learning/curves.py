"""Loss and error curves of a training run as a picture."""

from __future__ import annotations

import json
from pathlib import Path


def read_history(root: str | Path) -> list[dict]:
    """Return one record an epoch of a run.

    Raises:
        FileNotFoundError: the run has finished no epoch.
    """
    path = Path(root) / 'history.jsonl'
    if not path.is_file():
        raise FileNotFoundError(f'{root} has no history.jsonl: no epoch is finished yet')
    return [json.loads(line) for line in path.read_text(encoding='utf-8').splitlines()]


def draw_history(root: str | Path) -> Path:
    """Draw the curves of a run to curves.png in its folder and return the path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    history = read_history(root)
    epochs = [record['epoch'] for record in history]
    figure = Figure(figsize=(10, 3.5), layout='constrained')
    FigureCanvasAgg(figure)
    loss, error, overlap = figure.subplots(1, 3)
    for key in ('mask_loss', 'heatmap_loss'):
        loss.plot(epochs, [record[key] for record in history], label=key.replace('_', ' '))
    for key, label in (
        ('landmark_error_mean_mm', 'all'),
        ('gated_error_mean_mm', 'NCC > 0.9'),
        ('landmark_error_median_mm', 'median'),
    ):
        error.plot(epochs, [record[key] for record in history], label=label)
    for key in ('dice_mean', 'detection_rate'):
        overlap.plot(epochs, [record[key] for record in history], label=key.replace('_', ' '))
    loss.set_yscale('log')
    error.set_yscale('log')
    for axes, title in (
        (loss, 'training loss'),
        (error, 'validation landmark error [mm at detector]'),
        (overlap, 'validation'),
    ):
        axes.set(title=title, xlabel='epoch')
        axes.legend()
    path = Path(root) / 'curves.png'
    figure.savefig(path, dpi=120)
    return path
