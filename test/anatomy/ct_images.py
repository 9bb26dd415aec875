"""Small CTs written to files of every format, in any orientation."""

import numpy as np
import SimpleITK as sitk

FORMATS = ('ct.nii', 'ct.nii.gz', 'ct.nrrd', 'ct.nhdr', 'ct.mha', 'ct.mhd')
SIZE = (7, 9, 11)  # image axes 0, 1, 2: all different, so that a swapped axis shows
MARK = (2, 6, 3)  # far from every symmetry
MARK_HU = 1234


def make_image(
    spacing_mm=(4.0, 3.0, 2.5), origin_mm=(-12.0, 30.0, -55.0), direction=None, size=SIZE
):
    """A water block in air with one bright voxel at MARK."""
    hu = np.full(size[::-1], -1000, np.int16)
    hu[1:-1, 1:-1, 1:-1] = 0
    hu[MARK[::-1]] = MARK_HU
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing([float(s) for s in spacing_mm])
    image.SetOrigin([float(o) for o in origin_mm])
    if direction is not None:
        image.SetDirection([float(c) for c in np.ravel(direction)])
    return image


def marked_patient_m(image):
    """Where SimpleITK itself puts the marked voxel, in metres."""
    return 1e-3 * np.array(image.TransformIndexToPhysicalPoint(MARK))


def found_patient_m(volume):
    """Where the marked voxel of a volume that was read lies."""
    (index_zyx,) = np.argwhere(volume.hu == MARK_HU)
    return volume.index_to_patient_m(index_zyx[::-1])


def _slice(image, k):
    """Slice k without a direction of its own: an oblique one may have no inverse in 2D."""
    flat = sitk.ExtractImageFilter.DIRECTIONCOLLAPSETOIDENTITY
    return sitk.Extract(image, (*image.GetSize()[:2], 0), (0, 0, k), flat)


def write_series(image, folder, uid='1.2.826.0.1.3680043.2.1125.1', modality='CT', stem='slice'):
    """Write an image as one DICOM file a slice and return the files in order of position."""
    folder.mkdir(exist_ok=True)
    direction = np.reshape(image.GetDirection(), (3, 3))
    orientation = '\\'.join(f'{c:.12g}' for c in [*direction[:, 0], *direction[:, 1]])
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    files = []
    for k in range(image.GetDepth()):
        part = _slice(image, k)
        position = image.TransformIndexToPhysicalPoint((0, 0, k))
        tags = {
            '0008|0008': 'ORIGINAL\\PRIMARY\\AXIAL',
            '0008|0016': '1.2.840.10008.5.1.4.1.1.2',
            '0008|0018': f'{uid}.{k + 1}',
            '0008|0060': modality,
            '0008|103e': f'{stem} series',
            '0018|0050': f'{image.GetSpacing()[2]:.12g}',
            '0020|000d': '1.2.826.0.1.3680043.2.1125.0',
            '0020|000e': uid,
            '0020|0013': str(k + 1),
            '0020|0032': '\\'.join(f'{p:.12g}' for p in position),
            '0020|0037': orientation,
            '0028|1052': '0',
            '0028|1053': '1',
        }
        for tag, value in tags.items():
            part.SetMetaData(tag, value)
        files.append(folder / f'{stem}{k:03d}.dcm')
        writer.SetFileName(str(files[-1]))
        writer.Execute(part)
    return files
