import numba
import numpy as np
import pytest

from synthex_ros.geometry import CArm
from synthex_ros.xray.beam import Beam, Technique
from synthex_ros.xray.detector import Detector

PITCH = (0.582e-3, 0.582e-3)
SHAPE = (256, 300)


def flat(mean_kev, quanta, shape=SHAPE):
    """Signal and variance of `quanta` equal quanta a pixel."""
    signal = np.full(shape, mean_kev, np.float32)
    return signal, np.full(shape, mean_kev**2 / quanta, np.float32)


def expose(detector, signal, variance, gain=1.0, seed=0):
    return detector.expose(signal, variance, gain, PITCH, np.random.default_rng(seed))


def test_efficiency_falls_with_energy_and_jumps_at_the_k_edges():
    efficiency = Detector().efficiency([30.0, 40.0, 60.0, 100.0])
    assert efficiency[1] > efficiency[0]  # caesium at 36.0 keV, iodine at 33.2 keV
    assert efficiency[1] > efficiency[2] > efficiency[3] > 0.1
    assert Detector(scintillator_m=1200e-6).efficiency(60.0) > efficiency[2]


@pytest.mark.parametrize('quanta', [0.5, 3.0, 15.0, 25.0, 400.0])
def test_quantum_noise_has_the_mean_and_variance_of_compound_poisson(quanta):
    detector = Detector(blur_m=0.0, electronic_noise_counts=0.0, swank_factor=1.0)
    counts = expose(detector, *flat(10_000.0, quanta)).astype(float)
    size = counts.size
    sigma = 10_000 / np.sqrt(quanta)
    if quanta >= 3:  # fewer quanta reach beyond full scale
        assert counts.mean() == pytest.approx(10_000, abs=5 * sigma / np.sqrt(size))
        assert counts.var() == pytest.approx(sigma**2, rel=0.03)
    else:
        zeros = np.mean(counts == 0)
        assert zeros == pytest.approx(np.exp(-quanta), abs=5 * np.sqrt(0.25 / size))


def test_swank_factor_adds_variance():
    ideal, real = (
        expose(
            Detector(blur_m=0.0, electronic_noise_counts=0.0, swank_factor=swank),
            *flat(10_000.0, 400.0),
        ).var()
        for swank in (1.0, 0.8)
    )
    assert real / ideal == pytest.approx(1.25, rel=0.03)


def test_electronic_noise_remains_without_signal():
    dark = np.zeros(SHAPE, np.float32)
    detector = Detector(electronic_noise_counts=40.0)
    counts = expose(detector, dark, dark).astype(float)
    # Half of the values fall below zero and are clipped: mean of a half normal.
    assert counts.mean() == pytest.approx(40 / np.sqrt(2 * np.pi), rel=0.03)


def test_noise_sources_are_independent():
    signal, variance = flat(10_000.0, 400.0)
    quiet = Detector(blur_m=0.0, electronic_noise_counts=0.0)
    loud = Detector(blur_m=0.0, electronic_noise_counts=500.0)
    quantum = expose(quiet, signal, variance).astype(float)
    electronic = expose(loud, signal, variance).astype(float) - quantum
    correlation = np.corrcoef(quantum.ravel(), electronic.ravel())[0, 1]
    assert abs(correlation) < 5 / np.sqrt(signal.size)


def test_neighbouring_pixels_and_frames_are_independent_without_blur():
    detector = Detector(blur_m=0.0)
    rng = np.random.default_rng(1)
    frames = [detector.expose(*flat(10_000.0, 400.0), 1.0, PITCH, rng).astype(float) for _ in '12']
    limit = 5 / np.sqrt(frames[0].size)
    first = frames[0] - frames[0].mean()
    scale = np.mean(first**2)
    assert abs(np.mean(first[1:] * first[:-1]) / scale) < limit
    assert abs(np.mean(first[:, 1:] * first[:, :-1]) / scale) < limit
    assert abs(np.corrcoef(frames[0].ravel(), frames[1].ravel())[0, 1]) < limit


def test_blur_spreads_a_point_by_its_width_and_keeps_the_energy():
    signal = np.zeros((65, 65), np.float32)
    signal[32, 32] = 1e6
    detector = Detector(blur_m=1e-3, electronic_noise_counts=0.0)
    counts = detector.expose(
        signal, np.zeros_like(signal), 0.1, PITCH, np.random.default_rng(0)
    ).astype(float)
    assert counts.sum() == pytest.approx(1e5, rel=0.01)
    u = np.arange(65) - 32
    width_m = np.sqrt(np.average(u**2, weights=counts.sum(0))) * PITCH[1]
    # The pixel itself adds its own variance, pitch^2 / 12.
    assert width_m**2 == pytest.approx(1e-6 + PITCH[1] ** 2 / 12, rel=0.03)


def test_blur_lowers_quantum_noise_but_not_electronic_noise():
    signal, variance = flat(10_000.0, 400.0)
    sharp, soft = (Detector(blur_m=b, electronic_noise_counts=0.0) for b in (0.0, 0.6e-3))
    assert expose(soft, signal, variance).std() < 0.5 * expose(sharp, signal, variance).std()
    still = np.zeros_like(variance)
    loud = Detector(blur_m=0.6e-3, electronic_noise_counts=100.0)
    assert expose(loud, signal, still).std() == pytest.approx(100, rel=0.02)


def test_saturation_is_full_scale():
    counts = expose(Detector(), *flat(1e6, 1e4))
    assert np.all(counts == 65535)


def test_same_seed_gives_the_same_bytes_on_any_number_of_threads():
    signal, variance = flat(5_000.0, 100.0)
    frame = expose(Detector(), signal, variance, seed=7)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        again = expose(Detector(), signal, variance, seed=7)
    finally:
        numba.set_num_threads(threads)
    assert frame.tobytes() == again.tobytes()
    assert frame.tobytes() != expose(Detector(), signal, variance, seed=8).tobytes()


def test_open_field_stands_at_its_share_of_full_scale_for_every_technique():
    geometry = CArm().geometry()
    for technique in (Technique(), Technique(60.0, 0.02), Technique(120.0, 1.0)):
        beam = Beam(technique, Detector())
        open_field = beam.pixel_weights(geometry)[0].sum() * beam.gain_counts_kev(geometry)
        assert open_field == pytest.approx(0.8 * 65535, rel=1e-5)


def test_absorbed_photons_follow_charge_area_and_inverse_square():
    geometry = CArm().geometry()
    one = Beam(Technique(charge_mas=0.1), Detector()).pixel_weights(geometry)
    two = Beam(Technique(charge_mas=0.2), Detector()).pixel_weights(geometry)
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5)
    fine = Beam(Technique(charge_mas=0.1), Detector()).pixel_weights(
        geometry.resized((1024, 1024))
    )
    np.testing.assert_allclose(fine, one / 4, rtol=1e-5)


@pytest.mark.parametrize(
    ('make', 'name'),
    [
        (lambda: Detector(scintillator_m=0.6), 'scintillator_m'),
        (lambda: Detector(swank_factor=0.0), 'swank_factor'),
        (lambda: Detector(electronic_noise_counts=-1.0), 'electronic_noise_counts'),
        (lambda: Technique(charge_mas=0.0), 'charge_mas'),
        (lambda: Technique(pulse_length_s=10_000.0), 'pulse_length_s'),
        (lambda: Technique(80_000.0).spectrum(), 'looks like volts'),
    ],
)
def test_errors_name_the_value(make, name):
    with pytest.raises(ValueError, match=name):
        make()
