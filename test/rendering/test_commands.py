"""`synthex render` from the command line: files, overrides, and one clear line for a mistake."""

import json

import cv2
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import trimesh
import yaml

from synthex_ros import cli

SMALL = ['--binning', '12', '--anatomy-px', '64']


def render(folder, *options, anatomy='phantom'):
    return cli.main(['render', anatomy, '--out', str(folder), *SMALL, *map(str, options)])


def failure(capsys, folder, *options, anatomy='phantom'):
    """Return the one line that a mistake gives."""
    assert render(folder, *options, anatomy=anatomy) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith('synthex render: ')
    assert '\n' not in error
    return error


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('still')
    options = ['--rao', 30, '--cran', 10, '--kv', 90, '--mas', 0.2, '--seed', 5]
    options += ['--device', 'continuum', '--device-joints', 0.01, 0, 0.002, -0.002]
    options += ['--labels', 'heart', 'vertebrae_T8', '--explain']
    assert render(path, *options, '--format', 'png', 'tiff', 'npy', 'dicom') == 0
    return path


@pytest.fixture(scope='module')
def annotation(folder):
    return json.loads((folder / 'annotation.json').read_text(encoding='utf-8'))


def test_all_formats_hold_the_same_counts(folder):
    png = cv2.imread(str(folder / 'image.png'), cv2.IMREAD_UNCHANGED)
    assert png.dtype == np.uint16
    assert png.shape == (128, 128)
    tiff = cv2.imread(str(folder / 'image.tiff'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(png, tiff)
    np.testing.assert_array_equal(png, pydicom.dcmread(folder / 'image.dcm').pixel_array[:, ::-1])
    expected = np.load(folder / 'expected.npy')
    assert expected.dtype == np.float32
    assert np.median(png / expected) == pytest.approx(1, abs=0.01)


def test_annotation_is_the_truth_of_the_image(folder, annotation):
    frame = annotation['frames'][0]
    assert annotation['seed'] == 5
    assert len(annotation['volume_sha256']) == 64
    assert frame['positioner_primary_deg'] == -30
    assert frame['technique']['tube_voltage_kv'] == 90
    k, pose = np.array(frame['k']), np.array(frame['world_from_source'])
    assert k[0, 0] == pytest.approx(1.02 / (12 * 194e-6))
    assert set(frame['landmarks']) == {'base', 'tip', 'heart', 'vertebrae_T8'}
    for mark in frame['landmarks'].values():
        u, v, w = k @ (pose[:3, :3].T @ (np.array(mark['world_m']) - pose[:3, 3]))
        assert mark['pixel_px'] == pytest.approx([u / w, v / w])
        assert mark['visible'] is True
    mask = cv2.imread(str(folder / 'mask.png'), cv2.IMREAD_UNCHANGED)
    assert np.count_nonzero(mask) == frame['device_pixels'] > 0
    depth = np.load(folder / 'depth.npy')
    np.testing.assert_array_equal(np.isfinite(depth), mask > 0)
    for name, count in frame['structure_pixels'].items():
        path = np.load(folder / f'path_{name}.npy')
        assert np.count_nonzero(path >= 1e-3) == count > 0
    for name in frame['files'].values():
        assert (folder / name).is_file()


def test_annotation_makes_the_image_again(folder, annotation, tmp_path):
    path = tmp_path / 'again.yaml'
    path.write_text(yaml.safe_dump(annotation['settings']), encoding='utf-8')
    assert cli.main(['render', '--config', str(path), '--out', str(tmp_path)]) == 0
    assert (tmp_path / 'image.png').read_bytes() == (folder / 'image.png').read_bytes()


def test_explain_writes_a_picture_a_stage_and_a_sheet(folder):
    names = sorted(path.name for path in folder.glob('explain_*.png'))
    stages = [name.split('_', 2)[2].removesuffix('.png') for name in names]
    assert stages[-5:] == ['primary', 'noise', 'counts', 'display', 'labels']
    assert {'area_soft_tissue', 'area_bone'} <= set(stages)
    sheet = cv2.imread(str(folder / 'explain.png'))
    assert min(sheet.shape[:2]) > 800


def test_command_line_stands_over_the_file(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('anatomy: phantom\nbinning: 24\nlao_deg: 10\nseed: 3\n', encoding='utf-8')
    options = ['--config', str(path), '--seed', '4', '--anatomy-px', '64']
    assert cli.main(['render', '--out', str(tmp_path / 'out'), *options]) == 0
    stored = json.loads((tmp_path / 'out' / 'annotation.json').read_text(encoding='utf-8'))
    assert stored['settings']['seed'] == 4
    assert stored['settings']['lao_deg'] == 10
    assert stored['frames'][0]['shape_px'] == [64, 64]


def test_cine_is_numbered_and_multi_frame(tmp_path):
    options = ['--frames', 3, '--fps', 10, '--sweep-deg', 20, '--format', 'png', 'dicom']
    assert render(tmp_path, *options) == 0
    images = [cv2.imread(str(tmp_path / f'image_{k:04d}.png'), -1) for k in range(3)]
    data = pydicom.dcmread(tmp_path / 'image.dcm')
    np.testing.assert_array_equal(data.pixel_array[:, :, ::-1], images)
    frames = json.loads((tmp_path / 'annotation.json').read_text(encoding='utf-8'))['frames']
    assert [frame['positioner_primary_deg'] for frame in frames] == [0, 10, 20]


def test_one_pixel_is_an_image(tmp_path):
    options = ['--detector-px', 1, '--binning', 1, '--pixel-pitch-m', 0.01, '--explain']
    assert render(tmp_path, *options, '--format', 'png', 'dicom', 'npy') == 0
    assert cv2.imread(str(tmp_path / 'image.png'), -1).shape == (1, 1)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--kv', 80_000], 'looks like volts, pass 80'),
        (['--pixel-pitch-m', 0.194], 'looks like millimetres, pass 0.000194'),
        (['--format', 'dcm'], "got 'dcm'; did you mean"),
        (['--lao', 10, '--rao', 10], 'give either lao_deg or rao_deg, not both'),
        (['--labels', 'hart'], "structure 'hart' is unknown"),
        (['--isocenter-at', 'brain'], "structure 'brain' is a TotalSegmentator name but not"),
        (['--device', 'rod.stl'], "no device 'rod.stl'"),
        (['--device', 'continuum', '--device-joints', 0, 0, 0.1, 0], 'must be within insertion'),
        (['--config', 'nowhere.yaml'], "no file 'nowhere.yaml'"),
        (
            ['--device', 'continuum', '--device-pose', 0, 0.7, 0, 0, 0, 0],
            'at or behind the focal spot',
        ),
        (
            ['--device', 'continuum', '--device-pose', 0, -0.4, 0, 0, 0, 0],
            'behind the detector at 1.02 m',
        ),
    ],
)
def test_mistakes_are_one_line(capsys, tmp_path, options, message):
    assert message in failure(capsys, tmp_path / 'out', *options)


def test_unfit_mesh_is_one_line(capsys, tmp_path):
    box = trimesh.creation.box((5, 5, 5))
    box.update_faces(np.arange(len(box.faces)) != 0)
    box.export(tmp_path / 'open.stl')
    line = failure(capsys, tmp_path / 'out', '--device', tmp_path / 'open.stl')
    assert 'is not watertight' in line
    box = trimesh.creation.box((5, 5, 5))
    box.export(tmp_path / 'box.stl')
    device = ['--device', tmp_path / 'box.stl', '--device-material', 'unobtainium']
    assert "unknown material 'unobtainium'" in failure(capsys, tmp_path / 'out', *device)


def test_folder_that_cannot_be_written_is_one_line(capsys, tmp_path):
    (tmp_path / 'file').write_text('', encoding='utf-8')
    for path in (tmp_path / 'file', tmp_path / 'file' / 'below'):
        assert f'cannot write to {path}' in failure(capsys, path)


def ct(path, shape=(20, 24, 28), spacing_mm=(2.0, 2.0, 2.0), spoil=None):
    """Write a CT of a soft-tissue ball in air."""
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing='ij')
    values = np.where(sum(axis**2 for axis in grid) < 0.6, 40.0, -1000.0).astype(np.float32)
    if spoil is not None:
        values[spoil] = np.nan
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing_mm)
    sitk.WriteImage(image, str(path))
    return str(path)


