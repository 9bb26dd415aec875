"""The detector pass of the CUDA kernels gives the frames of `Detector.expose`, count for count."""

import numpy as np
import pytest

from synthex_ros.xray.cuda.detector_pass import expose_frames
from synthex_ros.xray.detector import Detector, ScatteredSignal
from synthex_ros.xray.lag import Lag, LagMemory
from synthex_ros.xray.panel import PanelMaps

SHAPE = (70, 91)
PITCH = (0.3e-3, 0.25e-3)
MEAN_KEV = 40.0


def field(level_kev):
    """Expected signal with an edge and a gradient, and the variance of quanta of 40 keV."""
    row, column = np.mgrid[: SHAPE[0], : SHAPE[1]]
    signal = level_kev * (0.2 + column / SHAPE[1]) * np.where(row > 30, 1.0, 0.3)
    return signal.astype(np.float32), (MEAN_KEV * signal).astype(np.float32)


def both(device, detector, level_kev, gain, seed=5, memories=(None, None), **kwargs):
    """Return a frame of the CPU and one of the kernels."""
    signal, variance = field(level_kev)
    truth = detector.expose(
        signal, variance, gain, PITCH, np.random.default_rng(seed), memory=memories[0], **kwargs
    )
    if 'scatter' in kwargs:
        kwargs = {**kwargs, 'scatter': [kwargs['scatter']]}
    frames = expose_frames(
        device,
        detector,
        device.upload(signal[None]),
        device.upload(variance[None]),
        [gain],
        PITCH,
        [int(np.random.default_rng(seed).integers(0, 2**63))],
        memory=memories[1],
        **kwargs,
    )
    return truth.astype(int), device.download(frames)[0].astype(int)


def agree(truth, frame):
    """Whether counts agree but for rounding; the compilers order sums differently."""
    away = np.abs(frame - truth)
    return truth.std() > 0 and away.max() <= 1 and np.mean(away > 0) < 0.01


@pytest.mark.parametrize('level_kev', [20.0, 300.0, 1500.0, 1e5], ids='{:g} keV'.format)
def test_same_seed_same_frame(cuda_device, level_kev):
    """From less than a quantum a pixel (Poisson) to thousands (Gaussian)."""
    assert agree(*both(cuda_device, Detector(), level_kev, 20000 / level_kev))


def test_without_noise(cuda_device):
    detector = Detector(quantum_noise=False, electronic_noise_counts=0)
    assert agree(*both(cuda_device, detector, 1e4, 1.0))


def test_without_light_spread_and_with_saturation(cuda_device):
    truth, frame = both(cuda_device, Detector(blur_m=0.0, bits=12), 1e5, 0.06)
    assert agree(truth, frame)
    assert np.count_nonzero(frame == 4095) > 100


def test_scatter_and_pixel_maps(cuda_device):
    coarse = np.random.default_rng(1).uniform(500, 3000, (8, 9)).astype(np.float32)
    scatter = ScatteredSignal(coarse, 45.0)
    maps = PanelMaps.random(SHAPE, seed=4, dead_share=0.01)
    assert agree(*both(cuda_device, Detector(), 3000.0, 5.0, scatter=scatter, maps=maps))


def test_lag_is_carried_from_frame_to_frame(cuda_device):
    memories = LagMemory(Lag(), SHAPE), LagMemory(Lag(), SHAPE)
    for seed, level_kev in enumerate((2e4, 2e4, 1e3)):
        frames = both(cuda_device, Detector(), level_kev, 1.0, seed, memories, interval_s=0.1)
        assert agree(*frames)
    np.testing.assert_allclose(memories[1].states, memories[0].states, rtol=1e-4)


def test_lag_of_several_frames_at_once_is_refused(cuda_device):
    signal = cuda_device.zeros((2, *SHAPE), np.float32)
    with pytest.raises(ValueError, match='one at a time, got 2'):
        expose_frames(
            cuda_device, Detector(), signal, signal, [1, 1], PITCH, [1, 2],
            memory=LagMemory(Lag(), SHAPE),
        )  # fmt: skip


def test_frames_of_a_batch_have_noise_of_their_own(cuda_device):
    signal, variance = (cuda_device.upload(np.stack([image] * 3)) for image in field(1e4))
    frames = cuda_device.download(
        expose_frames(cuda_device, Detector(), signal, variance, [1.0] * 3, PITCH, [7, 8, 7])
    ).astype(float)
    np.testing.assert_array_equal(frames[0], frames[2])
    noise = frames[:2] - frames[:2].mean(0)
    assert noise.std() > 10
    deviations = [frame - field(1e4)[0] for frame in frames[:2]]
    flat = np.s_[40:60, 10:80]
    shared = np.corrcoef(deviations[0][flat].ravel(), deviations[1][flat].ravel())[0, 1]
    assert abs(shared) < 0.1
