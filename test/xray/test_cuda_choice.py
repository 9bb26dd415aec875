"""Where line integrals are computed is one setting, and its absence is said clearly."""

import sys
import types

import pytest

from synthex_ros.errors import SynthexError
from synthex_ros.xray.cuda.compute import make_projector
from synthex_ros.xray.cuda.device import GpuMissingError
from synthex_ros.xray.shear_warp import ShearWarpProjector


class FakeError(RuntimeError):
    pass


def fake_cupy(answer):
    runtime = types.SimpleNamespace(CUDARuntimeError=FakeError, getDeviceCount=answer)
    return types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime))


def test_cpu_is_the_factorised_projector():
    projector = make_projector('cpu', 128)
    assert isinstance(projector, ShearWarpProjector)
    assert projector.detail_px == 128
    assert isinstance(make_projector(), ShearWarpProjector)


def test_unknown_place_is_refused():
    with pytest.raises(ValueError, match="compute must be one of cpu, cuda, got 'gpu'"):
        make_projector('gpu')


def test_without_cupy_the_message_names_the_next_step(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cupy', None)
    with pytest.raises(GpuMissingError, match='needs CuPy, got: .*pip install "synthex_ros') as e:
        make_projector('cuda')
    assert isinstance(e.value, SynthexError), 'the command line prints it without a traceback'


def test_without_a_driver_the_message_says_so(monkeypatch):
    def no_driver():
        raise FakeError('no CUDA-capable device is detected')

    monkeypatch.setitem(sys.modules, 'cupy', fake_cupy(no_driver))
    with pytest.raises(GpuMissingError, match='needs a GPU, got: no CUDA-capable device.*cpu'):
        make_projector('cuda')
    monkeypatch.setitem(sys.modules, 'cupy', fake_cupy(lambda: 0))
    with pytest.raises(GpuMissingError, match='needs a GPU, got none'):
        make_projector('cuda')
