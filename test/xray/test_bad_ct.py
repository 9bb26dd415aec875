"""CTs as they come: each renders correctly through the whole renderer, or says what is wrong."""

import numpy as np
import pytest
import SimpleITK as sitk

from synthex_ros.anatomy import Volume, read_volume
from synthex_ros.anatomy.motion import deformed
from synthex_ros.anatomy.tissue import TissueModel
from synthex_ros.anatomy.tissue_rules import Metal
from synthex_ros.geometry import make_pose
from synthex_ros.xray.attenuation import density_g_cm3
from synthex_ros.xray.ray_marcher import RayMarcher
from synthex_ros.xray.renderer import Renderer
from synthex_ros.xray.scene import Scene

from .boxes import centred, view

SEEN = view(pixels=33)
CENTRE = (16, 16)


def write(path, hu, spacing_mm=(2.0, 2.0, 2.0), shear=0.0):
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing(spacing_mm)
    image.SetOrigin([-0.5 * (n - 1) * s for n, s in zip(image.GetSize(), spacing_mm, strict=True)])
    if shear:
        direction = np.eye(3)
        direction[1, 2] = shear
        image.SetDirection((direction / np.linalg.norm(direction, axis=0)).ravel())
    sitk.WriteImage(image, str(path))
    return path


def slab(shape=(40, 50, 50), thickness=20, dtype=np.int16):
    """Water between two rows of the y axis, in air."""
    hu = np.full(shape, -1000, dtype)
    first = (shape[1] - thickness) // 2
    hu[:, first : first + thickness] = 0
    return hu


def area(volume, model='standard', seen=SEEN, anatomy_px=64):
    made = Renderer(Scene(volume, model), anatomy_px=anatomy_px)
    layer = made.anatomy(seen)
    frame = made.render(seen, [], np.random.default_rng(0))
    assert np.isfinite(layer.signal_kev).all()
    assert frame.counts.shape == seen.geometry.shape_px
    return made.scene.table.names, layer.area_density_g_cm2


def water_cm(volume, **kwargs):
    """Equivalent of all materials at the image centre [g/cm^2]."""
    return float(area(volume, **kwargs)[1].sum(0)[CENTRE])


def test_padding_is_air(tmp_path):
    clean = slab(dtype=np.int32)
    outside = np.hypot(*(np.indices(clean.shape)[1:] - 24.5)) > 24
    clean[outside] = -1000
    padded = clean.copy()
    padded[outside] = -2048
    volumes = [
        read_volume(write(tmp_path / f'{n}.nii.gz', hu.astype(np.int16)))
        for n, hu in enumerate((clean, padded))
    ]
    for model in ('standard', 'detailed', 'naive', 'heuristic'):
        (names, expected), (_, found) = (area(volume, model) for volume in volumes)
        np.testing.assert_allclose(found, expected, atol=1e-3, err_msg=model)
    assert water_cm(volumes[1]) == pytest.approx(4.0, rel=0.02)


@pytest.mark.parametrize('axis', [0, 1, 2])
@pytest.mark.parametrize('coarse_mm', [2.0, 3.5, 5.0])
def test_anisotropic_spacing_keeps_thickness(axis, coarse_mm, tmp_path):
    """A 60 mm cube of water in air: 6 g/cm^2 from each side, whatever the slices."""
    steps = np.array([1.0, 1.0, 1.0])
    steps[axis] = coarse_mm
    axes = [np.arange(-45, 45.01, step) for step in steps]
    # A voxel cut by a face is filled in part, as a CT would show it.
    parts = [np.clip((30 - np.abs(x)) / step + 0.5, 0, 1) for x, step in zip(axes, steps)]  # noqa: B905
    fill = parts[2][:, None, None] * parts[1][:, None] * parts[0]
    hu = np.rint(-1000 + 1000 * fill).astype(np.int16)
    volume = read_volume(write(tmp_path / 'cube.mha', hu, [float(s) for s in steps]))
    assert volume.spacing_m[axis] == pytest.approx(coarse_mm * 1e-3)
    for orbital, angulation in ((0.0, 0.0), (np.pi / 2, 0.0), (0.0, np.pi / 2)):
        seen = view(orbital, angulation, pixels=33)
        assert water_cm(volume, model='naive', seen=seen) == pytest.approx(6.0, rel=0.015)


