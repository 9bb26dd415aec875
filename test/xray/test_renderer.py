import numpy as np
import pytest
import trimesh

from synthex_ros.anatomy.materials import MaterialModel
from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.geometry import CArm, make_pose, pose_from_parameters
from synthex_ros.xray.attenuation import density_g_cm3, mass_attenuation_cm2_g
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.device_layer import behind_devices, trace_bodies
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scene import Scene

from .boxes import blobs_volume, box_volume, view

SEEN = view(0.3, 0.1, 128)


def body(mesh, position_m=(0, 0, 0), rpy_rad=(0, 0, 0), material='nitinol', label=1):
    triangles = TriangleMesh(
        np.array(mesh.vertices, float), np.ascontiguousarray(mesh.faces, np.int32)
    )
    return Body(triangles, material, pose_from_parameters(position_m, rpy_rad), label)


def renderer(volume=None, **kwargs):
    return Renderer(Scene(volume or blobs_volume()), anatomy_px=128, **kwargs)


def frame(made, bodies=(), seed=0, seen=SEEN, **kwargs):
    return made.render(seen, bodies, np.random.default_rng(seed), **kwargs)


def expected_signal(made, bodies, seen=SEEN):
    layer = made.anatomy(seen)
    devices = trace_bodies(bodies, seen, made.supersampling)
    covered = behind_devices(devices, layer, made.scene, made.beam())
    signal = layer.signal_kev.copy()
    if covered is not None:
        signal[covered.pixels()] = covered.values[0]
    return signal


def full_spectrum_signal(technique, seen, area_density, materials):
    """Beer-Lambert with every energy bin: absorbed energy [keV] at the piercing point."""
    spectrum, detector = technique.spectrum(), Detector()
    energies = spectrum.energies_kev
    pitch_v, pitch_u = seen.geometry.pixel_pitch_m
    photons = spectrum.fluence_cm2_mas * technique.charge_mas * pitch_v * pitch_u * 1e4
    photons = photons / seen.geometry.source_to_detector_m**2
    depth = sum(
        area * mass_attenuation_cm2_g(name, energies)
        for area, name in zip(area_density, materials, strict=True)
    )
    return np.sum(photons * detector.efficiency(energies) * energies * np.exp(-depth))


@pytest.mark.parametrize('voltage', [60.0, 80.0, 120.0])
def test_anatomy_signal_is_beer_lambert_over_the_full_spectrum(voltage):
    technique = Technique(voltage)
    made = renderer(technique=technique)
    layer = made.anatomy(SEEN)
    slope = SEEN.geometry.pixel_pitch_m[0] / SEEN.geometry.source_to_detector_m
    for row, column in [(64, 64), (40, 70), (90, 50), (5, 5)]:
        area = layer.area_density_g_cm2[:, row, column]
        expected = full_spectrum_signal(technique, SEEN, area, made.scene.table.names)
        tangent = slope * np.hypot(row - 63.5, column - 63.5)
        expected *= np.cos(np.arctan(tangent)) ** 3
        assert layer.signal_kev[row, column] == pytest.approx(expected, rel=0.003)


def test_device_signal_is_beer_lambert_with_displaced_tissue():
    """A metal ball inside a block of soft tissue: tissue chord less ball, plus ball of metal."""
    made = renderer(box_volume(hu=0, shape=(80, 80, 80)))
    seen = view(0, 0, 129)
    ball = body(trimesh.creation.icosphere(5, 0.005))
    signal = expected_signal(made, [ball], seen)
    tissue = float(made.anatomy(seen).area_density_g_cm2.sum(0)[64, 64])
    expected = full_spectrum_signal(
        made.technique,
        seen,
        [tissue - 1.0 * 1.0, density_g_cm3('nitinol') * 1.0],
        ['soft_tissue', 'nitinol'],
    )
    assert signal[64, 64] == pytest.approx(expected, rel=0.005)
    without = full_spectrum_signal(made.technique, seen, [tissue], ['soft_tissue'])
    assert made.anatomy(seen).signal_kev[64, 64] == pytest.approx(without, rel=0.003)


def test_device_of_the_same_tissue_is_invisible():
    made = renderer(box_volume(hu=0, shape=(60, 60, 60)))
    ghost = body(trimesh.creation.icosphere(4, 0.02), material='soft_tissue')
    plain = made.anatomy(SEEN).signal_kev
    np.testing.assert_allclose(expected_signal(made, [ghost]), plain, rtol=5e-4)
    metal = body(trimesh.creation.icosphere(4, 0.02))
    assert expected_signal(made, [metal]).min() < 0.2 * plain.min()


