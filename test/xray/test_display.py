"""The display chain: what each step must do, and that a moving device makes nothing flicker."""

import numpy as np
import pytest

from synthex_ros.xray.display import (
    AutomaticWindow,
    DisplayChain,
    EdgeEnhancement,
    FixedWindow,
    Flip,
    Inversion,
    Logarithm,
    Shutter,
    TemporalFilter,
    eight_bit,
)

FRAME_S = 1 / 15
PITCH = (0.2e-3, 0.2e-3)


def scene(width_px=0, shift_px=0):
    """A ramp from 4000 to 40000 counts; a device takes 90 % of the signal of some columns."""
    counts = np.tile(np.geomspace(4000, 40000, 128), (96, 1))
    counts[:, 40 + shift_px : 40 + shift_px + width_px] *= 0.1
    return counts.astype(np.uint16)


def apply(step, image, state=None):
    return step.apply(np.array(image, np.float32), state, FRAME_S)


def test_equal_thicknesses_are_equal_steps_of_grey():
    """Beer-Lambert: counts that fall by equal factors are shown at equal distances."""
    counts = np.array([[50_000, 25_000, 12_500, 6_250]], np.uint16)
    chain = DisplayChain([Logarithm(), FixedWindow(np.log(5000), np.log(50_001))])
    steps = np.diff(chain.tones(counts)[0])
    np.testing.assert_allclose(steps, steps[0], rtol=1e-3)
    assert steps[0] < 0


def test_eight_bit_rounds_and_cuts_off():
    tones = np.array([[-1, 0, 0.5, 1, 2], [0.2 / 255, 0.6 / 255, 254.4 / 255, 1e9, 0]], np.float32)
    assert eight_bit(tones).tolist() == [[0, 0, 128, 255, 255], [0, 1, 254, 255, 0]]


def test_counts_are_left_as_they_are():
    counts = scene()
    before = counts.copy()
    steps = [Logarithm(), AutomaticWindow(), EdgeEnhancement(1.0, 1e-3, PITCH), Flip(True, True)]
    picture = DisplayChain(steps).show(counts)
    np.testing.assert_array_equal(counts, before)
    assert picture.dtype == np.uint8
    assert picture.shape == counts.shape


def test_moving_device_does_not_make_the_frame_flicker():
    """The grey of the background beside a device that comes, moves and leaves.

    A window of every frame by itself jumps by tens of grey levels; one with a time constant of
    30 frames by less than a tenth of that, and so little that nobody sees it flicker.
    """
    frames = [scene()] * 3 + [scene(30, 2 * k) for k in range(20)] + [scene()] * 5
    slow = DisplayChain([Logarithm(), AutomaticWindow(time_constant_s=2.0)])
    background = (48, 20)
    shown = [float(slow.show(frame, FRAME_S)[background]) for frame in frames]
    alone = [
        float(DisplayChain([Logarithm(), AutomaticWindow()]).show(frame)[background])
        for frame in frames
    ]
    jump, slow_jump = np.abs(np.diff(alone)).max(), np.abs(np.diff(shown)).max()
    assert jump > 30
    assert slow_jump < jump / 10


def test_window_approaches_exponentially():
    dim, bright = (np.full((64, 64), value, np.float32) for value in (0.0, 1.0))
    dim[:, ::2], bright[:, ::2] = 1.0, 3.0
    step = AutomaticWindow(percentiles=(0, 100), time_constant_s=0.5)
    _, state = step.apply(dim.copy(), None, 0.1)
    assert state == (0.0, 1.0)
    for _ in range(5):
        _, state = step.apply(bright.copy(), state, 0.1)
    left = np.exp(-1)
    assert state == pytest.approx((1 - left, 1 * left + 3 * (1 - left)))


def test_window_sees_its_measuring_field_only():
    counts = scene()
    field = np.zeros(counts.shape, bool)
    field[20:60, 30:90] = True
    inside = counts[20:60, 30:90]
    low, high = AutomaticWindow((0, 100), field=field).measured(counts.astype(np.float32))
    assert (low, high) == (inside.min(), inside.max())
    few = AutomaticWindow((5, 95), field=field, max_samples=100)
    all_of_it = AutomaticWindow((5, 95), field=field, max_samples=10**6)
    np.testing.assert_allclose(
        few.measured(counts.astype(np.float32)), all_of_it.measured(counts.astype(np.float32)),
        rtol=0.1,
    )  # fmt: skip


