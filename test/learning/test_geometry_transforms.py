"""Image, mask and landmarks move together: each is measured from the moved pixels."""

from dataclasses import replace

import numpy as np
import pytest

from synthex_ros.learning.geometry_transforms import (
    Placement,
    WholeFrame,
    dihedral,
    elastic,
    random_crop,
    shutter,
    superpose,
    warp,
)
from synthex_ros.learning.labelled import inside, render_heatmaps
from synthex_ros.learning.randomization import Randomization

from .drawing import RADIUS_PX, blob_at, blob_centre, centroid

SIZE = 192
CROP = 128
POINTS = np.array([[70.0, 118.0], [121.0, 61.0]])
MARGIN_PX = RADIUS_PX * 1.3 + 8
BORDER_PX = 2.5


def small_affine(sample, rng):
    angle, scale = rng.uniform(-0.1, 0.1), rng.uniform(0.9, 1.1)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1, np.tan(rng.uniform(-0.04, 0.04))], [0, 1]])
    middle = np.full(2, SIZE / 2)
    shift = middle - turn @ shear @ middle + rng.uniform(-20, 20, 2)
    return warp(sample, np.column_stack([turn @ shear, shift]), SIZE, 0.0)


QUIET = {'regular_probability': 0, 'strong_probability': 0, 'shutter_probability': 0}


def still(**probabilities):
    return Randomization(Placement(CROP), **{**QUIET, **probabilities})


TRANSFORMS = {
    'small_affine': small_affine,
    'dihedral': lambda sample, rng: dihedral(sample, int(rng.integers(4)), bool(rng.integers(2))),
    'elastic': lambda sample, rng: elastic(sample, rng, 3.0),
    'plain_crop': lambda sample, rng: random_crop(sample, Placement(CROP, plain_share=1), rng),
    'turned_crop': lambda sample, rng: random_crop(sample, Placement(CROP, plain_share=0), rng),
    'anywhere': lambda sample, rng: random_crop(sample, Placement(CROP, device_share=0), rng),
    'whole_frame': lambda sample, rng: WholeFrame(SIZE).taken(sample, rng),
    'all': lambda sample, rng: still(elastic_probability=1.0)(sample, rng),
}
KEPT_OFF_PX = dict.fromkeys(('plain_crop', 'turned_crop', 'anywhere', 'all'), Placement.margin_px)
SEEDS = range(20)


@pytest.fixture(scope='module')
def samples():
    return [blob_at(POINTS, (SIZE, SIZE), which) for which in range(len(POINTS))]


def well_inside(landmark, shape):
    return np.all(landmark[:2] > MARGIN_PX) and np.all(landmark[:2] < shape[0] - MARGIN_PX)


@pytest.mark.parametrize('name', TRANSFORMS)
def test_blob_and_disc_follow_their_landmark(name, samples):
    measured = 0
    for seed in SEEDS:
        for which, sample in enumerate(samples):
            moved = TRANSFORMS[name](sample, np.random.default_rng(seed))
            landmark = moved.landmarks[which]
            if well_inside(landmark, moved.image.shape):
                measured += 1
                assert landmark[2] == 1
                assert blob_centre(moved.image) == pytest.approx(landmark[:2], abs=0.5)
                disc = centroid(moved.mask == which + 1)
                assert disc == pytest.approx(landmark[:2], abs=1.0)
    assert measured >= 5


@pytest.mark.parametrize('name', TRANSFORMS)
def test_types_class_ids_and_shapes_are_kept(name, samples):
    for seed in SEEDS:
        moved = TRANSFORMS[name](samples[0], np.random.default_rng(seed))
        assert moved.image.dtype == np.float32
        assert moved.mask.dtype == np.uint8
        assert moved.image.shape == moved.mask.shape
        assert moved.image.flags.c_contiguous
        assert moved.mask.flags.c_contiguous
        assert set(np.unique(moved.mask)) <= {0, 1, 2}
        assert moved.landmarks.shape == (2, 3)


