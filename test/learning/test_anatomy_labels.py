"""Labels of structures against the shadows of solids, and landmarks against the geometry."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk

from synthex_ros import resources
from synthex_ros.anatomy import torso_phantom
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import CArm, make_pose
from synthex_ros.learning.anatomy_labels import AnatomyLabels
from synthex_ros.learning.anatomy_source import AnatomySource
from synthex_ros.learning.coco import CocoFolder, segmentation
from synthex_ros.learning.distractors import Distractors
from synthex_ros.learning.generate import generate
from synthex_ros.learning.imaging import ImagingSampling
from synthex_ros.learning.sampling import SceneSampling, ViewSample
from synthex_ros.learning.structure_sampling import StructureSampling
from synthex_ros.learning.view_setup import ViewSetup
from synthex_ros.settings import load_settings

from .drawing import centroid

SPACING_M = 2e-3
ISOCENTRE_M = 0.7
FULL_FIELD = (0.0, 512.0, 0.0, 512.0)
BALL_CENTRE_M, BALL_RADIUS_M = np.array([0.02, 0.01, -0.03]), 0.024
BOX_HALF_M = np.array([0.020, 0.016, 0.012])
GROUPS = {'ball': ['ball'], 'boxes': ['box_*']}


AXIS_M = (np.arange(70) - 34.5) * SPACING_M


def solids(**regions):
    """Volume with a structure for each region, shape (z, y, x); later ones cover earlier ones."""
    labels = np.zeros((70, 70, 70), np.uint8)
    for number, region in enumerate(regions.values(), start=1):
        labels[region] = number
    hu = np.where(labels > 0, 200, -1000).astype(np.int16)
    structures = {name: number for number, name in enumerate(regions, start=1)}
    corner = make_pose(None, [AXIS_M[0]] * 3)
    return Volume(hu, (SPACING_M,) * 3, corner, labels, structures, 'solids')


def box():
    """Box of 20 x 16 x 12 voxels about the origin."""
    z, y, x = np.meshgrid(AXIS_M, AXIS_M, AXIS_M, indexing='ij')
    sides = zip((x, y, z), BOX_HALF_M, strict=True)
    return np.logical_and.reduce([np.abs(axis) < half for axis, half in sides])


@pytest.fixture(scope='module')
def volume():
    """A box, a ball that overlaps it in the projection, and a rim that the volume cuts."""
    z, y, x = np.meshgrid(AXIS_M, AXIS_M, AXIS_M, indexing='ij')
    parts = zip((x, y, z), BALL_CENTRE_M, strict=True)
    ball = sum((axis - centre) ** 2 for axis, centre in parts) <= BALL_RADIUS_M**2
    return solids(box_1=box(), ball=ball, rim=(np.abs(z) < 0.01) & (x < -0.065))


def setup_of(view, field_px=FULL_FIELD):
    seen = ViewSample(view, np.eye(4), 'PA', ISOCENTRE_M)
    return ViewSetup('solids', None, seen, None, None, None, field_px)


def labels_of(volume, landmarks, points=None, groups=GROUPS, **changes):
    settings = StructureSampling(groups=groups, landmarks=landmarks, **changes)
    return AnatomyLabels(volume, settings, points, 4.0)


def front():
    return CArm(source_to_isocenter_m=ISOCENTRE_M).view()


def masks(annotations):
    return {item['category_id']: segmentation(item['segmentation'], (512, 512)) for item in
            annotations}  # fmt: skip


@pytest.mark.parametrize('angles', [(0.0, 0.0), (0.6, -0.2)])
def test_a_ball_casts_a_disc_about_its_projected_centre(volume, angles):
    """A ball of radius r at distance d from the focus is tan(asin(r / d)) wide per unit depth."""
    view = CArm(source_to_isocenter_m=ISOCENTRE_M).view(*angles)
    labels = labels_of(volume, {'middle': ('ball', 'centre')})
    found = labels.annotations(0, setup_of(view))[0]
    mask = masks([found])[1]
    centre = view.project(BALL_CENTRE_M[None])[0]
    np.testing.assert_allclose(centroid(mask.astype(float)), centre, atol=0.7)
    np.testing.assert_allclose(found['keypoints'], [*centre, 2], atol=0.2)
    distance = np.linalg.norm(BALL_CENTRE_M - view.source_world_m)
    radius_px = np.tan(np.arcsin(BALL_RADIUS_M / distance)) * view.geometry.intrinsics()[0, 0]
    half_voxel_px = SPACING_M / 2 * radius_px / BALL_RADIUS_M
    assert np.sqrt(mask.sum() / np.pi) == pytest.approx(radius_px, abs=half_voxel_px)


def test_mask_of_a_box_is_its_shadow():
    """The face towards the focus throws the outline; pixels half a voxel from it may differ."""
    view = front()
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * 2 - 1
    uv = view.project(corners * BOX_HALF_M)
    low, high = uv.min(axis=0), uv.max(axis=0)
    columns, rows = np.meshgrid(np.arange(512), np.arange(512))
    lies_in = np.minimum.reduce([columns - low[0], high[0] - columns, rows - low[1],
                                 high[1] - rows])  # fmt: skip
    labels = labels_of(solids(box_1=box()), {}, groups={'boxes': ['box_*']})
    mask = masks(labels.annotations(0, setup_of(view)))[1]
    half_voxel_px = SPACING_M / 2 / ISOCENTRE_M * view.geometry.intrinsics()[0, 0]
    assert mask[lies_in > half_voxel_px].all()
    assert not mask[lies_in < -half_voxel_px].any()


def test_structures_on_one_ray_share_pixels(volume):
    found = masks(labels_of(volume, {}).annotations(0, setup_of(front())))
    both = found[1] & found[2]
    assert both.sum() > 0.05 * found[2].sum()
    assert (found[1] & ~found[2]).any()


def test_blades_hide_masks_and_landmarks(volume):
    view = front()
    u, v = view.project(BALL_CENTRE_M[None])[0]
    labels = labels_of(volume, {'middle': ('ball', 'centre')})
    closed = (0.0, 512.0, 0.0, float(np.floor(u)))
    found = labels.annotations(0, setup_of(view, closed))[0]
    np.testing.assert_allclose(found['keypoints'], [u, v, 1], atol=0.2)
    mask = masks([found])[1]
    assert mask[:, : int(u) - 1].any()
    assert not mask[:, int(u) + 1 :].any()
    inside = labels.annotations(0, setup_of(view, (0.0, 512.0, 0.0, u + 10)))[0]
    assert inside['keypoints'][2] == 2
    barely = labels.annotations(0, setup_of(view, (0.0, 512.0, 0.0, u + 2)))[0]
    assert barely['keypoints'][2] == 1, 'nearer to the blade than the margin of 4 px'


def test_what_is_off_the_image_is_not_annotated(volume):
    labels = labels_of(volume, {'middle': ('ball', 'centre')})
    setup = setup_of(front())
    aside = ViewSample(setup.seen.view, make_pose(None, [1.0, 0, 0]), 'PA', ISOCENTRE_M)
    away = ViewSetup('solids', None, aside, None, None, None, FULL_FIELD)
    assert labels.annotations(0, away) == []
    assert labels.depth_m(away) is None
    assert labels.depth_m(setup) == pytest.approx(
        setup.seen.view.to_source(BALL_CENTRE_M[None])[0, 2], abs=1e-3
    )


def test_the_centre_of_a_cut_structure_is_left_out_and_a_marked_point_of_it_is_not(
    volume, tmp_path
):
    table = tmp_path / 'points.csv'
    table.write_text('name,x_mm,y_mm,z_mm\nspot,-68,5,1\n', encoding='utf-8')
    landmarks = {'cut': ('rim', 'centre'), 'spot': ('rim', 'point')}
    labels = labels_of(volume, landmarks, str(table), {'rim': ['rim']})
    assert list(labels.points_m) == ['spot']
    view = front()
    keypoints = np.reshape(labels.annotations(0, setup_of(view))[0]['keypoints'], (2, 3))
    np.testing.assert_array_equal(keypoints[0], 0)
    np.testing.assert_allclose(keypoints[1, :2], view.project(np.array([[-0.068, 5e-3, 1e-3]]))[0])


def test_what_a_ct_cannot_give_is_named(volume):
    bare = Volume(volume.hu, volume.spacing_m, volume.patient_from_grid, name='bare.nii.gz')
    with pytest.raises(ValueError, match=r"'bare.nii.gz' has none.*segmentations:"):
        labels_of(bare, {})
    with pytest.raises(ValueError, match=r"landmark 'spot' is a point.*lists none"):
        labels_of(volume, {'spot': ('ball', 'point')})
    with pytest.raises(ValueError, match=r"'femur' is unknown"):
        labels_of(volume, {}, groups={'femur': ['femur']})


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'groups': GROUPS, 'landmarks': {'a': ('heart', 'centre')}}, "'heart'.*none of the"),
        ({'groups': GROUPS, 'landmarks': {'a': ('ball', 'middle')}}, 'place of centre, body'),
        ({'groups': GROUPS, 'landmarks': {'a': 'ball'}}, r"must be \[structure, place\]"),
        ({'groups': GROUPS, 'least_path_m': 2.0}, '2 mm are 0.002'),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        StructureSampling(**settings)


def test_anatomy_needs_groups():
    with pytest.raises(ValueError, match='generate_anatomy.yaml'):
        AnatomySource(SceneSampling(device='anatomy', anatomies={'phantom': 1.0}))


@pytest.fixture(scope='module')
def phantom_frames(tmp_path_factory):
    """Three frames of the phantom with blades, and their settings."""
    sampling = SceneSampling(
        device='anatomy',
        anatomies={'phantom': 1.0},
        materials='standard',
        image_px=128,
        frames_per_view=1,
        imaging=ImagingSampling(collimated_share=1.0),
        distractors=Distractors(negative_share=1.0),
        structures={
            'groups': {'vertebrae': ['vertebrae_*'], 'heart': ['heart'], 'aorta': ['aorta']},
            'landmarks': {'T7': ['vertebrae_T7', 'body'], 'apex': ['heart', 'centre']},
        },
    )
    root = tmp_path_factory.mktemp('data') / 'anatomy'
    list(generate(sampling, 3, root, 5, workers=1))
    return CocoFolder(root), sampling


def test_generated_folder_names_structures_and_landmarks(phantom_frames):
    folder, sampling = phantom_frames
    assert folder.classes == ('background', 'vertebrae', 'heart', 'aorta')
    assert folder.landmarks == ('T7', 'apex')
    where = folder.info['device']['landmarks_mm']['phantom']
    np.testing.assert_allclose(where['T7'], [0, 70, 0], atol=4)
    assert folder.info['sampling']['structures']['least_path_m'] == 0.002


def test_generated_labels_end_at_the_blades_and_overlap(phantom_frames):
    folder, _ = phantom_frames
    for row, image in enumerate(folder.images):
        top, bottom, left, right = image['field_px']
        masks = folder.class_masks(row)
        rows, columns = (np.arange(128) + 0.5 for _ in range(2))
        closed = ~np.outer((rows > top) & (rows < bottom), (columns > left) & (columns < right))
        assert masks.any()
        assert not masks[:, closed].any()
    assert any((folder.class_masks(row).sum(axis=0) > 1).any() for row in range(3))


def test_the_hip_recipe_has_the_structures_and_landmarks_of_synthex():
    sampling = load_settings(SceneSampling, resources.find('config', 'generate_hip.yaml'))
    categories = AnatomySource(sampling).categories
    assert len(categories) == 6
    names = [name for item in categories for name in item['keypoints']]
    kinds = ('ASIS', 'FH', 'GSN', 'IOF', 'IPS', 'MOF', 'SPS')
    assert sorted(names) == sorted(f'{k}_{side}' for k in kinds for side in ('left', 'right'))


def test_the_chest_recipe_has_the_vertebrae_that_the_ct_shows_whole():
    sampling = load_settings(SceneSampling, resources.find('config', 'generate_anatomy.yaml'))
    source = AnatomySource(sampling)
    names = [name for item in source.categories for name in item['keypoints']]
    assert names == [f'T{level}' for level in range(1, 13)] + ['L1']
    try:
        labels = source.labels('chest')
    except FileNotFoundError:
        pytest.skip('the chest CT is not installed')
    assert list(labels.points_m) == names


@pytest.fixture(scope='module')
def own_ct(tmp_path_factory):
    """A CT of the user's: the phantom's lower half as files, with a table of points."""
    folder, volume = tmp_path_factory.mktemp('own'), torso_phantom((80, 120, 160))
    for name, values in (('ct.nii.gz', volume.hu), ('labels.nii.gz', volume.labels)):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing([1e3 * step for step in volume.spacing_m])
        image.SetOrigin((1e3 * volume.patient_from_grid[:3, 3]).tolist())
        sitk.WriteImage(image, str(folder / name))
    rows = [('name', 'x_mm', 'y_mm', 'z_mm'), ('mark', 12.0, 30.0, -8.0)]
    with (folder / 'points.csv').open('w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows(rows)
    return folder


def own_sampling(folder, **structures):
    ct = str(folder / 'ct.nii.gz')
    return SceneSampling(
        device='anatomy',
        anatomies={ct: 1.0},
        segmentations={ct: str(folder / 'labels.nii.gz')},
        materials='standard',
        image_px=128,
        frames_per_view=1,
        distractors=Distractors(negative_share=0.0),
        structures={
            'groups': {'heart': ['heart'], 'vertebrae': ['vertebrae_*']},
            'landmarks': {'mark': ['heart', 'point'], 'T7': ['vertebrae_T7', 'body']},
            'points': {ct: str(folder / 'points.csv')},
            **structures,
        },
    )


def test_a_ct_of_ones_own_is_labelled_at_its_marked_points(own_ct, tmp_path):
    """The stored camera projects the marked point to the stored keypoint."""
    list(generate(own_sampling(own_ct), 2, tmp_path, 3, workers=1))
    folder = CocoFolder(tmp_path)
    for row, image in enumerate(folder.images):
        world = np.array(image['world_from_patient']) @ [0.012, 0.030, -0.008, 1]
        source = np.linalg.inv(image['camera']['world_from_source']) @ world
        uvw = np.array(image['camera']['k']) @ source[:3]
        mark = folder.keypoints(row)[folder.landmarks.index('mark')]
        assert mark[2] > 0
        np.testing.assert_allclose(mark[:2], uvw[:2] / uvw[2], atol=1e-6)


def test_a_ct_without_its_segmentation_is_refused_before_any_frame(own_ct, tmp_path):
    ct = str(own_ct / 'ct.nii.gz')
    bare = SceneSampling(device='anatomy', anatomies={ct: 1.0},
                         structures={'groups': {'heart': ['heart']}})  # fmt: skip
    with pytest.raises(ValueError, match=r"'ct.nii.gz' has none; name its label image under"):
        list(generate(bare, 1, tmp_path, 3, workers=1))
    with pytest.raises(ValueError, match=r'segmentations must belong to anatomies'):
        SceneSampling(segmentations={'other.nii.gz': 'labels.nii.gz'})