def test_edge_enhancement_amplifies_as_its_formula_says():
    """The amplification of a sine is 1 + strength (1 - exp(-2 (pi radius f)^2)) at any pitch."""
    for pitch, radius_m in (
        (0.2e-3, 0.2e-3),
        (0.2e-3, 0.6e-3),
        (0.4e-3, 0.6e-3),
        (0.2e-3, 1.5e-3),
    ):
        x_m = np.arange(512) * pitch
        for period_m in (4 * radius_m, 8 * radius_m):
            wave = np.sin(2 * np.pi * x_m / period_m)
            image = np.tile(10 + wave, (96, 1)).astype(np.float32)
            step = EdgeEnhancement(0.8, radius_m, (pitch, pitch))
            sharp = apply(step, image)[0][48, 128:384] - 10
            gain = np.dot(sharp, wave[128:384]) / np.dot(wave[128:384], wave[128:384])
            expected = 1 + 0.8 * (1 - np.exp(-2 * (np.pi * radius_m / period_m) ** 2))
            assert gain == pytest.approx(expected, rel=0.02), (pitch, radius_m, period_m)


def test_edge_enhancement_keeps_an_even_area():
    flat = np.full((65, 83), 0.4, np.float32)
    np.testing.assert_allclose(apply(EdgeEnhancement(2.0, 1e-3, PITCH), flat)[0], 0.4, rtol=1e-5)


def test_temporal_filter_leaves_the_variance_of_a_recursive_mean():
    rng = np.random.default_rng(5)
    step, state = TemporalFilter(0.25), None
    for _ in range(40):
        image, state = apply(step, rng.normal(size=(128, 128)), state)
    assert image.var() == pytest.approx(0.25 / (2 - 0.25), rel=0.05)


def test_motion_adaptive_filter_follows_at_once_and_rests_where_nothing_moves():
    rng = np.random.default_rng(6)
    plain, adaptive = TemporalFilter(0.1), TemporalFilter(0.1, motion=0.5)
    first = np.zeros((64, 64))
    second = first.copy()
    second[:, 32:] = 1.0
    states = [apply(step, first)[1] for step in (plain, adaptive)]
    slow, quick = (
        apply(step, second, state)[0]
        for step, state in zip((plain, adaptive), states, strict=True)
    )
    assert slow[:, 40:].mean() == pytest.approx(0.1)
    assert quick[:, 40:].mean() == pytest.approx(1.0)
    state = None
    for _ in range(60):
        image, state = apply(adaptive, 0.05 * rng.normal(size=(64, 64)), state)
    assert image.std() < 0.5 * 0.05


def test_temporal_filter_starts_anew_at_another_size():
    step = TemporalFilter(0.1)
    _, state = apply(step, np.zeros((8, 8)))
    image, _ = apply(step, np.ones((4, 4)), state)
    np.testing.assert_array_equal(image, 1)


def test_flips_inversion_and_shutter():
    image = np.arange(6, dtype=np.float32).reshape(2, 3) / 10
    np.testing.assert_array_equal(apply(Flip(horizontal=True), image)[0], image[:, ::-1])
    np.testing.assert_array_equal(apply(Flip(vertical=True), image)[0], image[::-1])
    np.testing.assert_array_equal(apply(Flip(True, True), image)[0], image[::-1, ::-1])
    np.testing.assert_array_equal(apply(Flip(), image)[0], image)
    np.testing.assert_array_equal(apply(Inversion(), image)[0], 1 - image)
    is_open = np.array([[True, False, True], [False, True, False]])
    shut = apply(Shutter(is_open, 0.2), image)[0]
    np.testing.assert_array_equal(shut[is_open], image[is_open])
    assert shut[~is_open].max() <= np.float32(0.2)


def test_reset_forgets_and_one_pixel_is_a_picture():
    chain = DisplayChain([AutomaticWindow(), TemporalFilter(0.1), EdgeEnhancement(1, 1e-3, PITCH)])
    first = chain.show(scene())
    chain.show(scene(30))
    assert all(state is not None for state in chain.states[:2])
    chain.reset()
    np.testing.assert_array_equal(chain.show(scene()), first)
    one = DisplayChain([Logarithm(), *chain.steps, Flip(True)]).show(np.array([[9]], np.uint16))
    assert one.shape == (1, 1)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: FixedWindow(2, 2), 'low must be below high, got 2 and 2'),
        (lambda: AutomaticWindow(time_constant_s=0), 'time_constant_s must be positive'),
        (lambda: AutomaticWindow((50, 10)), 'percentiles must be 0 <= low < high <= 100'),
        (lambda: AutomaticWindow(field=np.zeros((2, 2), bool)), 'at least one pixel'),
        (lambda: TemporalFilter(0), 'weight must be above 0, up to 1'),
        (lambda: TemporalFilter(0.5, motion=0), 'motion must be positive or None'),
        (lambda: EdgeEnhancement(1, 1.0, PITCH), 'radius_m must be above 0, up to 0.05'),
        (lambda: EdgeEnhancement(-1, 1e-3, PITCH), r'strength must be 0\.\.20'),
        (lambda: Shutter(np.ones((2, 2), bool), 2), r'brightest must be 0\.\.1'),
        (lambda: DisplayChain([]).show(np.zeros((2, 2, 3))), 'counts must have shape'),
        (lambda: DisplayChain([]).show(np.zeros((2, 2)), 0), 'interval_s must be positive'),
    ],
)
def test_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()
