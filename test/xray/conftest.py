"""Where CUDA kernels are tested: compiled for the processor, and on a GPU if there is one."""

import pytest

from synthex_ros.xray.cuda.device import CupyDevice, GpuMissingError

from .cuda_twin import COMPILER, TwinDevice


@pytest.fixture(scope='session', params=['processor', 'gpu'])
def cuda_device(request, tmp_path_factory):
    if request.param == 'gpu':
        try:
            return CupyDevice()
        except GpuMissingError as error:
            pytest.skip(str(error))
    if COMPILER is None:
        pytest.skip('no C++ compiler (g++, clang++ or c++): the kernels cannot be tested here')
    return TwinDevice(tmp_path_factory.mktemp('cuda'))