def test_share_of_turned_crops_cuts_the_device_at_an_edge(samples):
    def cut(share):
        placement = Placement(SIZE, plain_share=0, device_share=1, edge_share=share)
        edges, crops = np.zeros(4), 200
        for seed in range(crops):
            mask = random_crop(samples[0], placement, np.random.default_rng(seed)).mask
            edges += [np.any(mask[0]), np.any(mask[-1]), np.any(mask[:, 0]), np.any(mask[:, -1])]
        return edges / crops

    seldom, often = cut(0.0), cut(1.0)
    assert np.all(often > 0.02)
    assert often.sum() > 3 * seldom.sum()


def test_crops_hold_a_device_whose_landmarks_are_hidden(samples):
    piece = samples[0].mask * (np.arange(SIZE) < POINTS[:, 0].mean()).astype(np.uint8)
    hidden = replace(samples[0], mask=piece, landmarks=samples[0].landmarks * [1, 1, 0])
    held = {}
    for share in (0, 1):
        placement = Placement(CROP // 2, device_share=share)
        rngs = [np.random.default_rng(seed) for seed in range(60)]
        held[share] = np.mean([random_crop(hidden, placement, rng).mask.any() for rng in rngs])
    assert held[1] == 1
    assert held[0] < 0.8


def test_turned_crop_as_large_as_its_frame_is_mostly_picture(samples):
    full = replace(samples[0], mask=np.ones((SIZE, SIZE), np.uint8))
    placement = Placement(SIZE, plain_share=0, scale=(1, 1), edge_share=0)
    shown = [
        random_crop(full, placement, np.random.default_rng(n)).mask.mean() for n in range(100)
    ]
    assert min(shown) > 0.6
    assert np.mean(shown) > 0.75


@pytest.mark.parametrize('name', TRANSFORMS)
def test_same_seed_same_result(name, samples):
    first, second = (TRANSFORMS[name](samples[0], np.random.default_rng(3)) for _ in range(2))
    for part in ('image', 'mask', 'landmarks'):
        np.testing.assert_array_equal(getattr(first, part), getattr(second, part))


@pytest.mark.parametrize('name', TRANSFORMS)
def test_landmark_is_visible_exactly_where_it_is_on_the_image(name, samples):
    """SyntheX's affine marked every landmark invisible and so trained no landmark."""
    seen = 0
    for seed in range(60):
        moved = TRANSFORMS[name](samples[0], np.random.default_rng(seed))
        rows, columns = moved.image.shape
        for u, v, visible in moved.landmarks:
            to_border = min(u, v, columns - 1 - u, rows - 1 - v) + 0.5 - KEPT_OFF_PX.get(name, 0)
            on_image = to_border >= 0
            if name != 'all' or abs(to_border) > BORDER_PX:  # bending may push one back over it
                assert visible == on_image
            seen += on_image
        targets = render_heatmaps(moved.landmarks, (rows, columns), 4, 7.0)
        np.testing.assert_array_equal(targets.max(axis=(1, 2)) > 0, moved.landmarks[:, 2] > 0)
    assert seen > 30


def test_shutter_hides_labels_with_what_it_hides(samples):
    hidden, ramp = 0, np.linspace(1, 3, SIZE, dtype=np.float32)
    for seed in range(60):
        sample = replace(samples[seed % 2], image=samples[seed % 2].image + ramp)
        closed = shutter(sample, np.random.default_rng(seed))
        changed = closed.image != sample.image
        assert np.mean(changed) < 0.5
        assert not changed.any() or np.ptp(closed.image[changed]) == 0
        np.testing.assert_array_equal(closed.mask[~changed], sample.mask[~changed])
        for which, (u, v, visible) in enumerate(closed.landmarks):
            assert (closed.mask[round(v), round(u)] == which + 1) == bool(visible)
            hidden += not visible
    assert 1 < hidden < 60


def test_picture_behind_adds_contrast_and_no_label(samples):
    """Logarithms of attenuation add up: what was to be seen is still there, as it was."""
    rng = np.random.default_rng(0)
    behind = np.linspace(-2, 2, SIZE)[None] * np.ones((SIZE, 1))
    both = superpose(samples[0].image, behind.astype(np.float32), rng)
    rest = both - samples[0].image
    assert np.corrcoef(rest.ravel(), behind.ravel())[0, 1] == pytest.approx(1, abs=1e-4)
    assert abs(rest.mean()) < 1e-4


def test_background_is_asked_for_as_often_as_it_shall_be(samples):
    asked = []

    def background(rng):
        asked.append(rng)
        return blob_at(POINTS + 30, (SIZE, SIZE), 0)

    for seed in range(200):
        still(superpose_probability=0.25)(samples[0], np.random.default_rng(seed), background)
    assert 25 < len(asked) < 80


def test_landmark_that_leaves_by_each_side_becomes_invisible(samples):
    for shift in ([-80, 0], [80, 0], [0, -130], [0, 130]):
        matrix = np.column_stack([np.eye(2), np.array(shift, float)])
        moved = warp(samples[0], matrix, SIZE, 0.0)
        expected = inside(POINTS + shift, (SIZE, SIZE))
        np.testing.assert_array_equal(moved.landmarks[:, 2], expected)
        assert not expected.all()


def test_invisible_landmark_never_comes_back(samples):
    sample = samples[0]
    sample.landmarks[1, 2] = 0
    try:
        for transform in TRANSFORMS.values():
            for seed in SEEDS:
                assert transform(sample, np.random.default_rng(seed)).landmarks[1, 2] == 0
    finally:
        sample.landmarks[1, 2] = 1


def test_plain_crop_copies_pixels(samples):
    """Without rotation no grey value is interpolated, so notches stay as sharp as rendered."""
    rng = np.random.default_rng(0)
    crop = random_crop(samples[0], Placement(CROP, plain_share=1), rng)
    assert np.isin(crop.image, samples[0].image).all()


def test_four_quarter_turns_and_two_flips_are_nothing(samples):
    turned = samples[0]
    for _ in range(4):
        turned = dihedral(turned, 1, False)
    turned = dihedral(dihedral(turned, 0, True), 0, True)
    np.testing.assert_array_equal(turned.image, samples[0].image)
    np.testing.assert_allclose(turned.landmarks, samples[0].landmarks)


def test_quarter_turn_of_an_oblong_image_is_refused():
    with pytest.raises(ValueError, match='square image, got'):
        dihedral(blob_at(POINTS, (SIZE, 150), 0), 1, False)


def test_probabilities_are_checked():
    with pytest.raises(ValueError, match='strong_probability must be 0..1, got 2'):
        Randomization(strong_probability=2)


def test_full_randomization_keeps_labels_of_the_still_one(samples):
    """Grey values are changed after everything has been moved, so labels do not depend on them."""
    for seed in SEEDS:
        quiet = still(elastic_probability=0.5)(samples[0], np.random.default_rng(seed))
        loud = still(regular_probability=1, strong_probability=1, elastic_probability=0.5)(
            samples[0], np.random.default_rng(seed)
        )
        np.testing.assert_array_equal(quiet.mask, loud.mask)
        np.testing.assert_array_equal(quiet.landmarks, loud.landmarks)
        assert loud.image.dtype == np.float32
        assert not np.array_equal(quiet.image, loud.image)


def test_a_whole_frame_is_turned_a_little_and_never_mirrored(samples):
    """The turn between two points stays within the limit, so left and right are kept."""
    placement = WholeFrame(SIZE, plain_share=0.0, rotation_deg=15.0, scale=(0.85, 1.18))
    before = np.subtract(*POINTS)
    turns = []
    for seed in range(60):
        points = placement.taken(samples[0], np.random.default_rng(seed)).landmarks[:, :2]
        ratio = complex(*(points[0] - points[1])) / complex(*before)
        turns.append(np.degrees(np.angle(ratio)))
        assert 0.85 - 1e-6 <= abs(ratio) <= 1.18 + 1e-6
        middle = np.full(2, (SIZE - 1) / 2)
        shift = points[0] - middle - _turned(POINTS[0] - middle, ratio)
        assert np.all(np.abs(shift) <= 0.1 * SIZE + 1e-6)
    assert max(turns) > 10
    assert min(turns) < -10
    assert np.all(np.abs(turns) <= 15.0 + 1e-6)


def _turned(vector, ratio):
    turned = complex(*vector) * ratio
    return np.array([turned.real, turned.imag])
