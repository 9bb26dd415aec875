"""Small volumes, tables and views for X-ray tests."""

import numpy as np

from synthex_ros.anatomy.materials import MaterialTable
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import CArm, make_pose


def linear_table(hu_max=3071):
    """One material of density 1 + HU / 1000: line integrals are linear in the CT."""
    hu = np.arange(-1024, hu_max + 1)
    return MaterialTable(('water',), -1024, (1 + hu / 1000).astype(np.float32)[:, None])


def centred(hu, spacing_m, name='box'):
    """Volume whose grid centre is the origin of `patient_lps`."""
    middle = -0.5 * (np.array(hu.shape[::-1]) - 1) * spacing_m
    return Volume(np.ascontiguousarray(hu), tuple(spacing_m), make_pose(None, middle), name=name)


def box_volume(hu=0, shape=(40, 60, 50), spacing_m=(2e-3, 2e-3, 2e-3)):
    return centred(np.full(shape, hu, np.int16), spacing_m)


def blobs_volume(seed=0, shape=(24, 30, 36), spacing_m=(3e-3, 2.5e-3, 4e-3)):
    """Smooth random tissue, without symmetry, padded with air."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing='ij')
    hu = np.full(shape, -900.0)
    for _ in range(6):
        cx, cy, cz = rng.uniform(-0.5, 0.5, 3)
        r2 = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2
        hu += rng.uniform(700, 1800) * np.exp(-r2 / rng.uniform(0.02, 0.15))
    return centred(
        np.pad(hu[1:-1, 1:-1, 1:-1], 1, constant_values=-1000).astype(np.int16), spacing_m
    )


def view(orbital_rad=0.0, angulation_rad=0.0, pixels=64):
    return CArm().view(orbital_rad, angulation_rad).resized((pixels, pixels))


def stored_otherwise(volume):
    """The same anatomy with x and y swapped, z turned round, and its own grid pose."""
    swap = make_pose(np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1.0]]))
    corner = make_pose(None, [0, 0, (volume.hu.shape[0] - 1) * volume.spacing_m[2]])
    return Volume(
        np.ascontiguousarray(volume.hu[::-1].transpose(0, 2, 1)),
        (volume.spacing_m[1], volume.spacing_m[0], volume.spacing_m[2]),
        volume.patient_from_grid @ corner @ swap,
    )
