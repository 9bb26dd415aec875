"""Files of every format and orientation keep every voxel where it was; bad ones say why."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from synthex_ros.anatomy import load_volume, read_volume
from synthex_ros.anatomy.grid import nearest_axes
from synthex_ros.geometry import check_pose

from .ct_images import (
    FORMATS,
    MARK,
    MARK_HU,
    SIZE,
    found_patient_m,
    make_image,
    marked_patient_m,
    write_series,
)


@st.composite
def directions(draw, proper=False):
    """Axis permutation and flips times an oblique rotation, as any scanner may write."""
    turn = Rotation.from_euler('xyz', [draw(st.floats(-180, 180)) for _ in range(3)], degrees=True)
    straight = draw(st.booleans())
    matrix = np.eye(3) if straight else turn.as_matrix()
    matrix = matrix[:, draw(st.permutations(range(3)))] * draw(
        st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)
    )
    if proper and np.linalg.det(matrix) < 0:
        matrix[:, 2] *= -1
    return matrix


spacings = st.tuples(*[st.floats(2.0, 6.0)] * 3)
origins = st.tuples(*[st.floats(-500.0, 500.0)] * 3)


@pytest.mark.parametrize('name', FORMATS)
@settings(max_examples=15, deadline=None)
@given(spacing=spacings, origin=origins, direction=directions())
def test_marked_voxel_stays_at_its_patient_position(name, spacing, origin, direction):
    # NIfTI's quaternion form cannot hold every left-handed matrix exactly; its offsets are float32
    image = make_image(spacing, origin, direction)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        sitk.WriteImage(image, str(path))
        volume = read_volume(path)
    np.testing.assert_allclose(found_patient_m(volume), marked_patient_m(image), atol=2e-6)
    check_pose(volume.patient_from_grid)
    assert volume.hu.flags.c_contiguous
    assert sorted(volume.hu.shape) == sorted(SIZE)


@settings(max_examples=15, deadline=None)
@given(spacing=spacings, origin=origins, direction=directions(proper=True))
def test_marked_voxel_of_a_dicom_series_stays_at_its_patient_position(spacing, origin, direction):
    image = make_image(spacing, origin, direction)
    with tempfile.TemporaryDirectory() as folder:
        write_series(image, Path(folder))
        volume = read_volume(folder)
    np.testing.assert_allclose(found_patient_m(volume), marked_patient_m(image), atol=2e-6)


@given(arrays(float, (3,), elements=st.floats(-np.pi, np.pi)), st.booleans())
def test_reordered_axes_are_always_right_handed(rotation_vector, mirrored):
    direction = Rotation.from_rotvec(rotation_vector).as_matrix() * (-1 if mirrored else 1)
    order, flipped = nearest_axes(direction)
    axes = direction[:, order] * np.where(flipped, -1, 1)
    assert np.linalg.det(axes) == pytest.approx(1)
    assert np.all(np.diag(axes) >= 0)


def test_axes_of_the_array_run_left_posterior_superior(tmp_path):
    """Image axes S, R, A must come out as x = L, y = P, z = S with the spacing carried along."""
    superior_right_anterior = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0.0]])
    image = make_image((2.0, 3.0, 4.0), direction=superior_right_anterior)
    sitk.WriteImage(image, str(tmp_path / 'ct.nrrd'))
    volume = read_volume(tmp_path / 'ct.nrrd')
    assert volume.spacing_m == pytest.approx((3e-3, 4e-3, 2e-3))
    np.testing.assert_allclose(volume.patient_from_grid[:3, :3], np.eye(3), atol=1e-9)
    i, j, k = MARK
    assert volume.hu[i, SIZE[2] - 1 - k, SIZE[1] - 1 - j] == MARK_HU


def test_nifti_says_right_anterior_superior_and_is_turned(tmp_path):
    """The qform that a NIfTI file stores has the signs of x and y opposite to patient_lps."""
    image = make_image(origin_mm=(10.0, 20.0, 30.0))
    sitk.WriteImage(image, str(tmp_path / 'ct.nii'))
    header = (tmp_path / 'ct.nii').read_bytes()[:348]
    stored = np.frombuffer(header[268:280], '<f4')  # qoffset_x, y, z of the NIfTI-1 standard
    np.testing.assert_allclose(stored, [-10, -20, 30])
    volume = read_volume(tmp_path / 'ct.nii')
    np.testing.assert_allclose(volume.patient_from_grid[:3, 3], [0.01, 0.02, 0.03], atol=1e-9)


def test_padding_becomes_air_and_floats_are_rounded(tmp_path):
    image = sitk.Cast(make_image(), sitk.sitkFloat32)
    image[0, 0, 0] = -3024.0
    image[1, 0, 0] = -999.6
    sitk.WriteImage(image, str(tmp_path / 'ct.mha'))
    hu = read_volume(tmp_path / 'ct.mha').hu
    assert hu[0, 0, 0] == -1024
    assert hu[0, 0, 1] == -1000


def test_four_dimensional_file_with_one_time_point_is_a_volume(tmp_path):
    image = sitk.JoinSeries([make_image()])
    sitk.WriteImage(image, str(tmp_path / 'ct.nrrd'))
    volume = read_volume(tmp_path / 'ct.nrrd')
    np.testing.assert_allclose(found_patient_m(volume), marked_patient_m(make_image()), atol=1e-9)


def test_labels_follow_the_ct_and_name_their_structures(tmp_path):
    image = make_image(direction=np.diag([-1.0, -1.0, 1.0]))
    labels = sitk.Cast(image == MARK_HU, sitk.sitkUInt8) * 51
    sitk.WriteImage(image, str(tmp_path / 'ct.nii.gz'))
    sitk.WriteImage(labels, str(tmp_path / 'labels.nii.gz'))
    volume = read_volume(tmp_path / 'ct.nii.gz', tmp_path / 'labels.nii.gz')
    assert volume.structures == {'heart': 51}
    np.testing.assert_allclose(
        volume.structure_centre_patient_m('heart'), marked_patient_m(image), atol=1e-6
    )
    with pytest.raises(ValueError, match='did you mean heart'):
        volume.structure_mask('hart')
    with pytest.raises(ValueError, match='TotalSegmentator name but not among'):
        volume.structure_mask('aorta')


# --- files that are not a CT ---------------------------------------------------------------


def _write(tmp_path, image, name='ct.nrrd'):
    sitk.WriteImage(image, str(tmp_path / name))
    return tmp_path / name


@pytest.mark.parametrize('name', ['ct.nii', 'ct.nii.gz', 'ct.nrrd', 'ct.mha', 'ct.mhd'])
@pytest.mark.parametrize('kept', [0.9, 0.5, 0.1])
def test_truncated_file(tmp_path, name, kept):
    image = make_image(size=(24, 26, 28))
    noise = np.random.default_rng(0).integers(-1000, 1000, (28, 26, 24))
    noisy = sitk.GetImageFromArray(noise.astype(np.int16))
    noisy.CopyInformation(image)
    path = _write(tmp_path, noisy, name)
    data = path.with_suffix('.raw') if name.endswith('.mhd') else path
    data.write_bytes(data.read_bytes()[: int(data.stat().st_size * kept)])
    with pytest.raises(ValueError, match='truncated'):
        read_volume(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no CT at .*ct.nii.gz'):
        read_volume(tmp_path / 'ct.nii.gz')
    with pytest.raises(FileNotFoundError, match='chest, head, phantom'):
        load_volume(str(tmp_path / 'ct.nii.gz'))


def test_file_of_another_kind(tmp_path):
    (tmp_path / 'ct.png').write_bytes(b'x')
    with pytest.raises(ValueError, match='.nii.gz'):
        read_volume(tmp_path / 'ct.png')
    (tmp_path / 'ct.nii').write_text('not an image')
    with pytest.raises(ValueError, match='cannot be read'):
        read_volume(tmp_path / 'ct.nii')


@pytest.mark.parametrize('name', ['ct.nii.gz', 'ct.nrrd'])
def test_several_time_points(tmp_path, name):
    with pytest.raises(ValueError, match=r'4-D with 7 x 9 x 11 x 2 voxels; pick one time point'):
        read_volume(_write(tmp_path, sitk.JoinSeries([make_image(), make_image()]), name))


def test_single_slice_file(tmp_path):
    with pytest.raises(ValueError, match='must be 3-D, got 2-D'):
        read_volume(_write(tmp_path, make_image()[:, :, 3]))
    with pytest.raises(ValueError, match='2 or more voxels a side'):
        read_volume(_write(tmp_path, make_image()[:, :, 3:4]))


def test_colour_image(tmp_path):
    byte = sitk.Cast(make_image(), sitk.sitkUInt8)
    with pytest.raises(ValueError, match='got 3; this is a colour'):
        read_volume(_write(tmp_path, sitk.Compose(byte, byte, byte)))


def test_complex_image(tmp_path):
    real = sitk.Cast(make_image(), sitk.sitkFloat32)
    with pytest.raises(ValueError, match='complex'):
        read_volume(_write(tmp_path, sitk.RealAndImaginaryToComplex(real, real), 'ct.nii'))


@pytest.mark.parametrize(
    ('factor', 'unit'), [(1e-3, 'metres'), (1e3, 'micrometres')], ids=['metres', 'micrometres']
)
def test_unit_slip(tmp_path, factor, unit):
    image = make_image(np.multiply((4.0, 3.0, 2.5), factor))
    with pytest.raises(ValueError, match=rf'0.05..20 mm.*looks like {unit}.*4 x 3 x 2.5'):
        read_volume(_write(tmp_path, image))


def test_implausible_extent(tmp_path):
    with pytest.raises(ValueError, match=r'longest side must be 20..3000 mm, got 3.3 mm'):
        read_volume(_write(tmp_path, make_image((0.3, 0.3, 0.3))))


def test_implausible_anisotropy(tmp_path):
    with pytest.raises(ValueError, match='50 times between axes'):
        read_volume(_write(tmp_path, make_image((0.06, 0.06, 19.0))))


def test_sheared_axes(tmp_path):
    path = _write(tmp_path, make_image(), 'ct.mha')
    text = path.read_bytes()
    sheared = text.replace(
        b'TransformMatrix = 1 0 0 0 1 0 0 0 1', b'TransformMatrix = 1 0 0 0 1 0 0 .3 1'
    )
    assert sheared != text
    path.write_bytes(sheared)
    with pytest.raises(ValueError, match='orthonormal.*gantry tilt'):
        read_volume(path)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_values_that_are_not_finite(tmp_path, bad):
    image = sitk.Cast(make_image(), sitk.sitkFloat32)
    image[3, 3, 3] = bad
    with pytest.raises(ValueError, match='got 1 NaN or infinite of 693 voxels'):
        read_volume(_write(tmp_path, image))


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda hu: hu + 1024.0, 'raw stored values'),
        (lambda hu: (hu + 1000.0) / 4000.0, 'normalised'),
        (lambda hu: (hu + 1000.0) / 10.0, '8-bit picture'),
        (lambda hu: hu * 100.0, 'is it a CT'),
        (lambda hu: hu * 0.0 - 1000.0, 'constant'),
    ],
)
def test_values_that_are_no_hu(tmp_path, change, reason):
    image = make_image()
    changed = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(image)).astype(np.float32))
    changed.CopyInformation(image)
    with pytest.raises(ValueError, match=f'air near -1000.*{reason}'):
        read_volume(_write(tmp_path, changed))


def test_labels_on_another_grid(tmp_path):
    path = _write(tmp_path, make_image())
    moved = sitk.Cast(make_image(origin_mm=(0, 0, 0)) == MARK_HU, sitk.sitkUInt8)
    with pytest.raises(ValueError, match='must lie on the grid'):
        read_volume(path, _write(tmp_path, moved, 'labels.nrrd'))


def test_labels_that_are_no_ids(tmp_path):
    path = _write(tmp_path, make_image())
    with pytest.raises(ValueError, match='label ids must be integers of 0..255'):
        read_volume(path, path)
