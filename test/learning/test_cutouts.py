"""Objects cut out of labelled radiographs: sheets that take what the objects took."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from synthex_ros.learning.coco import CocoFolder, CocoWriter, annotation_of, write_image
from synthex_ros.learning.cutouts import EFFECTIVE_KEV, attenuation, read_cutouts, sheet
from synthex_ros.learning.distractors import Distractors
from synthex_ros.learning.generate import generate, information
from synthex_ros.learning.imaging import ImagingSampling
from synthex_ros.learning.sampling import SceneSampling
from synthex_ros.xray.attenuation import density_g_cm3, mass_attenuation_cm2_g

SHAPE, PITCH_MM = (160, 200), 0.5
ROWS, COLUMNS = np.indices(SHAPE)
DISC = np.hypot(ROWS - 80, COLUMNS - 90) < 25
BAR = (np.abs(ROWS - 30) < 6) & (np.abs(COLUMNS - 100) < 70)
TAKEN = 0.7


def radiograph(mask, taken=TAKEN, noise=0.0):
    """A background that falls to a third across the image, with objects in it."""
    background = 30000 * np.exp(-COLUMNS / 180)
    counts = background * np.exp(-taken * mask)
    counts += noise * np.random.default_rng(0).normal(size=SHAPE) * np.sqrt(counts)
    return counts.astype(np.float32)


def write_folder(root, masks, **image):
    writer = CocoWriter(root, {}, [{'id': 1, 'name': 'foreign_object'}])
    counts = radiograph(np.logical_or.reduce(masks))
    write_image(root, '000000.png', counts.astype(np.uint16))
    entry = {'id': 0, 'file_name': '000000.png', 'width': SHAPE[1], 'height': SHAPE[0]} | image
    annotations = [annotation_of(0, mask, None) for mask in masks]
    writer.append([{'image': entry, 'annotations': annotations}])
    writer.finish()
    return str(root)


@pytest.mark.parametrize('noise', [0.0, 1.0])
def test_what_an_object_takes_is_told_from_its_background(noise):
    taken = attenuation(radiograph(DISC, noise=noise), DISC)
    assert np.all(taken[~DISC] == 0)
    inner = np.hypot(ROWS - 80, COLUMNS - 90) < 20
    assert taken[inner].mean() == pytest.approx(TAKEN, rel=0.05)


def test_a_sheet_is_as_thick_as_takes_as_much_and_as_wide_as_the_object(tmp_path):
    folder = write_folder(tmp_path / 'd', [DISC], pixel_pitch_mm=PITCH_MM,
                          source_to_detector_mm=1200.0, source_to_object_mm=800.0)  # fmt: skip
    (mesh,) = read_cutouts(folder, 'titanium_alloy')
    pixel_m = 0.5e-3 * 800 / 1200
    assert np.ptp(mesh.vertices_m[:, 0]) == pytest.approx(49 * pixel_m, rel=0.03)
    mu = 100 * mass_attenuation_cm2_g('titanium_alloy', [EFFECTIVE_KEV])[0]
    mu *= density_g_cm3('titanium_alloy')
    upper, lower = np.split(mesh.vertices_m, 2)
    np.testing.assert_array_equal(upper * [1, 1, -1], lower)
    inner = np.hypot(upper[:, 0], upper[:, 1]) < 20 * pixel_m
    assert mu * 2 * upper[inner, 2].mean() == pytest.approx(TAKEN, rel=0.05)


def test_a_long_object_is_reduced_and_takes_as_much(tmp_path):
    folder = write_folder(tmp_path / 'd', [DISC, BAR], pixel_pitch_mm=PITCH_MM)
    disc, bar = read_cutouts(folder, 'stainless_steel')
    assert len(bar.faces) < 4 * 64 * 64
    assert np.ptp(bar.vertices_m[:, 0]) == pytest.approx(139 * 0.5e-3, rel=0.03)
    volumes = bar.volume_m3() / disc.volume_m3()
    assert volumes == pytest.approx(BAR.sum() / DISC.sum(), rel=0.1)


@settings(max_examples=50, deadline=None)
@given(arrays(float, (9, 7), elements=st.sampled_from([0.0, 0.3, 1.0, 2.5])))
def test_any_sheet_is_closed_and_encloses_what_is_taken(taken):
    if not taken.any():
        return
    mesh = sheet(taken, 1e-3, 50.0)
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    assert np.all(count % 2 == 0)
    assert mesh.volume_m3() > 0
    if len(np.unique(taken)) == 1:
        assert mesh.volume_m3() == pytest.approx(taken.sum() / 50.0 * 1e-6)


def test_pasted_objects_are_labelled_like_all_others(tmp_path):
    folder = write_folder(tmp_path / 'd', [DISC], pixel_pitch_mm=PITCH_MM)
    scene = SceneSampling(
        anatomies={'phantom': 1.0},
        materials='standard',
        image_px=256,
        device='foreign_objects',
        negative_share=1.0,
        imaging=ImagingSampling(collimated_share=0.0, lag_share=0.0),
        distractors=Distractors(negative_share=1.0, most=2, cutouts=folder, cutout_share=1.0),
    )
    assert list(generate(scene, 4, tmp_path / 'frames', 3, workers=1))[-1] == 4
    frames = CocoFolder(tmp_path / 'frames')
    found = [item for row in range(4) for item in frames.annotations(row)]
    assert found
    for item in found:
        assert item['kind'] == 'cutout'
        # exp(-0.7) of the primary is left at 60 keV; scatter fills it up, other beams differ.
        assert 0.05 < item['contrast'] < 0.8
    assert frames.info['cutouts_sha256'] == information(scene, 3)['cutouts_sha256']
    without = information(replace(scene, distractors=Distractors()), 3)
    assert 'cutouts_sha256' not in without


def test_what_cannot_be_cut_out_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='no data set'):
        read_cutouts(str(tmp_path / 'none'), 'nitinol')
    with pytest.raises(FileNotFoundError, match='none is no data set'):
        information(SceneSampling(distractors=Distractors(cutouts=str(tmp_path / 'none'))), 1)
    speck = (ROWS == 3) & (COLUMNS < 9)
    small = write_folder(tmp_path / 'small', [speck], pixel_pitch_mm=PITCH_MM)
    with pytest.raises(ValueError, match='no object with a mask of 30 pixels'):
        read_cutouts(small, 'nitinol')
    blind = write_folder(tmp_path / 'blind', [DISC])
    with pytest.raises(ValueError, match='images need pixel_pitch_mm'):
        read_cutouts(blind, 'nitinol')
    whole = write_folder(tmp_path / 'whole', [DISC], pixel_pitch_mm=PITCH_MM)
    with pytest.raises(ValueError, match="unknown material 'stel'"):
        read_cutouts(whole, 'stel')
    with pytest.raises(ValueError, match='cutout_share must be 0..1'):
        Distractors(cutout_share=1.2)
