"""Grey-value randomization changes the look of a picture and moves nothing in it."""

import numpy as np
import pytest

from synthex_ros.learning.intensity_transforms import REGULAR, STRONG

from .drawing import centroid, edge_shift, sharp_scene

TRANSFORMS = {**REGULAR, **STRONG}
SEEDS = range(12)
TOLERANCE_PX = {
    'pooling': 1.0,  # widens what is bright or what is dark by a pixel on every side
    'sharpen': 1.0,  # embossing lights one side of an edge
}


@pytest.fixture(scope='module')
def scene():
    return sharp_scene()


def test_measured_shift_is_the_true_shift(scene):
    moved = np.roll(scene, (3, -2), axis=(0, 1))
    assert edge_shift(scene, -moved) == pytest.approx([-2, 3], abs=0.01)


@pytest.mark.parametrize('name', TRANSFORMS)
def test_edges_stay_where_the_labels_are(name, scene):
    for seed in SEEDS:
        changed = TRANSFORMS[name](scene, np.random.default_rng(seed))
        shift = np.abs(edge_shift(scene, changed)).max()
        assert shift < TOLERANCE_PX.get(name, 0.1), f'seed {seed}'


@pytest.mark.parametrize('name', TRANSFORMS)
def test_shape_type_and_finite_values_are_kept(name, scene):
    for seed in SEEDS:
        for size in (scene.shape, (64, 96)):
            changed = TRANSFORMS[name](scene[: size[0], : size[1]], np.random.default_rng(seed))
            assert (changed.shape, changed.dtype) == (size, np.float32)
            assert np.isfinite(changed).all()
            assert np.abs(changed).max() < 60


@pytest.mark.parametrize('name', TRANSFORMS)
def test_same_seed_same_result_and_the_input_is_left_alone(name, scene):
    before = scene.copy()
    results = [TRANSFORMS[name](scene, np.random.default_rng(seed)) for seed in (5, 5)]
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(scene, before)
    assert not np.array_equal(results[0], before)


@pytest.mark.parametrize('name', TRANSFORMS)
def test_flat_image_stays_finite(name):
    for seed in SEEDS:
        changed = TRANSFORMS[name](np.zeros((64, 64), np.float32), np.random.default_rng(seed))
        assert np.isfinite(changed).all()


def test_impulse_and_dropout_stay_within_their_shares(scene):
    for seed in SEEDS:
        salted = STRONG['impulse'](scene, np.random.default_rng(seed))
        assert 0.005 < np.mean(salted != scene) < 0.11
        dropped = STRONG['dropout'](scene, np.random.default_rng(seed))
        assert 0.002 < np.mean(dropped != scene) < 0.2


def test_invert_swaps_light_and_dark_at_the_same_mean_and_deviation(scene):
    inverted = STRONG['invert'](scene, np.random.default_rng(0))
    assert np.corrcoef(inverted.ravel(), scene.ravel())[0, 1] == pytest.approx(-1)
    assert inverted.mean() == pytest.approx(scene.mean(), abs=1e-4)
    assert inverted.std() == pytest.approx(scene.std(), rel=1e-4)


@pytest.mark.parametrize('name', ['blur', 'pooling', 'multiply', 'gamma', 'contrast'])
def test_centre_of_a_disc_stays(name):
    """Windows of an even size would move it by half a pixel."""
    rows, columns = np.mgrid[:64, :64]
    disc = np.where((columns - 31) ** 2 + (rows - 26) ** 2 < 81, 2.0, -1.0).astype(np.float32)
    for seed in SEEDS:
        changed = STRONG.get(name, REGULAR.get(name))(disc, np.random.default_rng(seed))
        middle = (changed.min() + changed.max()) / 2
        assert centroid(changed > middle) == pytest.approx([31, 26], abs=0.3), f'seed {seed}'


def test_tone_never_swaps_two_grey_values(scene):
    """What lets more X-rays through stays the brighter one, or becomes as bright."""
    order = np.argsort(scene.ravel())
    for seed in range(40):
        bent = STRONG['tone'](scene, np.random.default_rng(seed)).ravel()[order]
        assert np.diff(bent).min() > -1e-5


def test_writing_covers_little_and_has_one_grey(scene):
    for seed in SEEDS:
        written = STRONG['annotate'](scene, np.random.default_rng(seed))
        changed = written[written != scene]
        assert changed.size < 0.5 * scene.size
        assert np.unique(changed).size <= 1


def test_starved_pictures_are_noisier_where_they_are_darker():
    """Photons are counted: their share of noise falls with the root of their number."""
    halves = np.repeat(np.linspace(-1, 1, 64, dtype=np.float32)[None], 64, axis=0)
    for seed in range(20):
        starved = STRONG['starve'](halves, np.random.default_rng(seed))
        around = starved - starved.mean(axis=0)
        assert around[:, 12:20].std() > 1.3 * around[:, -12:-4].std(), f'seed {seed}'


def test_open_beam_leaves_a_part_as_it_was_and_brightens_the_rest(scene):
    seen = 0
    for seed in SEEDS:
        changed = STRONG['open_beam'](scene, np.random.default_rng(seed))
        assert changed.mean() == pytest.approx(0, abs=1e-3)
        assert changed.std() == pytest.approx(1, abs=1e-3)
        beam = STRONG['open_beam'](np.zeros_like(scene), np.random.default_rng(seed))
        patient = beam < beam.min() + 1e-6
        if not 100 < np.count_nonzero(patient) < scene.size - 100:
            continue
        slope, level = np.polyfit(scene[patient], changed[patient], 1)
        added = changed - (slope * scene + level)
        assert slope > 0
        assert np.abs(added[patient]).max() < 1e-4, f'seed {seed}'
        assert added[~patient].min() > -1e-4, f'seed {seed}'
        assert added.max() > 0.5, f'seed {seed}'
        seen += 1
    assert seen >= 3
