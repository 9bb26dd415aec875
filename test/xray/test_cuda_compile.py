"""The kernels compile with NVRTC, which needs neither a GPU nor a driver."""

import ctypes
import importlib.util
import re
from pathlib import Path

import pytest

from synthex_ros.xray.cuda import source

from .cuda_twin import kernels_of

ARCHITECTURE = 'compute_90'


def nvrtc():
    """Return NVRTC of the wheel nvidia-cuda-nvrtc-cu12 (extra `dev`)."""
    try:
        spec = importlib.util.find_spec('nvidia.cuda_nvrtc')
    except ModuleNotFoundError:
        spec = None
    folders = [] if spec is None else spec.submodule_search_locations
    found = [path for f in folders for path in Path(f).glob('lib/libnvrtc.so.*')]
    if not found:
        pytest.skip('NVRTC is not installed: pip install nvidia-cuda-nvrtc-cu12')
    return ctypes.CDLL(str(found[0]))


def compiled(library, text, options):
    """Return PTX and messages of a program."""
    program = ctypes.c_void_p()
    code = library.nvrtcCreateProgram(
        ctypes.byref(program), text.encode(), b'kernels.cu', 0, None, None
    )
    assert code == 0
    arguments = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    failed = library.nvrtcCompileProgram(program, len(options), arguments)
    messages = _text(library, program, 'ProgramLog')
    ptx = '' if failed else _text(library, program, 'PTX')
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return ptx, messages.strip()


def _text(library, program, what):
    size = ctypes.c_size_t()
    getattr(library, f'nvrtcGet{what}Size')(program, ctypes.byref(size))
    content = ctypes.create_string_buffer(size.value)
    getattr(library, f'nvrtcGet{what}')(program, content)
    return content.value.decode()


@pytest.mark.parametrize('file', source.ALL, ids=lambda f: f'{f.name}{f.lanes or ""}')
def test_kernels_compile_without_warnings_and_stay_in_registers(file):
    ptx, messages = compiled(
        nvrtc(), file.source(), [*file.options, f'--gpu-architecture={ARCHITECTURE}']
    )
    assert ptx, messages
    assert not messages
    assert set(re.findall(r'\.entry (\w+)', ptx)) == set(kernels_of(file.source()))
    assert '.local' not in ptx, 'an array of a thread went to slow memory'
    if file.exact:
        assert 'fma' not in ptx, 'two faces would not compute the same number at their edge'


def test_a_mistake_in_a_kernel_is_noticed():
    ptx, messages = compiled(nvrtc(), source.SIGNAL.source() + 'int f() { return x; }', [])
    assert not ptx
    assert 'identifier "x" is undefined' in messages


def test_every_source_file_is_compiled():
    assert {file.name for file in source.ALL} == {path.stem for path in source.FOLDER.iterdir()}