def test_device_outside_the_anatomy_displaces_nothing():
    made = renderer()
    beside = body(trimesh.creation.icosphere(4, 0.005), (0.0, -0.25, 0.0), material='water')
    plain, signal = made.anatomy(SEEN).signal_kev, expected_signal(made, [beside])
    changed = signal != plain
    assert changed.any()
    assert np.all(signal[changed] < plain[changed])


def test_only_covered_pixels_change_and_carry_the_label():
    made = renderer()
    devices = [body(trimesh.creation.cylinder(0.003, 0.04), rpy_rad=(0.3, 0.5, 0.1), label=3)]
    changed = expected_signal(made, devices) != made.anatomy(SEEN).signal_kev
    mask = frame(made, devices).mask
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 3}
    np.testing.assert_array_equal(changed, mask == 3)


def test_longer_path_wins_the_label_and_unlabelled_bodies_hide_nothing():
    made = renderer()
    ahead = 0.1 * SEEN.world_from_source[:3, 2]
    thin = body(trimesh.creation.box((0.01, 0.01, 0.01)), label=1)
    thick = body(trimesh.creation.box((0.02, 0.02, 0.04)), ahead, label=2)
    shaft = body(trimesh.creation.box((0.03, 0.03, 0.06)), -ahead, label=0)
    both = frame(made, [thin, thick, shaft]).mask
    alone = frame(made, [thick]).mask
    np.testing.assert_array_equal(both == 2, alone == 2)
    assert np.count_nonzero(frame(made, [thin, shaft]).mask == 1) > 10
    np.testing.assert_array_equal(both, frame(made, [shaft, thick, thin]).mask)


def test_bodies_of_one_material_may_come_in_parts():
    made = renderer()
    parts = [body(trimesh.creation.icosphere(3, 0.004), (0.01 * k, 0, 0)) for k in (-1, 0, 1)]
    together = expected_signal(made, parts)
    product = np.ones_like(together)
    plain = made.anatomy(SEEN).signal_kev
    for part in parts:
        changed = expected_signal(made, [part])
        product = np.where(changed != plain, changed, product)
    touched = together != plain
    np.testing.assert_allclose(together[touched], product[touched], rtol=1e-4)


def test_frame_is_repeatable_by_seed():
    devices = [body(trimesh.creation.icosphere(3, 0.01))]
    first, second = (frame(renderer(), devices, seed=5) for _ in '12')
    assert first.counts.dtype == np.uint16
    assert first.counts.tobytes() == second.counts.tobytes()
    assert first.counts.tobytes() != frame(renderer(), devices, seed=6).counts.tobytes()


def test_brightness_of_anatomy_does_not_depend_on_the_device():
    """No stretching by content: far from the device, the frames are the same bytes."""
    made = renderer()
    plain = frame(made, [])
    metal = body(trimesh.creation.icosphere(3, 0.02), (0.03, 0, 0.02))
    moved = frame(made, [metal])
    far = np.ones(plain.counts.shape, bool)
    rows, columns = np.nonzero(moved.mask)
    far[rows.min() - 3 : rows.max() + 4, columns.min() - 3 : columns.max() + 4] = False
    assert np.count_nonzero(far) > 1000
    np.testing.assert_array_equal(plain.counts[far], moved.counts[far])


def test_frames_average_to_the_expected_counts():
    made = renderer(detector=Detector(blur_m=0.0), technique=Technique(charge_mas=1.0))
    rng = np.random.default_rng(0)
    mean = np.mean([made.render(SEEN, [], rng).counts for _ in range(40)], axis=0)
    layer, gain = made.anatomy(SEEN), made.beam().gain_counts_kev(SEEN.geometry)
    sigma = gain * np.sqrt(layer.variance_kev2 / 0.9 / 40) + 1
    score = (mean - gain * layer.signal_kev) / sigma
    assert abs(score.mean()) < 0.05
    assert np.abs(score).max() < 6


def test_layers_are_kept_and_the_oldest_dropped():
    made = renderer(cached_layers=2)
    views = [view(angle, 0, 32) for angle in (0.0, 0.1, 0.2)]
    first = made.anatomy(views[0])
    assert made.anatomy(views[0]) is first
    made.anatomy(views[1])
    made.anatomy(views[2])
    assert made.anatomy(views[0]) is not first
    moved = made.anatomy(views[0], make_pose(None, [0.01, 0, 0]))
    assert not np.array_equal(moved.signal_kev, first.signal_kev)


def test_technique_of_a_frame_overrides_the_default():
    made = renderer()
    low, high = (frame(made, technique=Technique(kv)) for kv in (60.0, 120.0))
    assert low.technique.tube_voltage_kv == 60.0
    # Behind tissue a harder beam passes more of what the open field gets.
    dense = low.counts < 0.7 * low.counts.max()
    assert np.count_nonzero(dense) > 100
    assert np.median(high.counts[dense]) > 1.02 * np.median(low.counts[dense])
    assert high.air_kerma_gy > low.air_kerma_gy


