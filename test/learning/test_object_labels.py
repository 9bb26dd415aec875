"""Labels of foreign objects: exact masks, each body alone, what cannot be seen left out."""

import dataclasses

import cv2
import numpy as np
import pytest

from synthex_ros.bodies import Body
from synthex_ros.geometry import CArm, View, make_pose
from synthex_ros.learning.coco import CocoFolder, segmentation
from synthex_ros.learning.distractors import Distractors, ForeignObject
from synthex_ros.learning.frame_maker import FrameMaker
from synthex_ros.learning.generate import generate
from synthex_ros.learning.imaging import ImagingSampling
from synthex_ros.learning.object_labels import object_annotations, object_mask
from synthex_ros.learning.sampling import SceneSampling
from synthex_ros.learning.shapes import swept
from synthex_ros.resources import find
from synthex_ros.settings import load_settings

FRAMES, SEED = 6, 31
SAMPLING = SceneSampling(
    device='foreign_objects',
    anatomies={'phantom': 1.0},
    materials='standard',
    image_px=192,
    frames_per_view=3,
    imaging=ImagingSampling(collimated_share=1.0, lag_share=0.0),
    distractors=Distractors(negative_share=1.0, most=4),
)
RAYS = 2


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('objects')
    list(generate(SAMPLING, FRAMES, folder, SEED, workers=1))
    return folder


