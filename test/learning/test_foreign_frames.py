"""Frames of a foreign imaging chain: its physics, and labels that stay where the picture is."""

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import xraylib

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmark.foreign.device import device_paths, place_device, shaft
from benchmark.foreign.exports import EXPORTS, exported, raw
from benchmark.foreign.panel import (
    Beam,
    Exposure,
    burnt_out,
    draw_system,
    read_out,
    settle,
    shadow_between,
    spread,
    with_scatter,
)
from benchmark.foreign.tube import mass_attenuation_cm2_g, tube_spectrum
from benchmark.validation.gvxr_paths import GvxrMissingError
from synthex_ros.devices.continuum.kinematics import ContinuumKinematics
from synthex_ros.devices.continuum.mesh import bent_tube
from synthex_ros.geometry import transform_points
from synthex_ros.learning.sampling import SceneSampling, draw_view

PITCH_MM = 0.582
SYSTEM = replace(draw_system(np.random.default_rng(0)), shading=0.0)


def test_filters_and_voltage_harden_the_beam():
    def mean_kev(kv, filters):
        energies, photons = tube_spectrum(kv, 12.0, filters)
        assert photons.sum() == pytest.approx(1)
        return energies @ photons

    soft = mean_kev(80, {'Al': 2.5})
    assert soft < mean_kev(80, {'Al': 2.5, 'Cu': 0.3}) < 80
    assert soft < mean_kev(120, {'Al': 2.5}) < 120


def test_half_value_layer_is_a_fifth_above_a_standard_beam():
    # IEC 61267 RQR 5: 70 kV, filtered by about 2.8 mm of aluminium, has 2.58 mm of it as its
    # first half-value layer. Kramers' law is harder: half is left behind 3.15 mm.
    energies, photons = tube_spectrum(70, 12.0, {'Al': 2.8})
    kerma = np.array([xraylib.CS_Energy_CP('Air, Dry (near sea level)', e) for e in energies])
    kerma *= energies * photons
    aluminium = mass_attenuation_cm2_g('Al', energies) * 2.699 * 0.315
    assert (kerma * np.exp(-aluminium)).sum() / kerma.sum() == pytest.approx(0.5, abs=0.01)


def test_k_lines_appear_above_the_edge_alone():
    for kv, above in ((65, False), (100, True)):
        energies, photons = tube_spectrum(kv, 12.0, {'Al': 2.5})
        line = np.argmin(np.abs(energies - 59.3))
        peak = photons[line] / photons[[line - 4, line - 3, line + 3]].max()
        assert (peak > 1.3) == above


def test_device_transmission_is_averaged_and_not_its_path():
    beam, tissues = Beam(SYSTEM), np.zeros((1, 1, 3), np.float32)
    open_field = beam.exposure(tissues).energy_kev[0, 0]
    half = np.array([[0.0, 0.01], [0.0, 0.01]], np.float32)
    behind = beam.exposure(tissues, np.full((2, 2), 0.01, np.float32)).energy_kev[0, 0]
    mixed = beam.exposure(tissues, half).energy_kev[0, 0]
    assert mixed == pytest.approx((open_field + behind) / 2, rel=1e-5)
    assert behind < 0.1 * open_field


def half_bare(behind):
    """Return an exposure whose left half is the bare beam, and what lies right of the middle."""
    quanta = np.ones((128, 128), np.float32)
    quanta[:, 60:] = behind
    return Exposure(quanta, 50 * quanta)


def test_scatter_comes_from_what_is_met_and_is_the_share_in_the_measuring_field():
    bare = Exposure(np.ones((64, 64), np.float32), np.full((64, 64), 50, np.float32))
    assert settle(bare, 50, SYSTEM, PITCH_MM).scatter == 0
    assert np.array_equal(with_scatter(bare, 3.0, SYSTEM, PITCH_MM).quanta, bare.quanta)
    thick = half_bare(0.02)
    factor = settle(thick, 50, SYSTEM, PITCH_MM).scatter
    scattered = with_scatter(thick, factor, SYSTEM, PITCH_MM).quanta - thick.quanta
    middle = scattered[50:78, 60:78] / 0.02
    assert np.median(middle) == pytest.approx(SYSTEM.scatter_to_primary, rel=0.15)
    # Glass of the same transmission at every pixel scatters alike, beam or no beam beside it:
    # beside the bare beam it gets less, not more.
    everywhere = Exposure(
        np.full((128, 128), 0.02, np.float32), np.full((128, 128), 1, np.float32)
    )
    around = with_scatter(everywhere, factor, SYSTEM, PITCH_MM).quanta - 0.02
    assert scattered[:, 60:].max() <= around.max() * (1 + 1e-5)


