"""What a real panel adds: lag, uneven pixels, few bits, and scattered quanta from outside."""

import numpy as np
import pytest

from synthex_ros.xray.detector import CoveredPixels, Detector, ScatteredSignal
from synthex_ros.xray.lag import Lag, LagMemory
from synthex_ros.xray.panel import FlatField, PanelMaps

PITCH = (0.582e-3, 0.582e-3)
SHAPE = (70, 90)
QUIET = Detector(electronic_noise_counts=0.0)


def flat(mean_kev, shape=SHAPE, variance=0.0):
    return np.full(shape, mean_kev, np.float32), np.full(shape, variance, np.float32)


def expose(signal, variance, detector=QUIET, seed=0, **kwargs):
    return detector.expose(signal, variance, 1.0, PITCH, np.random.default_rng(seed), **kwargs)


def test_lag_decays_as_its_exponentials():
    lag = Lag(((0.1, 0.2), (0.02, 2.0)))
    memory, interval = LagMemory(lag, SHAPE), 0.1
    for _ in range(300):
        steady = expose(*flat(20_000.0), memory=memory, interval_s=interval)
    assert np.all(np.abs(steady.astype(int) - 20_000) <= 1)
    for frame in range(1, 8):
        left = expose(*flat(0.0), memory=memory, interval_s=interval)
        expected = sum(20_000 * share * np.exp(-frame * interval / t) for share, t in lag.terms)
        assert left.mean() == pytest.approx(expected, abs=1.0)


def test_lag_keeps_the_signal_of_a_single_exposure():
    """What is missing in the exposed frame comes later; nothing is lost or made."""
    memory = LagMemory(Lag(((0.2, 0.3),)), SHAPE)
    frames = [expose(*flat(30_000.0), memory=memory, interval_s=0.1).mean()]
    frames += [expose(*flat(0.0), memory=memory, interval_s=0.1).mean() for _ in range(60)]
    assert sum(frames) == pytest.approx(30_000, rel=2e-3)
    assert frames[0] < 30_000


def test_forgotten_memory_starts_anew():
    memory = LagMemory(Lag(), SHAPE)
    expose(*flat(30_000.0), memory=memory)
    memory.reset()
    assert not expose(*flat(0.0), memory=memory).any()


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: Lag(((1.2, 0.1),)), 'share 0..1'),
        (lambda: Lag(((0.1, 0.0),)), 'time constant'),
        (lambda: Lag(((0.6, 0.1), (0.5, 1.0))), 'less than 1'),
        (lambda: LagMemory(Lag(), SHAPE).decays(0.0), 'interval_s'),
        (lambda: PanelMaps(np.ones((2, 2)), np.ones((2, 3))), 'must both be'),
        (lambda: PanelMaps.random(SHAPE, 0, dead_share=0.9), 'dead_share'),
        (lambda: Detector(bits=20), 'bits'),
    ],
)
def test_unusable_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_panel_maps_multiply_and_add():
    maps = PanelMaps.random(SHAPE, 3)
    counts = expose(*flat(20_000.0), maps=maps)
    np.testing.assert_allclose(counts, 20_000 * maps.gain + maps.offset_counts, atol=1)
    assert 0.005 < np.std(maps.gain[maps.gain > 0]) < 0.04


def test_flat_field_makes_the_panel_even_again():
    maps = PanelMaps.random(SHAPE, 5, dead_share=2e-3)
    assert (maps.gain == 0).any()
    noisy = Detector(electronic_noise_counts=5.0)

    def frames(level, count=20):
        signal = flat(level, variance=level)
        return np.stack([expose(*signal, noisy, seed, maps=maps) for seed in range(count)])

    field = FlatField.calibrate(frames(0.0), frames(20_000.0))
    raw = expose(*flat(8_000.0), noisy, 99, maps=maps)
    even = field.correct(raw)
    assert raw.std() > 5 * even.std()
    assert even.mean() == pytest.approx(8_000 * 1.0, rel=0.01)
    np.testing.assert_array_equal(field.factor == 0, maps.gain == 0)
    with pytest.raises(ValueError, match='the calibration'):
        field.correct(raw[:, :10])
    with pytest.raises(ValueError, match='no brighter than darks'):
        FlatField.calibrate(frames(0.0), frames(0.0))


def test_fewer_bits_lower_full_scale():
    counts = expose(*flat(1e6), Detector(bits=14))
    assert np.all(counts == 16383)
    assert Detector(bits=14).full_scale == 16383


def test_covered_pixels_take_their_own_values():
    signal, variance = flat(1_000.0)
    starts, first = np.zeros(SHAPE[0] + 1, np.int64), np.zeros(SHAPE[0], np.int32)
    starts[6:], first[5] = 2, 88
    covered = CoveredPixels(starts, first, np.array([[500, 200], [0, 0]], np.float32))
    sharp = Detector(blur_m=0.0, electronic_noise_counts=0.0)
    counts = expose(signal, variance, sharp, covered=covered)
    expected = np.full(SHAPE, 1_000)
    expected[5, [88, 89]] = [500, 200]
    np.testing.assert_array_equal(counts, expected)


def test_scatter_is_added_with_its_own_noise():
    signal, variance = flat(10_000.0)
    ramp = np.linspace(1_000, 3_000, 16, dtype=np.float32)[None, :].repeat(12, 0)
    added = expose(signal, variance, scatter=ScatteredSignal(ramp, 0.0)).astype(float) - 10_000
    across = added.mean(axis=0)
    cells = (np.arange(SHAPE[1]) + 0.5) * 16 / SHAPE[1] - 0.5
    expected = np.interp(cells, np.arange(16), ramp[0])
    np.testing.assert_allclose(across, expected, atol=3)
    noisy = Detector(blur_m=0.0, electronic_noise_counts=0.0, swank_factor=1.0)
    even = ScatteredSignal(np.full((4, 4), 2_000, np.float32), 20.0)
    shape = (300, 300)
    counts = expose(*flat(10_000.0, shape), noisy, scatter=even).astype(float)
    assert counts.var() == pytest.approx(2_000 * 20.0, rel=0.03)