def test_ct_of_one_slice_or_with_nan_is_one_line(capsys, tmp_path):
    slice_ = ct(tmp_path / 'slice.nii.gz', shape=(1, 24, 28))
    assert '2 or more voxels a side' in failure(capsys, tmp_path / 'out', anatomy=slice_)
    holes = ct(tmp_path / 'nan.mha', spoil=(3, 4, 5))
    assert '1 NaN or infinite' in failure(capsys, tmp_path / 'out', anatomy=holes)
    assert 'no CT' in failure(capsys, tmp_path / 'out', anatomy='nowhere.nii.gz')


def test_anisotropic_ct_casts_the_shadow_of_its_size(tmp_path):
    """A ball of the same size in thin and in thick slices has the same shadow."""
    thin = ct(tmp_path / 'thin.nii.gz', (60, 60, 60), (2.0, 2.0, 2.0))
    thick = ct(tmp_path / 'thick.nii.gz', (24, 60, 60), (2.0, 2.0, 5.0))
    images = []
    for name, path in (('a', thin), ('b', thick)):
        assert render(tmp_path / name, '--format', 'npy', '--lao', 20, anatomy=path) == 0
        images.append(np.log(np.load(tmp_path / name / 'expected.npy')))
    difference = images[0] - images[1]
    assert np.sqrt(np.mean(difference**2)) < 0.06 * np.ptp(images[0])
    assert np.sum(images[0].max() - images[0]) == pytest.approx(
        np.sum(images[1].max() - images[1]), rel=0.04
    )


def test_saving_one_image_writes_what_belongs_to_it(studio, tmp_path):
    frame = studio.with_(device='continuum').frame()
    files = frame.save(tmp_path / 'new' / 'chest.png')
    assert [path.name for path in files] == [
        'chest.png', 'chest_display.png', 'chest_mask.png', 'chest_depth.npy', 'chest.json',
    ]  # fmt: skip
    np.testing.assert_array_equal(cv2.imread(str(files[0]), -1), frame.counts)
    with pytest.raises(ValueError, match=r"must be one of .png.*got '.jpg'"):
        frame.save(tmp_path / 'chest.jpg')


def test_noise_picture_is_noise_alone_with_lag_too(studio):
    """Two exposures with lag differ by noise only: their mean difference is none."""
    cine = studio.with_(imaging_chain='full', charge_mas=1.0)
    first, other = (next(cine.with_(seed=seed).frames()).counts.astype(float) for seed in (1, 2))
    assert abs(np.mean(first - other)) < 0.01 * np.mean(first)
