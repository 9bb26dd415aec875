"""Which training a recipe asks for, and which export a run, by the network that it names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from synthex_ros.settings import load_settings

OBJECTS = 'objects'
"""What `network:` says of a network for foreign objects; any other one is a tracker's."""

Recipe = tuple[Any, Callable[[dict[str, Any]], str], Callable[..., Any]]


def load_recipe(path: str | Path | None) -> Recipe:
    """Return settings, what prints an epoch's record as a line, and the training's class.

    Args:
        path: the recipe; None for the default one, of a tracker.

    Raises:
        FileNotFoundError: no such file.
        ValueError: keys or values that the training refuses.
    """
    from synthex_ros.learning.closer_training import NETWORK, CloserSettings, CloserTraining
    from synthex_ros.learning.object_training import ObjectSettings, ObjectTraining
    from synthex_ros.learning.training import Training, TrainingSettings

    if path is not None and Path(path).is_file():
        content = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
        named = content.get('network') if isinstance(content, dict) else None
        if named == OBJECTS:
            return load_settings(ObjectSettings, path), object_line, ObjectTraining
        if named == NETWORK:
            return load_settings(CloserSettings, path), closer_line, CloserTraining
    return load_settings(TrainingSettings, path), tracker_line, Training


def exporter(checkpoint: str | Path, chosen: bool = False) -> Callable[..., dict[str, Any]]:
    """Return what writes the model file of a checkpoint.

    Args:
        checkpoint: of a training run.
        chosen: frames without a device are to say when one is claimed.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the model is not chosen so.
    """
    from synthex_ros.learning.closer_export import export_closer
    from synthex_ros.learning.closer_training import NETWORK
    from synthex_ros.learning.export import export
    from synthex_ros.learning.object_export import export_objects
    from synthex_ros.learning.run_state import load_checkpoint

    named = load_checkpoint(checkpoint)['settings'].get('network')
    if named == OBJECTS and chosen:
        raise ValueError(
            'frames without a device (--empty) are for trackers; an object is claimed from '
            "min_score of the model's metadata on"
        )
    if named == NETWORK and chosen:
        raise ValueError(
            'frames without a device (--empty) are for trackers; a closer look says where a '
            'landmark is, not whether: give --empty as its tracker is exported'
        )
    return {OBJECTS: export_objects, NETWORK: export_closer}.get(named, export)


def tracker_line(record: dict[str, Any]) -> str:
    """Return an epoch of a tracker as a line."""
    return (
        f'epoch {record["epoch"]:3d}  loss {record["mask_loss"]:.3f} mask '
        f'{record["heatmap_loss"]:.3f} landmarks  error {record["landmark_error_mean_mm"]:.3f} mm '
        f'= {record["landmark_error_mean_px"]:.2f} px (NCC > 0.9: '
        f'{record["gated_error_mean_mm"]:.3f} mm, {record["detection_rate"]:.1%})  '
        f'Dice {record["dice_mean"]:.3f}  {record["seconds"]:.0f} s'
    )


def closer_line(record: dict[str, Any]) -> str:
    """Return an epoch of a closer look as a line."""
    mean, median, p95 = (
        f'{record[f"landmark_error_{name}_mm"]:.3f} ({record[f"before_{name}_mm"]:.3f})'
        for name in ('mean', 'median', 'p95')
    )
    return (
        f'epoch {record["epoch"]:3d}  distance {record["distance_px"]:.2f} px  error {mean} mm, '
        f'median {median}, p95 {p95} (before)  {record["seconds"]:.0f} s'
    )


def object_line(record: dict[str, Any]) -> str:
    """Return an epoch of a network for foreign objects as a line."""
    text = (
        f'epoch {record["epoch"]:3d}  loss {record["mask_loss"]:.3f} masks '
        f'{record["centre_loss"]:.3f} middles  '
    )
    if 'mask' in record:
        mask, box = record['mask'], record['box']
        text += f'AP {mask["ap"]:.3f} AP50 {mask["ap50"]:.3f} of masks  '
        text += f'AP {box["ap"]:.3f} AP50 {box["ap50"]:.3f} of boxes  '
    return f'{text}{record["seconds"]:.0f} s'
