"""A DICOM folder is read only when its slices make one volume."""

import numpy as np
import pytest

from synthex_ros.anatomy import read_volume

from .ct_images import found_patient_m, make_image, marked_patient_m, write_series


def test_series_reads_in_order_of_position_not_of_file_name(tmp_path):
    image = make_image()
    files = write_series(image, tmp_path)
    for k, file in enumerate(files):
        file.rename(tmp_path / f'{97 * k % 89:03d}.dcm')
    volume = read_volume(tmp_path)
    assert volume.spacing_m == pytest.approx((4e-3, 3e-3, 2.5e-3))
    np.testing.assert_allclose(found_patient_m(volume), marked_patient_m(image), atol=1e-9)


def test_other_files_in_the_folder_are_passed_over(tmp_path):
    write_series(make_image(), tmp_path)
    (tmp_path / 'README.txt').write_text('exported by a PACS')
    assert read_volume(tmp_path).hu.shape == (11, 9, 7)


def test_empty_folder(tmp_path):
    with pytest.raises(ValueError, match='holds no DICOM image; pass the folder'):
        read_volume(tmp_path)


def test_two_series_in_one_folder(tmp_path):
    write_series(make_image(), tmp_path, stem='thin')
    write_series(make_image(), tmp_path, uid='1.2.826.0.1.3680043.2.1125.2', stem='thick')
    with pytest.raises(ValueError, match='one DICOM series, got 2') as caught:
        read_volume(tmp_path)
    assert 'thin series (11 files' in str(caught.value)
    assert 'thick series (11 files' in str(caught.value)


@pytest.mark.parametrize('missing', [[5], [4, 5], [1]])
def test_missing_slice(tmp_path, missing):
    files = write_series(make_image(), tmp_path)
    for k in missing:
        files[k].unlink()
    gap = 2.5 * (len(missing) + 1)
    with pytest.raises(ValueError, match=rf'evenly spaced \(2.5 mm\), got {gap:g} mm after slice'):
        read_volume(tmp_path)


def test_two_slices_at_one_position(tmp_path):
    write_series(make_image(), tmp_path, stem='early')
    files = write_series(make_image(), tmp_path, stem='late')
    assert len(files) == 11
    with pytest.raises(ValueError, match='several slices at one position'):
        read_volume(tmp_path)


def test_single_slice(tmp_path):
    for file in write_series(make_image(), tmp_path)[1:]:
        file.unlink()
    with pytest.raises(ValueError, match='2 or more slices, got 1'):
        read_volume(tmp_path)


def test_localizer_among_the_slices(tmp_path):
    write_series(make_image(), tmp_path)
    coronal = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0.0]])
    write_series(make_image(direction=coronal)[:, :, :1], tmp_path, stem='scout')
    with pytest.raises(ValueError, match='remove the localizer'):
        read_volume(tmp_path)


def test_gantry_tilt(tmp_path):
    tilt = np.array([[1, 0, 0], [0, np.cos(0.2), 0], [0, np.sin(0.2), 1]])
    image = make_image()
    for k in range(image.GetDepth()):
        part = image[:, :, k : k + 1]
        part.SetDirection(make_rotation_x(0.2).ravel())
        part.SetOrigin((tilt @ [0, 0, 2.5 * k]).tolist())
        (file,) = write_series(part, tmp_path, stem=f'tilted{k:02d}')
        assert file.exists()
    with pytest.raises(ValueError, match='gantry tilt'):
        read_volume(tmp_path)


def make_rotation_x(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def test_other_modality(tmp_path):
    write_series(make_image(), tmp_path, modality='MR')
    with pytest.raises(ValueError, match="CT series, got modality 'MR'"):
        read_volume(tmp_path)


def test_truncated_slice(tmp_path):
    files = write_series(make_image(size=(40, 41, 11)), tmp_path)
    data = files[4].read_bytes()
    files[4].write_bytes(data[: len(data) - 1500])
    with pytest.raises(ValueError, match='truncated|damaged'):
        read_volume(tmp_path)


def test_slice_without_a_position(tmp_path):
    for file in write_series(make_image(), tmp_path):
        position, other = b'\x20\x00\x32\x00', b'\x20\x00\x33\x00'  # tags as stored
        data = file.read_bytes()
        assert data.count(position) == 1
        file.write_bytes(data.replace(position, other))
    with pytest.raises(ValueError, match=r'lacks .*\(0020,0032\) that places a slice'):
        read_volume(tmp_path)