def test_oblique_view_of_thick_slices_agrees_with_marching():
    hu = slab((18, 60, 60), 24)
    hu[[0, -1]], hu[..., [0, -1]] = -1000, -1000
    volume = centred(hu, (1.5e-3, 1.5e-3, 5e-3))
    seen = view(0.6, 0.4, pixels=33)
    scene = Scene(volume)
    fast = Renderer(scene, anatomy_px=256).anatomy(seen).area_density_g_cm2.sum(0)
    slow = RayMarcher(5e-4).area_density_g_cm2(volume, scene.table, seen, np.eye(4)).sum(0)
    assert np.sqrt(np.mean((fast - slow) ** 2)) < 0.02 * slow.max()


def test_metal_is_clipped_to_bone_by_default_and_restored_on_demand():
    """10 mm of titanium is 4.54 g/cm^2 however high the CT's scale ends."""
    hu = slab((40, 60, 60), 30)
    hu[12:28, 25:30, 22:38] = 3071
    volume = centred(hu, (2e-3,) * 3)
    names, plain = area(volume)
    assert 'Ti' not in names
    assert plain[names.index('bone')][CENTRE] == pytest.approx(2.818, rel=0.02)
    names, restored = area(volume, TissueModel(metal=Metal()))
    assert restored[names.index('Ti')][CENTRE] == pytest.approx(density_g_cm3('Ti'), rel=0.02)
    assert restored[names.index('bone')][CENTRE] < 0.1
    beyond = Volume(
        np.where(hu == 3071, np.int16(24000), hu), volume.spacing_m, volume.patient_from_grid
    )
    names, extended = area(beyond, TissueModel(metal=Metal()))
    np.testing.assert_allclose(extended, restored, atol=1e-4)


def test_gantry_tilt_is_refused_with_the_way_out(tmp_path):
    path = write(tmp_path / 'tilted.nrrd', slab(), shear=np.tan(np.radians(15)))
    with pytest.raises(ValueError, match=r'sheared image \(gantry tilt\) must be resampled'):
        read_volume(path)


def test_rotated_patient_is_rendered_where_it_lies(tmp_path):
    """Axes that are turned, not sheared: a tilt of the patient, which needs no resampling."""
    hu = slab((40, 50, 50), 20)
    straight = centred(hu, (2e-3,) * 3)
    turn = np.deg2rad(20)
    pose = make_pose(
        [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    )
    tilted = Volume(hu, straight.spacing_m, pose @ straight.patient_from_grid)
    ratio = water_cm(tilted) / water_cm(straight)
    assert ratio == pytest.approx(1 / np.cos(turn), rel=0.02)


def test_one_slice_is_refused(tmp_path):
    path = write(tmp_path / 'one.nii', slab()[:1])
    with pytest.raises(ValueError, match='2 or more voxels a side'):
        read_volume(path)
    with pytest.raises(ValueError, match='at least 2 voxels a side'):
        centred(slab()[:1], (2e-3,) * 3)


def test_two_slices_render():
    volume = centred(slab()[:2], (2e-3, 2e-3, 5e-3))
    assert water_cm(volume, anatomy_px=512) == pytest.approx(4.0, rel=0.02)
    with pytest.raises(ValueError, match='apex_z_m must lie at least 0.02 m above base_z_m'):
        deformed(volume, 0.5)


@pytest.mark.parametrize('name', ['ct.nii', 'ct.nii.gz', 'ct.nrrd', 'ct.mha'])
@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(bad, name, tmp_path):
    """NIfTI as well, whose library turns them into 0, that is into water."""
    hu = slab(dtype=np.float32)
    hu[3, 4, 5] = bad
    with pytest.raises(ValueError, match='must be finite, got 1 NaN or infinite'):
        read_volume(write(tmp_path / name, hu))


def test_all_air_leaves_the_beam_open(tmp_path):
    hu = np.full((20, 20, 20), -1000, np.int16)
    hu[0, 0, 0] = -990  # a constant image is refused
    volume = read_volume(write(tmp_path / 'air.mha', hu))
    made = Renderer(Scene(volume, 'detailed'), anatomy_px=64)
    layer = made.anatomy(SEEN)
    open_field = made.beam().pixel_weights(SEEN.geometry)[0].sum()
    assert layer.signal_kev[CENTRE] == pytest.approx(open_field, rel=0.01)
