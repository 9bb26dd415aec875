"""Reading a CT from NIfTI, NRRD, MetaImage or a DICOM folder into `patient_lps`, metres, HU.

SimpleITK gives every format in DICOM's left-posterior-superior axes and millimetres, also NIfTI,
whose own axes are right-anterior-superior.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from synthex_ros.anatomy.dicom import read_series
from synthex_ros.anatomy.grid import MM, check_direction, check_spacing, patient_pose, reorient
from synthex_ros.anatomy.nifti_check import count_not_finite
from synthex_ros.anatomy.structures import TOTALSEGMENTATOR_IDS, present_structures
from synthex_ros.anatomy.volume import PADDING_HU, Volume

SUFFIXES = ('.nii', '.nii.gz', '.nrrd', '.nhdr', '.mha', '.mhd')
"""File names that can be read; a folder is read as a DICOM series."""

_ALLOWED = f'a folder with one DICOM series or a file ending in {", ".join(SUFFIXES)}'
_LABEL_OFFSET_MM = 0.1


def read_volume(
    path: str | Path,
    labels: str | Path | None = None,
    structures: dict[str, int] | None = None,
) -> Volume:
    """Read a CT of any orientation, with its segmentation if there is one.

    The array axes are permuted and flipped to those nearest to left, posterior, superior; an
    oblique rotation that remains stays in `Volume.patient_from_grid`.

    Args:
        path: NIfTI, NRRD or MetaImage file, or a folder with one DICOM series; HU.
        labels: label image on the same grid, one integer id a voxel, or None.
        structures: ids by structure name; default: ids of TotalSegmentator 2, task 'total'.

    Raises:
        FileNotFoundError: there is nothing at `path` or `labels`.
        ValueError: it cannot be read, is no 3-D CT, or its grid or values are implausible.
    """
    path = Path(path)
    hu, spacing_mm, origin_mm, direction = _load(path)
    hu = to_hu(hu, str(path))
    ids = None
    if labels is not None:
        ids = _matching_labels(Path(labels), path, hu.shape, (spacing_mm, origin_mm, direction))
    table = TOTALSEGMENTATOR_IDS if structures is None else structures
    return Volume(
        hu,
        tuple(spacing_mm * MM),
        patient_pose(origin_mm, direction),
        ids,
        {} if ids is None else present_structures(ids, table),
        path.name,
    )


def to_hu(values: NDArray, name: str) -> NDArray[np.int16]:
    """Return CT numbers as int16 with padding at `PADDING_HU`.

    Raises:
        ValueError: values are not finite or cannot be a CT in HU.
    """
    if values.dtype.kind == 'f' and not np.isfinite(values).all():
        count = int(np.count_nonzero(~np.isfinite(values)))
        raise ValueError(_not_finite(name, count, values.size))
    low, high = float(values.min()), float(values.max())
    if low >= 0 or high > 32767 or high - low < 10:
        raise ValueError(
            f'{name}: a CT in HU has air near -1000 and at most 32767, '
            f'got values from {low:g} to {high:g}{_value_slip(low, high)}'
        )
    if values.dtype.kind == 'f':
        values = np.rint(values)
    return np.maximum(values, PADDING_HU).astype(np.int16)


def _not_finite(name: str, count: int, voxels: int) -> str:
    return (
        f'{name}: CT numbers must be finite, got {count} NaN or infinite of {voxels} voxels; '
        f'replace them by {PADDING_HU} HU'
    )


def _value_slip(low: float, high: float) -> str:
    if high <= low:
        return '; the image is constant'
    if low >= -1 and high <= 1:
        return '; looks normalised, export HU instead'
    if low >= 0 and high <= 255:
        return '; looks like an 8-bit picture or a label image'
    if low >= 0:
        return (
            '; looks like raw stored values, apply the rescale slope and intercept (often -1024)'
        )
    return '; is it a CT?'


def _load(path: Path):
    """Return the checked, reoriented array (z, y, x), spacing [mm], origin [mm], direction."""
    if not path.exists():
        raise FileNotFoundError(f'no CT at {path}; expected {_ALLOWED}')
    if path.is_dir():
        image = read_series(path)
    elif path.name.lower().endswith(SUFFIXES):
        image = _read_file(path)
    else:
        raise ValueError(f'{path} must be {_ALLOWED}; a single DICOM slice: pass its folder')
    direction = np.reshape(image.GetDirection(), (3, 3))
    check_spacing(image.GetSpacing(), image.GetSize(), str(path))
    check_direction(direction, str(path))
    array = sitk.GetArrayViewFromImage(image)
    return reorient(array, image.GetSpacing(), image.GetOrigin(), direction)


def _read_file(path: Path) -> sitk.Image:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size = reader.GetSize()
        _check_kind(path, size, reader.GetNumberOfComponents(), reader.GetPixelID())
        if len(size) == 4:
            reader.SetExtractSize([*size[:3], 0])
        _check_complete(path, reader)
        return reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(
            f'{path} cannot be read; it is truncated, damaged or of another format ({reason}); '
            'copy or export it again'
        ) from error


def _check_kind(path: Path, size: tuple[int, ...], components: int, pixel_id: int) -> None:
    volume_like = len(size) == 3 or (len(size) == 4 and size[3] == 1)
    if not volume_like:
        hint = '; pick one time point' if len(size) == 4 else ''
        raise ValueError(
            f'{path}: a CT must be 3-D, got {len(size)}-D with {" x ".join(map(str, size))} '
            f'voxels{hint}'
        )
    if components != 1:
        raise ValueError(
            f'{path}: a CT must have one value a voxel, got {components}; '
            'this is a colour or vector image'
        )
    if pixel_id in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise ValueError(f'{path}: a CT must be real, got complex values; is it MR raw data?')
    if min(size[:3]) < 2:
        raise ValueError(f'{path}: a CT needs 2 or more voxels a side, got {size[:3]}')


def _check_complete(path: Path, reader: sitk.ImageFileReader) -> None:
    """Catch NIfTI files that end early, are damaged or hold NaN; SimpleITK puts zeros there."""
    if path.name.lower().endswith(('.nii', '.nii.gz')):
        count = count_not_finite(path)
        if count:
            raise ValueError(_not_finite(str(path), count, int(np.prod(reader.GetSize()))))
    if path.name.lower().endswith('.nii'):
        width = np.dtype(_PIXEL_BYTES[reader.GetPixelID()]).itemsize
        expected = int(np.prod(reader.GetSize())) * width
        if path.stat().st_size < expected:
            raise RuntimeError(f'{path.stat().st_size} bytes, expected more than {expected}')


_PIXEL_BYTES = {
    sitk.sitkInt8: 'i1',
    sitk.sitkUInt8: 'u1',
    sitk.sitkInt16: 'i2',
    sitk.sitkUInt16: 'u2',
    sitk.sitkInt32: 'i4',
    sitk.sitkUInt32: 'u4',
    sitk.sitkInt64: 'i8',
    sitk.sitkUInt64: 'u8',
    sitk.sitkFloat32: 'f4',
    sitk.sitkFloat64: 'f8',
}


def _matching_labels(labels: Path, path: Path, shape: tuple[int, ...], grid) -> NDArray[np.uint8]:
    ids, spacing_mm, origin_mm, direction = _load(labels)
    same = ids.shape == shape and np.allclose(origin_mm, grid[1], atol=_LABEL_OFFSET_MM)
    same = same and np.allclose(spacing_mm, grid[0], rtol=1e-3)
    if not (same and np.allclose(direction, grid[2], atol=1e-3)):
        raise ValueError(
            f'{labels} must lie on the grid of {path} {shape[::-1]}, got {ids.shape[::-1]} with '
            f'spacing {spacing_mm} mm and origin {origin_mm} mm; resample it to the CT first'
        )
    if ids.min() < 0 or ids.max() > 255 or np.any(ids != np.trunc(ids)):
        raise ValueError(
            f'{labels}: label ids must be integers of 0..255, got {ids.min():g} to {ids.max():g}'
        )
    return ids.astype(np.uint8)