def test_blend_runs_from_one_breathing_phase_to_the_other():
    made = renderer()
    first = made.anatomy(SEEN)
    second = made.anatomy(SEEN, make_pose(None, [0, 0, 0.002]))
    truth = made.anatomy(SEEN, make_pose(None, [0, 0, 0.001])).signal_kev
    middle = made.blend(first, second, 0.5)
    assert made.blend(first, second, 0.0) is first
    assert made.blend(first, second, 1.0) is second
    apart = np.sqrt(np.mean((first.signal_kev - truth) ** 2))
    assert np.sqrt(np.mean((middle.signal_kev - truth) ** 2)) < 0.2 * apart
    picture = frame(made, [body(trimesh.creation.icosphere(3, 0.01))], layer=middle)
    assert picture.mask.any()


def test_coarse_anatomy_stays_close_to_the_direct_one():
    seen = view(0.3, 0.1, 512)
    direct = Renderer(Scene(blobs_volume()), anatomy_px=512).anatomy(seen).area_density_g_cm2
    coarse = Renderer(Scene(blobs_volume()), anatomy_px=256).anatomy(seen).area_density_g_cm2
    error = np.sqrt(np.mean((coarse - direct).sum(0) ** 2) / np.mean(direct.sum(0) ** 2))
    assert error < 0.003


def test_rectangular_detectors_keep_their_aspect():
    carm = CArm().geometry()
    wide = type(carm)(1.02, (0.6e-3, 0.6e-3), (199.5, 99.5), (200, 400))
    seen = type(SEEN)(wide, SEEN.world_from_source)
    full = Renderer(Scene(blobs_volume()), anatomy_px=400).anatomy(seen).signal_kev
    half = Renderer(Scene(blobs_volume()), anatomy_px=200).anatomy(seen).signal_kev
    assert half.shape == (200, 400)
    assert np.sqrt(np.mean((half - full) ** 2) / np.mean(full**2)) < 0.01


def test_air_kerma_is_taken_at_the_reference_point():
    made, charge = renderer(technique=Technique(charge_mas=0.2)), 0.2
    spectrum = made.technique.spectrum()
    assert frame(made).air_kerma_gy == pytest.approx(spectrum.air_kerma_gy(charge, 0.70 - 0.15))
    nearer = renderer(technique=Technique(charge_mas=0.2), source_to_isocenter_m=0.65)
    assert frame(nearer).air_kerma_gy == pytest.approx(spectrum.air_kerma_gy(charge, 0.5))


def test_supersampling_softens_edges_but_keeps_mask_and_mean():
    devices = [body(trimesh.creation.cylinder(0.002, 0.05), rpy_rad=(0.2, 0.4, 0.3))]
    one, four = renderer(), renderer(supersampling=4)
    np.testing.assert_array_equal(frame(one, devices).mask, frame(four, devices).mask)
    sharp, soft = expected_signal(one, devices), expected_signal(four, devices)
    assert not np.array_equal(sharp, soft)
    assert soft.sum() == pytest.approx(sharp.sum(), rel=0.002)


def test_material_model_changes_the_picture():
    dense = Scene(blobs_volume(), MaterialModel(bone_ramp_hu=(0.0, 100.0)))
    softer = renderer().anatomy(SEEN).signal_kev
    assert Renderer(dense, anatomy_px=128).anatomy(SEEN).signal_kev.sum() < softer.sum()


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda r: frame(r, [body(trimesh.creation.box((0.01,) * 3), label=256)]), 'label'),
        (
            lambda r: frame(r, [body(trimesh.creation.box((0.01,) * 3), material='unobtainium')]),
            'unknown material',
        ),
        (lambda r: frame(r, layer=r.anatomy(view(0, 0, 32))), 'another view'),
        (
            lambda r: frame(r, layer=r.anatomy(SEEN), world_from_patient=np.eye(4)),
            'not both',
        ),
        (lambda r: r.anatomy(SEEN, 2 * np.eye(4)), 'rigid'),
        (lambda r: r.blend(r.anatomy(SEEN), r.anatomy(SEEN), 1.5), '0..1'),
        (lambda r: r.blend(r.anatomy(SEEN), r.anatomy(view(0, 0, 32)), 0.5), 'same geometry'),
        (lambda r: renderer(cached_layers=0), 'capacity'),
        (lambda r: Renderer(r.scene, anatomy_px=4), 'detail_px'),
    ],
)
def test_errors_name_the_slip(call, message):
    made = renderer()
    with pytest.raises(ValueError, match=message):
        call(made)


def test_beam_of_few_energies_is_made_once():
    made = renderer()
    assert made.beam() is made.beam(Technique())
    assert isinstance(made.beam(), Beam)
