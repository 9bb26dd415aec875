"""Reading one DICOM series from a folder, after checking that its slices make a volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

_POSITION, _ORIENTATION = '0020|0032', '0020|0037'
_MODALITY, _DESCRIPTION = '0008|0060', '0008|103e'


def read_series(folder: Path) -> sitk.Image:
    """Read the only DICOM CT series of a folder as a 3-D image in HU.

    Raises:
        ValueError: no series, several series, not a CT, or slices that are missing, double,
            damaged, turned against each other or sheared by a gantry tilt.
    """
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not series:
        raise ValueError(f'{folder} holds no DICOM image; pass the folder that holds the slices')
    if len(series) > 1:
        found = '; '.join(_describe(folder, uid) for uid in series)
        raise ValueError(
            f'{folder} must hold one DICOM series, got {len(series)}: {found}; '
            'move the one to use to a folder of its own'
        )
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])
    _check_slices(folder, [_header(file) for file in files])
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    try:
        return reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(
            f'{folder}: a slice cannot be read, it is truncated or of another size ({reason}); '
            'export the series again'
        ) from error


def _describe(folder: Path, uid: str) -> str:
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
    header = _header(files[0])
    text = header.GetMetaData(_DESCRIPTION).strip() if header.HasMetaDataKey(_DESCRIPTION) else ''
    return f'{text or uid} ({len(files)} files, {Path(files[0]).name} ...)'


def _header(file: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise ValueError(f'{file} is a damaged DICOM file; export the series again') from error
    return reader


def _numbers(header: sitk.ImageFileReader, tag: str) -> NDArray[np.float64]:
    if not header.HasMetaDataKey(tag):
        raise ValueError(
            f'{header.GetFileName()} lacks the DICOM attribute ({tag.replace("|", ",")}) that '
            'places a slice in the patient; only original or reformatted CT slices can be read'
        )
    return np.array([float(part) for part in header.GetMetaData(tag).split('\\')])


def _check_slices(folder: Path, headers: list[sitk.ImageFileReader]) -> None:
    first = headers[0]
    modality = first.GetMetaData(_MODALITY).strip() if first.HasMetaDataKey(_MODALITY) else '?'
    if modality != 'CT':
        raise ValueError(f'{folder} must hold a CT series, got modality {modality!r}')
    if len(headers) < 2:
        raise ValueError(
            f'{folder} must hold a series of 2 or more slices, got 1; multi-frame files are '
            'not read, convert them to NIfTI'
        )
    if any(header.GetNumberOfComponents() != 1 for header in headers):
        raise ValueError(f'{folder} holds colour pictures (secondary capture), not CT slices')
    orientations = np.array([_numbers(header, _ORIENTATION) for header in headers])
    if np.abs(orientations - orientations[0]).max() > 1e-3:
        raise ValueError(f'{folder} mixes slice orientations; remove the localizer (scout) images')
    positions = np.array([_numbers(header, _POSITION) for header in headers])
    _check_positions(folder, positions, np.cross(orientations[0, :3], orientations[0, 3:]))


def _check_positions(folder: Path, positions_mm: NDArray, normal: NDArray) -> None:
    """Check that slice corners [mm], shape (N, 3), step evenly along the normal, shape (3,)."""
    offsets = positions_mm - positions_mm[0]
    along = np.sort(offsets @ normal)
    steps = np.diff(along)
    typical = float(np.median(steps))
    if steps.min() < 0.01:
        raise ValueError(
            f'{folder} holds several slices at one position ({len(along)} files); it mixes time '
            'points or reconstructions, keep one of them'
        )
    if np.any(np.abs(steps - typical) > 0.1 * typical + 0.01):
        worst = int(np.argmax(np.abs(steps - typical)))
        raise ValueError(
            f'{folder}: slices must be evenly spaced ({typical:.4g} mm), '
            f'got {steps[worst]:.4g} mm after slice {worst + 1} of {len(along)}; '
            'a slice is missing, export the series again'
        )
    aside = offsets - np.outer(offsets @ normal, normal)
    if np.abs(aside).max() > 0.01 * np.ptp(along) + 0.01:
        raise ValueError(
            f'{folder}: slices are shifted sideways by {np.abs(aside).max():.4g} mm (gantry '
            'tilt); resample to a rectangular grid first'
        )
