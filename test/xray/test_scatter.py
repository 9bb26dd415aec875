"""Scatter: how it grows and shrinks, superposition, units, and Monte Carlo values of slabs."""

import hashlib
import json
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from synthex_ros.geometry import CArm, ProjectionGeometry
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.object_span import air_gap_m, object_span_m
from synthex_ros.xray.scatter import AntiScatterGrid, KernelScatter, decimated, open_share
from synthex_ros.xray.scatter_kernels import beam_kernels

from .boxes import box_volume

GEOMETRY = CArm().geometry()
BEAM = Beam(Technique(80.0), Detector())
CELLS = (64, 64)


def slab(thickness_cm, cells=CELLS):
    return np.full((1, *cells), thickness_cm, np.float32)


def on_detector(area, gap_m=0.1, beam=BEAM, geometry=GEOMETRY, opened=None, model=None):
    model = model or KernelScatter()
    return model.on_detector(area, ('water',), beam, geometry, gap_m, opened)


def centred_field(side_m, geometry=GEOMETRY, cells=CELLS):
    half = side_m / 2 / geometry.pixel_pitch_m[0]
    middle = geometry.shape_px[0] / 2
    box = (middle - half, middle + half, middle - half, middle + half)
    return open_share(box, geometry, cells)


def scatter_to_primary(thickness_cm, gap_m, side_m, beam=BEAM):
    """At the centre of a 30 cm detector."""
    pixels = 256
    geometry = ProjectionGeometry(
        1.02, (0.3 / pixels,) * 2, ((pixels - 1) / 2,) * 2, (pixels, pixels)
    )
    opened = centred_field(side_m, geometry)
    scatter = on_detector(slab(thickness_cm), gap_m, beam, geometry, opened)
    depth = beam.mass_attenuation_cm2_g(('water',))[0] * thickness_cm
    primary = beam.pixel_weights(geometry)[0] @ np.exp(-depth)
    return scatter.signal_kev[30:34, 30:34].mean() / primary


def test_table_is_the_one_its_manifest_describes():
    folder = files('synthex_ros.xray') / 'data'
    manifest = json.loads((folder / 'scatter_kernels.json').read_text(encoding='utf-8'))
    content = (folder / manifest['file']).read_bytes()
    assert hashlib.sha256(content).hexdigest() == manifest['sha256']


def test_grows_with_thickness_and_field_and_shrinks_with_the_air_gap():
    by_thickness = [scatter_to_primary(cm, 0.1, 0.3) for cm in (0, 2, 5, 10, 15, 20, 25, 30, 40)]
    assert by_thickness[0] == 0
    assert np.all(np.diff(by_thickness) > 0)
    by_field = [scatter_to_primary(20, 0.1, side) for side in (0.05, 0.1, 0.2, 0.3)]
    assert np.all(np.diff(by_field) > 0)
    by_gap = [scatter_to_primary(20, gap, 0.3) for gap in (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0)]
    assert np.all(np.diff(by_gap)[:-1] < 0)
    assert by_gap[-1] == by_gap[-2]


def test_two_halves_of_the_field_add_up():
    area = slab(20.0)
    left = np.zeros(CELLS, np.float32)
    left[:, :20] = 1
    whole = on_detector(area).signal_kev
    parts = (
        on_detector(area, opened=left).signal_kev + on_detector(area, opened=1 - left).signal_kev
    )
    np.testing.assert_allclose(parts, whole, rtol=1e-4)


def test_scatter_reaches_beyond_the_collimated_field():
    scatter = on_detector(slab(20.0), opened=centred_field(0.1)).signal_kev
    row = scatter[32, 32:]
    assert np.all(np.diff(row) < 0)
    assert row[-1] > 0.05 * row[0]


def test_slab_scatters_symmetrically():
    signal = on_detector(slab(15.0)).signal_kev
    for mirrored in (signal[::-1], signal[:, ::-1], signal.T):
        np.testing.assert_allclose(mirrored, signal, rtol=1e-3)


def test_scatter_follows_the_charge_and_the_pixel_area():
    once = on_detector(slab(20.0))
    beam = Beam(replace(BEAM.technique, charge_mas=3 * BEAM.technique.charge_mas), BEAM.detector)
    more = on_detector(slab(20.0), beam=beam)
    np.testing.assert_allclose(more.signal_kev, 3 * once.signal_kev, rtol=1e-4)
    np.testing.assert_allclose(more.variance_kev2, 3 * once.variance_kev2, rtol=1e-4)
    binned = on_detector(slab(20.0), geometry=GEOMETRY.resized((256, 256)))
    np.testing.assert_allclose(binned.signal_kev, 4 * once.signal_kev, rtol=1e-4)


def test_grid_takes_its_share():
    model = KernelScatter(AntiScatterGrid(0.7, 0.1))
    assert model.primary_transmission == 0.7
    assert KernelScatter().primary_transmission == 1
    behind, before = on_detector(slab(20.0), model=model), on_detector(slab(20.0))
    np.testing.assert_allclose(behind.signal_kev, 0.1 * before.signal_kev, rtol=1e-4)
    np.testing.assert_allclose(behind.variance_kev2, 0.1 * before.variance_kev2, rtol=1e-4)


