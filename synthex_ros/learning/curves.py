"""Loss and error curves of a training run as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_Panels = dict[str, tuple[bool, dict[str, tuple[str, ...]]]]

_TRACKER: _Panels = {
    'training loss': (
        True,
        {'mask loss': ('mask_loss',), 'heatmap loss': ('heatmap_loss',)},
    ),
    'validation landmark error [mm at detector]': (
        True,
        {
            'all': ('landmark_error_mean_mm',),
            'NCC > 0.9': ('gated_error_mean_mm',),
            'median': ('landmark_error_median_mm',),
        },
    ),
    'validation': (
        False,
        {'dice mean': ('dice_mean',), 'detection rate': ('detection_rate',)},
    ),
}
_OBJECTS: _Panels = {
    'training loss': (True, {'mask loss': ('mask_loss',), 'centre loss': ('centre_loss',)}),
    'validation': (
        False,
        {
            f'{name} of {kind}': (part, key)
            for part, kind in (('mask', 'masks'), ('box', 'boxes'))
            for name, key in (('AP', 'ap'), ('AP50', 'ap50'))
        },
    ),
}
_CLOSER: _Panels = {
    'training distance [px]': (True, {'distance': ('distance_px',)}),
    'validation landmark error [mm at detector]': (
        True,
        {
            f'{name}{said}': (f'{which}_{name}_mm',)
            for name in ('mean', 'median')
            for which, said in (('landmark_error', ''), ('before', ' before'))
        },
    ),
}
"""Title, whether on a logarithmic scale, and where in a record each line's values are."""


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
    kinds = {'centre_loss': _OBJECTS, 'distance_px': _CLOSER}
    panels = next((kinds[key] for key in kinds if key in history[0]), _TRACKER)
    figure = Figure(figsize=(10, 3.5), layout='constrained')
    FigureCanvasAgg(figure)
    every = figure.subplots(1, len(panels))
    for axes, (title, (logarithmic, lines)) in zip(every, panels.items(), strict=True):
        for label, keys in lines.items():
            known = [record for record in history if _value(record, keys) is not None]
            epochs = [record['epoch'] for record in known]
            axes.plot(epochs, [_value(record, keys) for record in known], label=label)
        if logarithmic:
            axes.set_yscale('log')
        axes.set(title=title, xlabel='epoch')
        axes.legend()
    path = Path(root) / 'curves.png'
    figure.savefig(path, dpi=120)
    return path


def _value(record: dict[str, Any], keys: tuple[str, ...]) -> float | None:
    """Return a value of an epoch, None where it was not measured."""
    for key in keys[:-1]:
        record = record.get(key, {})
    return record.get(keys[-1])
