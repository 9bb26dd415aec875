"""The CUDA kernels compiled for the processor: the same source, a loop in place of the GPU.

Grids and blocks become loops and atomic operations plain ones; every launch is checked against
the kernel's own parameter list, and memory outside of an array must not change.
"""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

from synthex_ros.xray.cuda.device import BLOCK, blocks_of

COMPILER = shutil.which('g++') or shutil.which('clang++') or shutil.which('c++')

SHIM = """
#include <cmath>
#include <math.h>
#define __global__
#define __device__ static
#define __align__(n) __attribute__((aligned(n)))
struct Indices { unsigned x, y, z; };
static Indices threadIdx, blockIdx, blockDim;
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline long long __double2ll_rn(double value) { return llrint(value); }
static inline double __longlong_as_double(long long bits) {
    double value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T> static inline void atomicAdd(T* at, T value) { *at += value; }
template <class T> static inline void atomicMin(T* at, T value) { if (value < *at) *at = value; }
template <class T> static inline void atomicMax(T* at, T value) { if (value > *at) *at = value; }
"""

LOOP = """
extern "C" void run_{name}(const unsigned* grid, const unsigned* block, {parameters}) {{
    blockDim = Indices{{block[0], block[1], block[2]}};
    for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x)
    for (threadIdx.z = 0; threadIdx.z < block[2]; ++threadIdx.z)
    for (threadIdx.y = 0; threadIdx.y < block[1]; ++threadIdx.y)
    for (threadIdx.x = 0; threadIdx.x < block[0]; ++threadIdx.x)
        {name}({names});
}}
"""

TYPES = {
    'int': np.int32,
    'long long': np.int64,
    'float': np.float32,
    'double': np.float64,
    'Bits': np.uint64,
    'Levels': np.uint16,
    'unsigned char': np.uint8,
    'unsigned short': np.uint16,
}
SCALARS = {'int': ctypes.c_int, 'long long': ctypes.c_longlong, 'float': ctypes.c_float}
SCALARS |= {'double': ctypes.c_double}

GUARD_BYTES = 64
CANARY = 0xA5


def kernels_of(text):
    """Return (type, is pointer, parameter) of every parameter, by kernel of a file."""
    signature = r'extern "C" __global__ void (\w+)\(([^)]*)\)'
    return {
        name: [_parameter(item) for item in parameters.split(',')]
        for name, parameters in re.findall(signature, text)
    }


def _parameter(declaration):
    *words, name = re.sub(r'const|__restrict__|[*]', ' ', declaration).split()
    return ' '.join(words), '*' in declaration, name


class TwinDevice:
    """A `Device` of numpy arrays; undefined memory is filled with rubbish on purpose."""

    name = 'processor'

    def __init__(self, folder: Path) -> None:
        if COMPILER is None:
            raise FileNotFoundError('no C++ compiler (g++, clang++ or c++) on the path')
        self._folder, self._libraries, self._arrays = folder, {}, []

    def upload(self, array):
        copy = self.empty(array.shape, array.dtype)
        copy[...] = array
        return copy

    def empty(self, shape, dtype):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = np.full(size + 3 * GUARD_BYTES, CANARY, np.uint8)
        first = GUARD_BYTES + -(memory.ctypes.data) % GUARD_BYTES
        array = memory[first : first + size].view(dtype).reshape(shape)
        self._arrays = [*self._arrays[-100:], (memory, first, first + size)]
        return array

    def zeros(self, shape, dtype):
        array = self.empty(shape, dtype)
        array[...] = 0
        return array

    def download(self, array):
        return array.copy()

    def synchronize(self):
        pass

    def launch(self, file, kernel, threads, arguments, block=BLOCK):
        library, kernels = self._library(file)
        values = [
            _checked(f'{kernel}: {name}', kind, pointer, value)
            for (kind, pointer, name), value in zip(kernels[kernel], arguments, strict=True)
        ]
        grid = blocks_of(threads, block)
        assert max(grid[1:]) <= 65535, f'{kernel}: grid {grid} is too large for CUDA'
        sizes = [(ctypes.c_uint * 3)(*size) for size in (grid, block)]
        getattr(library, f'run_{kernel}')(*sizes, *values)
        for memory, first, end in self._arrays:
            outside = np.concatenate([memory[:first], memory[end:]])
            assert (outside == CANARY).all(), f'{kernel} wrote outside of an array'

    def _library(self, file):
        if file not in self._libraries:
            self._libraries[file] = self._compiled(file)
        return self._libraries[file]

    def _compiled(self, file):
        text = file.source()
        kernels = kernels_of(text)
        loops = [
            LOOP.format(
                name=name,
                parameters=', '.join(f'{k}{"*" if p else ""} {n}' for k, p, n in parameters),
                names=', '.join(n for _, _, n in parameters),
            )
            for name, parameters in kernels.items()
        ]
        stem = self._folder / f'{file.name}{file.lanes}'
        source, library = stem.with_suffix('.cpp'), stem.with_suffix('.so')
        source.write_text(SHIM + text + ''.join(loops), encoding='utf-8')
        defines = [option for option in file.options if option.startswith('-D')]
        command = [
            COMPILER, '-std=c++14', '-O2', '-ffp-contract=off', '-fno-strict-aliasing', '-w',
            '-fPIC', '-shared', *defines, str(source), '-o', str(library),
        ]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return ctypes.CDLL(str(library)), kernels


def _checked(what, kind, pointer, value):
    """Return an argument for ctypes; CUDA would read one of another type without a word."""
    assert value.dtype == TYPES[kind], f'{what} is {kind}, got {value.dtype}'
    if pointer:
        assert isinstance(value, np.ndarray), f'{what} must be an array'
        assert value.flags.c_contiguous, f'{what} must be contiguous'
        return ctypes.c_void_p(value.ctypes.data)
    assert not isinstance(value, np.ndarray), f'{what} must be a scalar'
    return SCALARS[kind](value.item())