@pytest.mark.parametrize('cells', [(32, 32), (48, 64), (128, 128)])
def test_coarse_grid_hardly_matters(cells):
    fine = on_detector(slab(20.0)).signal_kev
    other = on_detector(slab(20.0, cells)).signal_kev
    centre = other[cells[0] // 2 - 1 : cells[0] // 2 + 1, cells[1] // 2 - 1 : cells[1] // 2 + 1]
    assert centre.mean() == pytest.approx(fine[31:33, 31:33].mean(), rel=0.005)
    assert other.mean() == pytest.approx(fine.mean(), rel=0.005)


def test_scattered_photons_have_lost_energy():
    scatter = on_detector(slab(20.0))
    photon_kev = scatter.variance_kev2 / scatter.signal_kev
    depth = BEAM.mass_attenuation_cm2_g(('water',))[0] * 20
    signal, variance = BEAM.pixel_weights(GEOMETRY) @ np.exp(-depth)
    assert photon_kev.max() < 0.98 * variance / signal
    assert photon_kev.min() > 0.7 * variance / signal
    assert photon_kev.min() < scatter.quantum_kev < photon_kev.max()
    assert on_detector(slab(0.0)).quantum_kev == 0


def test_bone_scatters_and_absorbs():
    area = np.stack([slab(18.0)[0], slab(2.0)[0]])
    mixed = KernelScatter().on_detector(area, ('water', 'bone'), BEAM, GEOMETRY, 0.1)
    assert 0.3 < (mixed.signal_kev / on_detector(slab(20.0)).signal_kev).max() < 0.9


def test_other_panel_sees_other_scatter():
    # Softer photons gain least from a panel that stops nearly everything.
    thin, thick = (
        scatter_to_primary(20, 0.1, 0.3, Beam(BEAM.technique, Detector(scintillator_m=metres)))
        for metres in (150e-6, 2e-3)
    )
    assert thin > thick


@pytest.mark.parametrize(
    ('thickness_cm', 'gap_m', 'side_m', 'monte_carlo'),
    [
        (10, 0.0, 0.1, 1.024),
        (10, 0.0, 0.3, 1.621),
        (20, 0.0, 0.2, 3.26),
        (30, 0.0, 0.3, 7.15),
        (10, 0.2, 0.1, 0.150),
        (15, 0.2, 0.3, 1.155),
        (20, 0.2, 0.3, 1.73),
        (30, 0.2, 0.1, 0.52),
        (30, 0.2, 0.3, 2.98),
    ],
)
def test_ratio_agrees_with_the_monte_carlo(thickness_cm, gap_m, side_m, monte_carlo):
    # benchmark/scatter.py, 80 kV, 3 mm Al and 0.1 mm Cu, focal spot to detector 102 cm.
    ours = scatter_to_primary(thickness_cm, gap_m, side_m)
    assert ours == pytest.approx(monte_carlo, rel=0.10)


def test_kernels_do_not_depend_on_the_charge():
    other = Beam(replace(BEAM.technique, charge_mas=2.0), BEAM.detector)
    assert beam_kernels(other, 0.2) is beam_kernels(BEAM, 0.2)


def test_decimation_keeps_the_mean_and_open_share_the_area():
    area = np.random.default_rng(0).random((2, 512, 512), np.float32)
    np.testing.assert_allclose(
        decimated(area).mean(axis=(1, 2)), area.mean(axis=(1, 2)), rtol=1e-4
    )
    share = open_share((10, 500, 3, 200.5), GEOMETRY)
    assert share.sum() * 64 == pytest.approx(490 * 197.5)
    assert open_share((0, 512, 0, 512), GEOMETRY).min() == 1


def test_beam_enters_and_leaves_a_box():
    # 100 mm along y, 120 mm along x and z: from below, and from the side.
    volume = box_volume(shape=(60, 50, 60))
    carm = CArm()
    entrance, exit_ = object_span_m(volume, carm.view(), np.eye(4))
    assert entrance == pytest.approx(0.65, abs=0.003)
    assert exit_ == pytest.approx(0.75, abs=0.003)
    assert air_gap_m(volume, carm.view(), np.eye(4)) == pytest.approx(0.27, abs=0.003)
    entrance, exit_ = object_span_m(volume, carm.view(np.pi / 2), np.eye(4))
    assert exit_ - entrance == pytest.approx(0.12, abs=0.005)


def test_beam_beside_an_object_has_no_span():
    far = np.eye(4)
    far[0, 3] = 5.0
    assert object_span_m(box_volume(), CArm().view(), far) is None
    assert air_gap_m(box_volume(), CArm().view(), far) == 0


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: AntiScatterGrid(0.0, 0.1), 'primary_transmission must be in'),
        (lambda: on_detector(slab(1.0), gap_m=-0.1), 'air_gap_m must be 0 or more'),
        (lambda: on_detector(slab(1.0)[0]), 'must have shape'),
        (lambda: on_detector(slab(1.0), opened=np.ones((3, 3))), 'open_share must have shape'),
    ],
)
def test_errors_name_the_slip(call, message):
    with pytest.raises(ValueError, match=message):
        call()