def test_bare_beam_beside_the_patient_leaves_dose_and_gain_alone():
    measured = replace(SYSTEM, quanta=200.0, measured_share=0.4, offset_counts=0.0)
    for behind in (0.5, 0.02):
        thick = half_bare(behind)
        settings = settle(thick, 50, measured, PITCH_MM)
        total = with_scatter(thick, settings.scatter, measured, PITCH_MM)
        middle = total.quanta[40:88, 64:88]
        assert np.median(middle) * settings.dose == pytest.approx(200, rel=0.1)
        counts = settings.gain * settings.dose * 50
        assert counts == pytest.approx(measured.bare_share * (2**measured.bits - 1))
    for bare_share in (0.9, 1.1):
        settings = settle(thick, 50, replace(measured, bare_share=bare_share), PITCH_MM)
        assert np.all(burnt_out(thick, measured, settings)[:, :60] == (bare_share > 1))
        assert not burnt_out(thick, measured, settings)[:, 60:].any()


def test_spread_keeps_light():
    point = np.zeros((101, 101), np.float32)
    point[50, 50] = 1
    assert spread(point, SYSTEM, PITCH_MM).sum() == pytest.approx(1, rel=1e-4)


def test_noise_without_spread_is_that_of_the_quanta():
    sharp = replace(
        SYSTEM, core_mm=1e-3, tail_share=0.0, quanta=400.0, noise_counts=0.0, offset_counts=0.0,
        bits=14, bare_share=30.0,
    )  # fmt: skip
    level = np.full((256, 256), 0.01, np.float32)
    flat = Exposure(level, 50 * level)
    settings = settle(flat, 50, sharp, PITCH_MM)
    total = with_scatter(flat, settings.scatter, sharp, PITCH_MM)
    values = read_out(total, sharp, settings, PITCH_MM, np.random.default_rng(2)).astype(float)
    expected = 30 * (2**14 - 1) * total.quanta.mean()
    assert values.mean() == pytest.approx(expected, rel=0.01)
    assert values.std() / values.mean() == pytest.approx(1 / 20, rel=0.03)


def test_shadow_is_what_a_matched_filter_reaches_in_frames_that_are_read_out():
    sharp = replace(
        SYSTEM, core_mm=1e-3, tail_share=0.0, quanta=100.0, noise_counts=10.0, offset_counts=0.0,
        bits=14, bare_share=30.0,
    )  # fmt: skip
    v, u = np.mgrid[:64, :64]
    level = (0.01 * (1 + 0.5 * np.sin(u / 9))).astype(np.float32)
    disc = np.where(np.hypot(u - 42, v - 30) < 5, np.float32(0.93), np.float32(1))
    without, shown = Exposure(level, 50 * level), Exposure(level * disc, 50 * level * disc)
    settings = settle(without, 50, sharp, PITCH_MM)
    shadow = shadow_between(shown, without, sharp, settings)
    rng = np.random.default_rng(8)
    weight = shadow.lost_kev / (shadow.quantum_kev2 + shadow.readout_kev2)

    def answers(exposure):
        frames = (read_out(exposure, sharp, settings, PITCH_MM, rng).ravel() for _ in range(600))
        return np.array([weight @ frame for frame in frames])

    absent, present = answers(without), answers(shown)
    measured = (absent.mean() - present.mean()) / present.std()
    assert shadow.snr() > 3
    assert measured == pytest.approx(shadow.snr(), rel=0.08)


@pytest.mark.parametrize('name', ['raw', *sorted(EXPORTS)])
def test_labels_stay_where_the_picture_is(name):
    """A dark disc is found where the export says that its middle is, and its mask covers it."""
    rng = np.random.default_rng(3)
    middle, size = np.array([[220.0, 300.0]]), 512
    v, u = np.mgrid[:size, :size]
    disc = np.hypot(u - middle[0, 0], v - middle[0, 1]) < 30
    counts = (1500 + 400 * np.sin(u / 90) + 5 * rng.standard_normal(u.shape) - 900 * disc).astype(
        np.uint16
    )
    export = exported(counts, 12, PITCH_MM, name, rng)
    pixels, mask = export.pixels(), export.mask(disc.astype(np.uint8))
    assert pixels.shape == mask.shape
    grey = pixels.astype(float) if not export.inverted else float(pixels.max()) - pixels
    near = cv2.dilate(mask, np.ones((21, 21), np.uint8)) > 0
    inside, around = grey[mask > 0], grey[near & (mask == 0)]
    dark = near & (grey < (np.median(inside) + np.median(around)) / 2)
    found = np.array([np.nonzero(dark)[1].mean(), np.nonzero(dark)[0].mean()])
    assert found == pytest.approx(export.points(middle)[0], abs=0.5)
    assert (dark & (mask > 0)).sum() / (dark | (mask > 0)).sum() > 0.95


@pytest.mark.parametrize('name', sorted(set(EXPORTS) - {'round field', '480 px'}))
@pytest.mark.parametrize('bare_share', [0.5, 0.95])
def test_window_is_about_what_is_not_burnt_out(name, bare_share):
    """Beside a bare beam at full scale a patient keeps most of the grey values."""
    rng = np.random.default_rng(11)
    counts = (300 + 200 * np.sin(np.indices((256, 256)).sum(axis=0) / 20)).astype(np.uint16)
    counts[:, : int(bare_share * 256)] = 4095
    export = exported(counts, 12, PITCH_MM, name, rng)
    shown = export.shutter & ~export.burnt
    if export.overlay is not None:
        shown &= ~export.overlay
    spread_of_grey = np.ptp(np.percentile(export.pixels()[shown], (5, 95)))
    assert spread_of_grey > 0.3 * (2**export.bits - 1)


