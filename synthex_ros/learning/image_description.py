"""What COCO's entry of a training image says of how the image was made."""

from __future__ import annotations

from typing import Any

from synthex_ros.geometry import View
from synthex_ros.learning.view_setup import ViewSetup


def describe_image(
    index: int, seed: int, setup: ViewSetup, kinds: list[str], lag: bool
) -> dict[str, Any]:
    """Return COCO's entry of an image: file, camera, patient, technique and imaging chain.

    Args:
        index: number of the frame.
        seed: of the whole set.
        setup: the view.
        kinds: foreign objects in it.
        lag: a frame before it is seen as well.
    """
    seen = setup.seen
    rows, columns = seen.view.geometry.shape_px
    return {
        'id': index,
        'file_name': f'{index:06d}.png',
        'width': columns,
        'height': rows,
        **_distances_mm(setup),
        'inverted': False,
        'camera': _camera(seen.view),
        'anatomy': setup.anatomy,
        'world_from_patient': seen.world_from_patient.tolist(),
        'view': seen.name,
        'field_px': [float(edge) for edge in setup.field_px],
        'distractors': kinds,
        'technique': _technique(setup),
        'chain': _chain(setup, lag),
        'seed': seed,
    }


def _distances_mm(setup: ViewSetup) -> dict[str, float]:
    """Return pitch and distances; the object's is that of the isocentre until it is known."""
    geometry, to_isocenter_m = setup.seen.view.geometry, setup.seen.source_to_isocenter_m
    return {
        'pixel_pitch_mm': geometry.pixel_pitch_m[0] * 1e3,
        'source_to_detector_mm': geometry.source_to_detector_m * 1e3,
        'source_to_object_mm': to_isocenter_m * 1e3,
        'source_to_isocenter_mm': to_isocenter_m * 1e3,
    }


def _camera(view: View) -> dict[str, Any]:
    return {
        'k': view.geometry.intrinsics().tolist(),
        'world_from_source': view.world_from_source.tolist(),
    }


def _technique(setup: ViewSetup) -> dict[str, Any]:
    technique = setup.technique
    return {
        'tube_voltage_kv': technique.tube_voltage_kv,
        'charge_mas': technique.charge_mas,
        'filtration_mm': dict(technique.filtration_mm),
        'detector_kerma_ngy': setup.imaging.control.detector_kerma_gy * 1e9,
    }


def _chain(setup: ViewSetup, lag: bool) -> dict[str, Any]:
    chain, detector = setup.imaging.chain, setup.imaging.detector
    scatter, spot = chain.scatter, chain.focal_spot
    return {
        'scatter': scatter is not None,
        'grid': scatter is not None and scatter.grid is not None,
        'heel': chain.heel is not None,
        'focal_spot_mm': spot.width_m * 1e3 if spot else 0.0,
        'lag': lag,
        'blur_mm': detector.blur_m * 1e3,
        'electronic_noise_counts': detector.electronic_noise_counts,
    }
