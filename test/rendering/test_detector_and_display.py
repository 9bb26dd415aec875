"""Settings of detector, image intensifier, instances and display, through to the files."""

import json

import cv2
import numpy as np
import pydicom
import pytest
import yaml

from synthex_ros import cli
from synthex_ros.rendering.dicom_writer import write_dicom
from synthex_ros.rendering.writers import FrameWriter

from .conftest import SMALL

BENT = (0.0, 0.0, 0.002, -0.002)
TUBE = {'image_intensifier': True, 'intensifier_pincushion_percent': 10.0}


def dicom(frame, folder):
    write_dicom(folder / 'x.dcm', [frame])
    return pydicom.dcmread(folder / 'x.dcm')


def test_fewer_bits_are_a_coarser_scale(studio, tmp_path):
    fine, coarse = (studio.with_(detector_bits=bits).frame() for bits in (16, 12))
    assert coarse.counts.max() <= 4095
    ratio = np.median(fine.counts) / np.median(coarse.counts)
    assert ratio == pytest.approx(65535 / 4095, rel=0.02)
    data = dicom(coarse, tmp_path)
    assert (data.BitsAllocated, data.BitsStored, data.HighBit) == (16, 12, 11)
    np.testing.assert_array_equal(data.pixel_array, coarse.counts[:, ::-1])


