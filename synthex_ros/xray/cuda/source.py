"""The kernels' source files and how they are compiled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = Path(__file__).with_name('data')


@dataclass(frozen=True)
class KernelFile:
    """A file of CUDA C kernels.

    Attributes:
        name: file name without suffix.
        lanes: materials that lie side by side in a voxel, for files that read voxels.
        exact: without fused multiply-add, so that equal expressions give equal numbers.
    """

    name: str
    lanes: int = 0
    exact: bool = False

    @cached_property
    def options(self) -> tuple[str, ...]:
        """Options of NVRTC."""
        options = ['--std=c++14']
        if self.lanes:
            options.append(f'-DLANES={self.lanes}')
        if self.exact:
            options.append('--fmad=false')
        return tuple(options)

    def source(self) -> str:
        """Return the text of the file."""
        return (FOLDER / f'{self.name}.cu').read_text(encoding='utf-8')


SIGNAL = KernelFile('signal')
MESHES = KernelFile('meshes', exact=True)
DETECTOR = KernelFile('detector')


def projection(lanes: int) -> KernelFile:
    """Return the file of the kernels that read voxels of so many lanes (1, 4 or 8)."""
    return KernelFile('project', lanes)


ALL = (projection(1), projection(4), projection(8), SIGNAL, MESHES, DETECTOR)
