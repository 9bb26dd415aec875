"""Names and ids of segmented structures, and how a label image finds them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_NAMES = """
    spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right
    adrenal_gland_left lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right
    lung_middle_lobe_right lung_lower_lobe_right esophagus trachea thyroid_gland small_bowel
    duodenum colon urinary_bladder prostate kidney_cyst_left kidney_cyst_right sacrum
    vertebrae_S1 vertebrae_L5 vertebrae_L4 vertebrae_L3 vertebrae_L2 vertebrae_L1
    vertebrae_T12 vertebrae_T11 vertebrae_T10 vertebrae_T9 vertebrae_T8 vertebrae_T7
    vertebrae_T6 vertebrae_T5 vertebrae_T4 vertebrae_T3 vertebrae_T2 vertebrae_T1 vertebrae_C7
    vertebrae_C6 vertebrae_C5 vertebrae_C4 vertebrae_C3 vertebrae_C2 vertebrae_C1 heart aorta
    pulmonary_vein brachiocephalic_trunk subclavian_artery_right subclavian_artery_left
    common_carotid_artery_right common_carotid_artery_left brachiocephalic_vein_left
    brachiocephalic_vein_right atrial_appendage_left superior_vena_cava inferior_vena_cava
    portal_vein_and_splenic_vein iliac_artery_left iliac_artery_right iliac_vena_left
    iliac_vena_right humerus_left humerus_right scapula_left scapula_right clavicula_left
    clavicula_right femur_left femur_right hip_left hip_right spinal_cord gluteus_maximus_left
    gluteus_maximus_right gluteus_medius_left gluteus_medius_right gluteus_minimus_left
    gluteus_minimus_right autochthon_left autochthon_right iliopsoas_left iliopsoas_right
    brain skull rib_left_1 rib_left_2 rib_left_3 rib_left_4 rib_left_5 rib_left_6 rib_left_7
    rib_left_8 rib_left_9 rib_left_10 rib_left_11 rib_left_12 rib_right_1 rib_right_2
    rib_right_3 rib_right_4 rib_right_5 rib_right_6 rib_right_7 rib_right_8 rib_right_9
    rib_right_10 rib_right_11 rib_right_12 sternum costal_cartilages
"""

TOTALSEGMENTATOR_IDS: dict[str, int] = {
    name: number for number, name in enumerate(_NAMES.split(), start=1)
}
"""Ids 1..117 of the task 'total' of TotalSegmentator 2 (Wasserthal et al. 2023)."""


def read_structure_table(path: Path) -> dict[str, int]:
    """Return ids by name of a CSV table with the columns `structure` and `id`.

    Raises:
        ValueError: a column is missing or an id is no integer of 1..255.
    """
    with Path(path).open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    try:
        table = {row['structure']: int(row['id']) for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path} must be a CSV table with the columns structure and id: {error!r}'
        ) from error
    wrong = {name: number for name, number in table.items() if not 1 <= number <= 255}
    if not table or wrong:
        raise ValueError(f'{path} must list structures with ids 1..255, got {wrong or "no row"}')
    return table


def present_structures(labels: NDArray[np.uint8], table: dict[str, int]) -> dict[str, int]:
    """Return the part of `table` whose ids occur in `labels`, shape (z, y, x), by id."""
    present = set(np.flatnonzero(np.bincount(labels.ravel(), minlength=256)))
    named = {name: number for name, number in table.items() if number in present}
    return dict(sorted(named.items(), key=lambda item: item[1]))