@pytest.mark.parametrize('name', sorted(EXPORTS))
def test_frame_of_a_single_grey_value_is_exported(name):
    level = np.full((256, 256), 4095, np.uint16)
    export = exported(level, 12, PITCH_MM, name, np.random.default_rng(12), (level, level))
    assert export.pixels().shape == export.picture.shape
    assert all(np.isfinite(one).all() for one in (export.picture, *export.expected))
    assert export.inverted or export.pixels()[128, 128] == 2**export.bits - 1


def test_mask_ends_where_grey_values_do():
    """A third of a grey value is nothing in 8 bits and a lot in 16."""
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 4:60] = 1
    faint = np.where(np.arange(64) < 32, 0.3 / 255, 3 / 255) * mask
    without = np.full((64, 64), 0.5, np.float32)
    export = replace(
        raw(np.full((64, 64), 2000, np.uint16), 12, PITCH_MM),
        bits=8, expected=((without - faint).astype(np.float32), without),
    )  # fmt: skip
    left = export.left_of(mask)
    assert not left[:, :28].any()
    assert np.array_equal(left[:, 36:], mask[:, 36:])
    assert np.array_equal(replace(export, bits=16).left_of(mask), mask)
    black = replace(export, expected=tuple(one - 1 for one in export.expected))
    assert not black.left_of(mask).any()


def test_exports_are_written_as_they_are_described():
    counts = np.random.default_rng(4).integers(0, 4096, (512, 512)).astype(np.uint16)
    assert np.array_equal(raw(counts, 12, PITCH_MM).pixels(), counts)
    every = exported(counts, 12, PITCH_MM, 'all of it', np.random.default_rng(5))
    assert every.pixels().dtype == np.uint8
    assert every.inverted
    assert every.pixels().shape == (480, 480)
    assert not every.pixels()[~(every.shutter | every.overlay)].any()
    assert np.all(every.pixels()[every.overlay] == 255)


def test_shaft_is_a_closed_tube_of_its_volume():
    kinematics = ContinuumKinematics()
    parameters, length = kinematics.parameters, 0.05
    mesh = shaft(parameters, length)
    wall = np.pi / 4 * (parameters.outer_diameter_m**2 - parameters.inner_diameter_m**2)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(wall * length, rel=1e-6)


def test_shafts_stay_between_tube_and_panel():
    sampling, kinematics = SceneSampling(), ContinuumKinematics()
    rng = np.random.default_rng(6)
    for _ in range(10):
        seen = draw_view(sampling, np.zeros(3), rng)
        device = place_device(sampling, kinematics, seen, rng)
        end = device.source_from_cm @ [0, 0, -device.shaft_m, 1]
        assert 0.1 < end[2] < seen.view.geometry.source_to_detector_m


@pytest.mark.skipif(find_spec('gvxrPython3') is None, reason='gVXR is not installed')
def test_traced_mask_is_the_projected_mesh_to_a_pixel():
    """gVXR's mask and the projected triangles cover each other to less than a pixel."""
    kinematics, rng = ContinuumKinematics(), np.random.default_rng(7)
    seen = draw_view(SceneSampling(), np.zeros(3), rng)
    device = place_device(SceneSampling(edge_share=0.0), kinematics, seen, rng)
    try:
        (paths,) = device_paths(kinematics, [device], seen.view.geometry)
    except GvxrMissingError as error:
        pytest.skip(str(error))
    tube, fine = bent_tube(kinematics, device.sample.notch_angles), 8
    geometry = seen.view.geometry.resized((fine * 512, fine * 512))
    corners = geometry.project(transform_points(device.source_from_cm, tube.vertices_m))
    drawn = np.zeros(geometry.shape_px, np.uint8)
    for triangle in np.rint(corners[tube.faces] * 16).astype(np.int32):
        cv2.fillPoly(drawn, [triangle], 1, shift=4)
    silhouette = drawn.reshape(512, fine, 512, fine).mean(axis=(1, 3)) >= 0.5
    for one, other in ((paths.mask > 0, silhouette), (silhouette, paths.mask > 0)):
        distance = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, 5)
        assert one.sum() > 200
        assert distance[one].max() <= 1.0
    assert (silhouette ^ (paths.mask > 0)).sum() < 0.05 * silhouette.sum()
    # A notch that is filled adds wall at the base, a piece that is missing takes some at the tip.
    ends_px = seen.view.project(device.sample.landmarks_world_m)
    for moved_m, sign, end_px in zip(paths.moved_m, (1, -1), ends_px, strict=True):
        added_m = sign * (moved_m - paths.path_m)
        v, u = np.nonzero(np.abs(added_m) > 1e-5)
        assert added_m.min() > -1e-5
        assert added_m.max() > 5e-4
        middle_px = (np.column_stack([u, v]) - 0.5) / 2
        assert np.linalg.norm(middle_px - end_px, axis=1).max() < 8
