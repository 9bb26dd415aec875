"""Where kernels run: a small surface that CuPy fills, and anything else that runs CUDA C may."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from synthex_ros.errors import SynthexError
from synthex_ros.xray.cuda.source import KernelFile

BLOCK = (32, 8, 1)

NEXT_STEP = (
    'install it with `pip install "synthex_ros[gpu]"` on a machine with an NVIDIA GPU and driver, '
    'or set compute: cpu'
)

Array = Any
"""An array on a device: numpy's shape and dtype, its memory elsewhere."""


class GpuMissingError(SynthexError):
    """CUDA was asked for where there is no CuPy, no driver or no GPU."""


class Device(Protocol):
    """Holds arrays and launches kernels on them."""

    def upload(self, array: NDArray) -> Array:
        """Return a C-contiguous copy on the device."""
        ...

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an array of undefined content."""
        ...

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an array of zeros."""
        ...

    def download(self, array: Array) -> NDArray:
        """Return a copy in the memory of the host; waits for the kernels that write it."""
        ...

    def launch(
        self,
        file: KernelFile,
        kernel: str,
        threads: tuple[int, int, int],
        arguments: tuple[Any, ...],
        block: tuple[int, int, int] = BLOCK,
    ) -> None:
        """Run a kernel on at least `threads` (x, y, z) threads.

        Args:
            file: what it is compiled from.
            kernel: its name.
            threads: x, y, z; rounded up to whole blocks.
            arguments: arrays of this device and numpy scalars of the parameters' types.
            block: threads of a block.
        """
        ...


class CupyDevice:
    """A CUDA GPU through CuPy; kernels are compiled by NVRTC when they are first launched."""

    def __init__(self) -> None:
        self._cupy = _import_cupy()
        self._modules: dict[KernelFile, Any] = {}

    @property
    def name(self) -> str:
        """Name of the GPU."""
        properties = self._cupy.cuda.runtime.getDeviceProperties(self._cupy.cuda.Device().id)
        return properties['name'].decode()

    def upload(self, array: NDArray) -> Array:
        """Return a C-contiguous copy on the GPU."""
        return self._cupy.asarray(np.ascontiguousarray(array))

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an array of undefined content, from CuPy's memory pool."""
        return self._cupy.empty(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an array of zeros, from CuPy's memory pool."""
        return self._cupy.zeros(shape, dtype)

    def download(self, array: Array) -> NDArray:
        """Return a copy in the memory of the host."""
        return self._cupy.asnumpy(array)

    def synchronize(self) -> None:
        """Wait until all kernels have ended."""
        self._cupy.cuda.Device().synchronize()

    def launch(
        self,
        file: KernelFile,
        kernel: str,
        threads: tuple[int, int, int],
        arguments: tuple[Any, ...],
        block: tuple[int, int, int] = BLOCK,
    ) -> None:
        """Run a kernel; see `Device`."""
        if file not in self._modules:
            self._modules[file] = self._cupy.RawModule(
                code=file.source(), options=file.options, backend='nvrtc'
            )
        function = self._modules[file].get_function(kernel)
        function(blocks_of(threads, block), block, arguments)


def blocks_of(threads: tuple[int, int, int], block: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return how many blocks (x, y, z) cover the threads."""
    x, y, z = (-(-count // side) for count, side in zip(threads, block, strict=True))
    return x, y, z


def _import_cupy() -> Any:
    """Return the module cupy where a GPU answers.

    Raises:
        GpuMissingError: there is no CuPy, no driver or no GPU.
    """
    try:
        import cupy
    except ImportError as error:
        raise GpuMissingError(f'compute: cuda needs CuPy, got: {error}; {NEXT_STEP}') from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise GpuMissingError(f'compute: cuda needs a GPU, got: {error}; {NEXT_STEP}') from error
    if not count:
        raise GpuMissingError(f'compute: cuda needs a GPU, got none; {NEXT_STEP}')
    return cupy