def test_a_panel_has_its_own_pattern(studio):
    one, again, other = (studio.with_(panel_seed=n).frame().counts for n in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.any(one != other)
    even = studio.frame().counts
    np.testing.assert_array_equal(studio.with_(panel_seed=-1).frame().counts, even)


def test_grid_takes_scatter_and_is_in_the_file(studio, tmp_path):
    bare, grid = (
        studio.with_(imaging_chain='full', grid=name).frame() for name in ('none', 'focused')
    )
    ratios = [
        np.median(f.stages().scatter_counts / f.stages().primary_counts) for f in (bare, grid)
    ]
    assert ratios[1] == pytest.approx(ratios[0] * 0.15 / 0.70, rel=0.02)
    assert dicom(bare, tmp_path).Grid == 'NONE'
    assert dicom(grid, tmp_path).Grid == 'IN'
    with pytest.raises(ValueError, match='set imaging_chain to full'):
        studio.with_(grid='focused')


def test_labels_follow_the_image_intensifier(studio, tmp_path):
    wanted = {'device': 'continuum', 'device_joints': BENT, 'labels': ('heart',)}
    wanted |= {'device_pose': (0.09, 0.0, 0.0, 0.0, 0.0, 0.0)}
    flat, frame = studio.with_(**wanted).frame(), studio.with_(**wanted, **TUBE).frame()
    corner = frame.counts[:8, :8]
    assert not corner.any() or corner.max() < 60  # read-out noise only
    assert not frame.open_field[0, 0]
    for before, after in zip(flat.landmarks, frame.landmarks, strict=True):
        away = np.subtract(before.pixel_px, 63.5)
        moved = np.subtract(after.pixel_px, 63.5)
        assert np.hypot(*moved) > np.hypot(*away)
    u, v = np.round(frame.landmarks[0].pixel_px).astype(int)
    assert frame.mask[v - 2 : v + 3, u - 2 : u + 3].any()
    np.testing.assert_array_equal(np.isfinite(frame.depth_m), frame.mask > 0)
    assert frame.structures['heart'].mask.sum() > flat.structures['heart'].mask.sum()
    data = dicom(frame, tmp_path)
    assert data.FieldOfViewShape == 'ROUND'
    assert data.IntensifierSize == pytest.approx(128 * 2.328, abs=1)


def test_expected_counts_hold_with_an_image_intensifier(studio):
    tube = studio.with_(**TUBE, charge_mas=0.5)
    frames = [tube.with_(seed=seed).frame() for seed in range(8)]
    mean = np.mean([frame.counts for frame in frames], axis=0)
    expected = frames[0].stages().expected_counts
    rows, columns = np.gradient(expected)
    smooth = (np.hypot(rows, columns) < 0.02 * expected) & (expected > 300)
    assert np.count_nonzero(smooth) > 500
    assert np.median(mean[smooth] / expected[smooth]) == pytest.approx(1, abs=5e-3)


def test_an_instance_is_a_whole_device(studio, tmp_path):
    """Tube and shaft are one device: the instance holds both, the mask the tube alone."""
    frame = studio.with_(
        device='continuum', device_joints=(0.02, 0.0, 0.0, 0.0), instance_mask=True
    ).frame()
    device = frame.instance_mask == 1
    np.testing.assert_array_equal(np.unique(frame.instance_mask), [0, 1])
    assert device[frame.mask > 0].all()
    shaft = np.count_nonzero(device) - np.count_nonzero(frame.mask)
    assert shaft > 0.3 * np.count_nonzero(frame.mask)
    writer = FrameWriter(tmp_path, frame.settings)
    writer.add(frame)
    writer.finish()
    stored = cv2.imread(str(tmp_path / 'instances.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored, frame.instance_mask)
    entry = json.loads((tmp_path / 'annotation.json').read_text(encoding='utf-8'))['frames'][0]
    assert entry['instances'] == [
        {
            'id': 1,
            'name': 'continuum',
            'labels': [1, 0],
            'materials': ['nitinol', frame.instances[0].materials[1]],
            'pixels': int(device.sum()),
        }
    ]
    assert entry['files']['instances'] == 'instances.png'
    assert studio.frame().instance_mask is None


def test_display_settings_act_on_the_picture_alone(studio):
    plain = studio.frame()
    picture = plain.display()
    for changes, expected in (
        ({'display_mirrored': False}, picture[:, ::-1]),
        ({'display_upside_down': True}, picture[::-1]),
        ({'display_inverted': True}, 255 - picture),
    ):
        frame = studio.with_(**changes).frame()
        np.testing.assert_array_equal(frame.counts, plain.counts)
        assert np.abs(frame.display().astype(int) - expected).max() <= 1
    sharp = studio.with_(display_edge_strength=2.0, display_edge_radius_m=3e-3).frame().display()
    assert np.abs(np.diff(sharp.astype(int))).mean() > np.abs(np.diff(picture.astype(int))).mean()
    dark = studio.with_(display_window=(0.0, 1e6)).frame().display()
    assert dark.mean() < picture.mean()


def test_window_of_a_cine_is_slow(studio, tmp_path):
    """The device that comes in at the second frame leaves the grey of the background alone."""
    cine = studio.with_(
        frames=3, device='continuum', device_pose=(0.4, 0, 0, 0, 0, 0),
        device_pose_end=(-0.4, 0, 0, 0, 0, 0), display_time_constant_s=1e4, charge_mas=10.0,
    )  # fmt: skip
    writer = FrameWriter(tmp_path, cine.settings)
    frames = list(cine.frames())
    for frame in frames:
        writer.add(frame)
    shown = [cv2.imread(str(tmp_path / f'display_{k:04d}.png'), -1).astype(int) for k in range(3)]
    still = ~(frames[1].mask | frames[1].counts * 0 > 0)[:, ::-1]
    assert np.abs(shown[1] - shown[0])[still].mean() < 3


def test_switches_and_choices_of_the_command_line(tmp_path, capsys):
    small = [f'--{name.replace("_", "-")}={SMALL[name]}' for name in ('binning', 'anatomy_px')]
    out = ['--out', str(tmp_path)]
    options = ['--image-intensifier', '--no-display-mirrored', '--detector-bits', '14']
    assert cli.main(['render', 'phantom', *out, *small, *options]) == 0
    text = (tmp_path / 'annotation.json').read_text(encoding='utf-8')
    settings = json.loads(text)['settings']
    assert settings['image_intensifier'] is True
    assert settings['display_mirrored'] is False
    (tmp_path / 'again.yaml').write_text(yaml.safe_dump(settings), encoding='utf-8')
    again = ['render', '--config', str(tmp_path / 'again.yaml'), '--out', str(tmp_path / 'again')]
    assert cli.main(again) == 0
    first, second = (path / 'image.png' for path in (tmp_path, tmp_path / 'again'))
    assert first.read_bytes() == second.read_bytes()
    capsys.readouterr()
    assert cli.main(['render', 'phantom', *out, *small, '--grid', 'focussed']) == 2
    assert 'grid must be one of none, focused' in capsys.readouterr().err