@pytest.fixture(scope='module')
def drawn():
    """View, objects and annotations of every frame."""
    maker, frames = FrameMaker(SAMPLING, SEED), []
    for index in range(FRAMES):
        setup = maker._view(index // SAMPLING.frames_per_view)
        kept = {}
        original = maker._objects

        def keep(*arguments, kept=kept, original=original):
            kept['objects'] = original(*arguments)
            return kept['objects']

        maker._objects = keep
        frame = maker.frame(index)
        maker._objects = original
        frames.append((setup, kept['objects'], frame))
    return frames


def ball(radius_m, at_source_m, view):
    height = np.cos(np.linspace(np.pi, 0, 60)) * radius_m
    rings = np.sqrt(np.maximum(radius_m**2 - height**2, 1e-12))
    mesh = swept(np.column_stack([np.zeros((60, 2)), height]), rings, 64)
    pose = view.world_from_source @ make_pose(None, at_source_m)
    return Body(mesh, 'stainless_steel', pose)


def shadow_of(bodies, view, fine=8):
    """Return the pixels that projected triangles touch, and those that they cover."""
    rows, columns = view.geometry.shape_px
    geometry = view.geometry.resized((rows * fine, columns * fine))
    shadow, near = np.zeros(geometry.shape_px, np.uint8), np.ones((3, 3), np.uint8)
    for body in bodies:
        corners = View(geometry, view.world_from_source).project(body.vertices_world_m())
        for triangle in np.rint(corners[body.mesh.faces] * 16).astype(np.int32):
            cv2.fillPoly(shadow, [triangle], 1, shift=4)
    tiles = [
        changed.reshape(rows, fine, columns, fine)
        for changed in (cv2.dilate(shadow, near), cv2.erode(shadow, near))
    ]
    return tiles[0].any(axis=(1, 3)), tiles[1].all(axis=(1, 3))


def mask_of(annotation, size=192):
    return segmentation(annotation['segmentation'], (size, size))


def test_the_mask_of_a_ball_is_its_magnified_disc():
    """Radius times source-to-detector over source-to-object distance, in pixels."""
    view = CArm().view(0.0, 0.0)
    view = View(view.geometry.resized((512, 512)), view.world_from_source)
    mask = object_mask([ball(0.01, np.array([0.0, 0.0, 0.7]), view)], view, RAYS)
    pitch = view.geometry.pixel_pitch_m[0]
    radius_px = 0.01 * view.geometry.source_to_detector_m / 0.7 / pitch
    assert np.sqrt(mask.sum() / np.pi) == pytest.approx(radius_px, abs=0.6)
    rows, columns = np.nonzero(mask)
    centre = view.project(view.world_from_source[:3] @ np.array([0, 0, 0.7, 1.0]))
    np.testing.assert_allclose([columns.mean(), rows.mean()], np.ravel(centre), atol=0.1)


def test_a_wire_thinner_than_a_pixel_has_no_gaps():
    view = CArm().view(0.0, 0.0)
    view = View(view.geometry.resized((256, 256)), view.world_from_source)
    line = np.column_stack([np.linspace(-0.05, 0.05, 30), np.linspace(-0.02, 0.03, 30),
                            np.zeros(30)])  # fmt: skip
    pose = view.world_from_source @ make_pose(None, np.array([0.0, 0.0, 0.7]))
    wire = Body(swept(line, np.full(30, 3.5e-4)), 'nitinol', pose)
    mask = object_mask([wire], view, RAYS).astype(np.uint8)
    assert mask.sum() > 80
    assert cv2.connectedComponents(mask, connectivity=8)[0] == 2


def test_each_mask_is_its_body_alone_cut_at_the_field(drawn):
    """Triangles projected and filled finely by another library touch or cover the same pixels."""
    checked = 0
    for setup, objects, frame in drawn:
        view = setup.seen.view
        top, bottom, left, right = setup.field_px
        row, column = (np.arange(192) + 0.5 for _ in range(2))
        is_open = np.outer((row > top) & (row < bottom), (column > left) & (column < right))
        kinds = [item.kind for item in objects]
        for annotation in frame.annotations:
            if kinds.count(annotation['kind']) > 1:
                continue
            bodies = objects[kinds.index(annotation['kind'])].bodies
            mask, around = mask_of(annotation), np.zeros((192, 192), bool)
            for material in {body.material for body in bodies}:
                part = [body for body in bodies if body.material == material]
                touched, covered = shadow_of(part, view)
                # A part is in the mask as a whole, or left out because it cannot be seen.
                if not (covered & is_open & ~mask).any():
                    around |= touched
            assert mask.sum() == annotation['area']
            assert not mask[~is_open].any()
            assert not (mask & ~around).any()
            checked += 1
    assert checked >= 5


def test_every_object_that_is_seen_has_its_annotation(root):
    folder = CocoFolder(root)
    assert folder.classes == ('background', 'foreign_object')
    assert folder.landmarks == ()
    seen = 0
    for row, image in enumerate(folder.images):
        kinds = list(image['distractors'])
        for item in folder.annotations(row):
            kinds.remove(item['kind'])
            mask = mask_of(item)
            assert item['area'] == mask.sum() >= SAMPLING.distractors.least_px
            rows, columns = np.nonzero(mask)
            left, top, width, height = item['bbox']
            assert (left, top) == (columns.min(), rows.min())
            assert (left + width, top + height) == (columns.max() + 1, rows.max() + 1)
            assert item['contrast'] >= SAMPLING.distractors.least_contrast
            assert item['snr'] >= SAMPLING.distractors.least_snr
            assert 'keypoints' not in item
            seen += 1
    assert seen >= 5


def test_faint_objects_are_left_out_as_the_settings_say(drawn):
    for setup, objects, frame in drawn:
        labelled = frame.annotations
        opaque = dataclasses.replace(SAMPLING.distractors, least_contrast=1.0)
        assert object_annotations(0, objects, setup, opaque) == []
        if labelled:
            clearest = max(item['snr'] for item in labelled)
            clear = dataclasses.replace(SAMPLING.distractors, least_snr=clearest - 0.1)
            left = object_annotations(0, objects, setup, clear)
            assert max(item['snr'] for item in left) == clearest
            assert len(left) < len(labelled) or len(labelled) == 1


def test_a_sheath_that_cannot_be_seen_is_not_in_the_mask(drawn):
    """A steel wire in a tube of soft tissue's density is labelled as the wire alone."""
    setup = drawn[0][0]
    view = setup.seen.view
    middle = np.mean([setup.field_px[2:], setup.field_px[:2]], axis=1) - 0.5
    ray = view.geometry.back_project(middle)
    pose = view.world_from_source @ make_pose(None, ray * setup.seen.source_to_isocenter_m)
    line = np.column_stack([np.linspace(-0.02, 0.02, 20), np.zeros((20, 2))])
    core = Body(swept(line, np.full(20, 1e-3)), 'stainless_steel', pose)
    sheath = Body(swept(line, np.full(20, 3e-3)), 'pebax', pose)
    whole = ForeignObject('lead', [core, sheath])
    hidden = dataclasses.replace(SAMPLING.distractors, least_contrast=0.2)
    (wire,) = object_annotations(0, [whole], setup, hidden)
    (both,) = object_annotations(
        0, [whole], setup, dataclasses.replace(hidden, least_contrast=0.0)
    )
    np.testing.assert_array_equal(mask_of(wire), object_mask([core], view, RAYS))
    np.testing.assert_array_equal(mask_of(both), object_mask([core, sheath], view, RAYS))


def test_workers_change_no_byte(root, tmp_path):
    list(generate(SAMPLING, FRAMES, tmp_path, SEED, workers=2))
    for path in sorted(root.rglob('*')):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / path.relative_to(root)).read_bytes()


def test_shipped_scene_file_shows_objects_and_no_device():
    path = find('config', 'generate_foreign_objects.yaml')
    sampling = load_settings(SceneSampling, path)
    assert sampling.device == 'foreign_objects'
    assert sampling.distractors.negative_share == 1.0


def test_limits_of_visibility_are_checked():
    with pytest.raises(ValueError, match='least_contrast must be 0..1, got 3'):
        Distractors(least_contrast=3.0)
    with pytest.raises(ValueError, match='least_px 1, got 15 and 0'):
        Distractors(least_px=0)
