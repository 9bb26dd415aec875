"""X-ray angiography images (DICOM PS3.3 A.14) of rendered frames, single or multi-frame.

Stored columns run towards the patient's left in a frontal view, as on a fluoroscopy screen: the
rendered image, seen from the tube, is mirrored, and Field of View Horizontal Flip says so. Pixel
values are detector counts, larger = more X-rays, MONOCHROME2 with relationship LIN and sign +1.
Positioner angles are those of C.8.7.5: LAO and CRAN positive. Identifiers come from the settings
and the CT, so the same request makes the same file.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synthex_ros import __version__
from synthex_ros.rendering.display import window
from synthex_ros.rendering.frame import RenderedFrame
from synthex_ros.xray.realism import realism

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

XA_IMAGE_STORAGE = '1.2.840.10008.5.1.4.1.1.12.1'
DERIVATION = 'Synthetic X-ray image computed from a CT by synthex_ros; not for clinical use'

_MATERIALS = {'Al': 'ALUMINUM', 'Cu': 'COPPER'}
_DGY_CM2_PER_GY_M2 = 1e5
_AXES = (('L', 'R'), ('P', 'A'), ('H', 'F'))
_MIN_COSINE = 0.1


def write_dicom(path: Path, frames: Sequence[RenderedFrame]) -> None:
    """Write frames of one request as one file.

    Args:
        path: file to write.
        frames: one or more frames of one size, in order.

    Raises:
        OSError: the file cannot be written.
    """
    dataset = make_dataset(frames)
    dataset.save_as(path, enforce_file_format=True)


def make_dataset(frames: Sequence[RenderedFrame]) -> Dataset:
    """Return the DICOM data set of frames, with its file meta information."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    data, first = Dataset(), frames[0]
    instance = _uid(first, 'instance', len(frames))
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = UID(XA_IMAGE_STORAGE)
    data.file_meta.MediaStorageSOPInstanceUID = UID(instance)
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SpecificCharacterSet = 'ISO_IR 192'
    data.SOPClassUID, data.SOPInstanceUID = XA_IMAGE_STORAGE, instance
    _identify(data, first)
    _describe_image(data, first)
    _describe_acquisition(data, first, len(frames))
    _describe_positioner(data, frames)
    if first.settings.field_px:
        _describe_collimator(data, first)
    if len(frames) > 1:
        _describe_cine(data, first, len(frames))
    _set_pixels(data, [np.ascontiguousarray(frame.counts[:, ::-1]) for frame in frames], first)
    return data


def _uid(frame: RenderedFrame, role: str, count: int = 0) -> str:
    """Return a UID under the UUID root 2.25 (PS3.5 B.2) that is a hash of the request."""
    request = '' if role == 'study' else json.dumps(frame.origin(), sort_keys=True)
    text = f'{role} {frame.volume_sha256} {request} {frame.index} {count}'
    if role in ('study', 'series'):
        text = f'{role} {frame.volume_sha256} {request}'
    return f'2.25.{uuid.uuid5(uuid.NAMESPACE_URL, "synthex_ros " + text).int}'


def _identify(data: Dataset, frame: RenderedFrame) -> None:
    """Fill the patient, study, series and equipment modules: clearly nobody."""
    data.PatientName, data.PatientID = 'SYNTHETIC^PHANTOM', 'SYNTHETIC'
    data.PatientBirthDate, data.PatientSex = '', 'O'
    data.PatientComments = 'Synthetic image, no patient'
    data.StudyInstanceUID, data.SeriesInstanceUID = _uid(frame, 'study'), _uid(frame, 'series')
    data.StudyDate = data.StudyTime = data.AccessionNumber = data.ReferringPhysicianName = ''
    data.StudyID, data.SeriesNumber, data.InstanceNumber = 'SYNTHETIC', 1, frame.index + 1
    data.StudyDescription = 'SYNTHETIC, NOT FOR CLINICAL USE'
    data.SeriesDescription = f'{frame.settings.anatomy[-40:]}, seed {frame.settings.seed}'
    data.Modality, data.Laterality = 'XA', ''
    data.Manufacturer, data.ManufacturerModelName = 'synthex_ros', 'X-ray simulator'
    data.SoftwareVersions, data.DeviceSerialNumber = __version__, 'none'
    data.PatientPosition = 'HFS'


def _describe_image(data: Dataset, frame: RenderedFrame) -> None:
    data.ImageType = ['DERIVED', 'PRIMARY', 'SINGLE PLANE']
    data.DerivationDescription = DERIVATION
    data.ImageComments = 'Not for clinical use'
    data.BurnedInAnnotation, data.LossyImageCompression = 'NO', '00'
    data.ContentQualification = 'RESEARCH'
    data.PatientOrientation = patient_orientation(frame)
    data.PixelIntensityRelationship, data.PixelIntensityRelationshipSign = 'LIN', 1
    low, high = window(frame.counts, frame.open_field)
    data.WindowCenter, data.WindowWidth = _ds((low + high) / 2), _ds(max(high - low, 1))


def _describe_acquisition(data: Dataset, frame: RenderedFrame, count: int) -> None:
    """Fill the X-ray acquisition module (C.8.7.2) and the dose of the whole run."""
    technique, geometry = frame.radiograph.technique, frame.radiograph.view.geometry
    pulse_ms = 1e3 * technique.pulse_length_s
    total_mas = technique.charge_mas * count
    data.KVP, data.RadiationSetting = _ds(technique.tube_voltage_kv), 'GR' if count == 1 else 'SC'
    data.XRayTubeCurrent = round(1e3 * technique.charge_mas / pulse_ms)
    data.XRayTubeCurrentInuA = _ds(1e6 * technique.charge_mas / pulse_ms)
    data.ExposureTime = round(pulse_ms * count)
    data.ExposureTimeInuS = _ds(1e3 * pulse_ms * count)
    data.Exposure, data.ExposureInuAs = round(total_mas), round(1e3 * total_mas)
    data.AveragePulseWidth = _ds(pulse_ms)
    filters = [(name, mm) for name, mm in technique.filtration_mm if mm > 0]
    data.FilterType = 'FLAT' if filters else 'NONE'
    if filters:
        data.FilterMaterial = [_MATERIALS[name] for name, _ in filters]
        data.FilterThicknessMinimum = data.FilterThicknessMaximum = [_ds(mm) for _, mm in filters]
    pitch_mm = [_ds(1e3 * pitch) for pitch in geometry.pixel_pitch_m]
    data.ImagerPixelSpacing = pitch_mm
    sides = [
        round(1e3 * p * n) for p, n in zip(geometry.pixel_pitch_m, geometry.shape_px, strict=True)
    ]
    data.FieldOfViewShape, data.FieldOfViewDimensions = 'RECTANGLE', sides[::-1]
    data.FieldOfViewOrigin, data.FieldOfViewRotation = ['0', '0'], '0'
    data.FieldOfViewHorizontalFlip = 'YES'
    data.DetectorType = 'SCINTILLATOR'
    with_grid = frame.settings.grid != 'none' and realism(frame.settings.realism).scatter
    data.Grid = 'IN' if with_grid else 'NONE'
    if frame.settings.image_intensifier:
        data.IntensifierSize = _ds(float(min(sides)))
        data.FieldOfViewShape, data.FieldOfViewDimensions = 'ROUND', min(sides)
    data.ImageAndFluoroscopyAreaDoseProduct = _ds(
        frame.radiograph.kerma_area_product_gy_m2 * count * _DGY_CM2_PER_GY_M2
    )
    data.CommentsOnRadiationDose = (
        f'Air kerma {1e3 * frame.radiograph.air_kerma_gy * count:.6g} mGy '
        '15 cm before the isocentre, without backscatter'
    )


def _describe_positioner(data: Dataset, frames: Sequence[RenderedFrame]) -> None:
    """Fill the XA positioner module (C.8.7.5); increments are offsets from the first frame."""
    first = frames[0]
    detector_m = first.radiograph.view.geometry.source_to_detector_m
    isocenter_m = first.settings.source_to_isocenter_m
    data.DistanceSourceToDetector = _ds(1e3 * detector_m)
    data.DistanceSourceToPatient = _ds(1e3 * isocenter_m)
    data.EstimatedRadiographicMagnificationFactor = _ds(detector_m / isocenter_m)
    data.PositionerType = 'CARM'
    data.PositionerPrimaryAngle = _ds(_wrapped(first.primary_deg))
    data.PositionerSecondaryAngle = _ds(first.secondary_deg)
    moves = len({(frame.primary_deg, frame.secondary_deg) for frame in frames}) > 1
    data.PositionerMotion = 'DYNAMIC' if moves else 'STATIC'
    if moves:
        data.PositionerPrimaryAngleIncrement = [
            _ds(frame.primary_deg - first.primary_deg) for frame in frames
        ]
        data.PositionerSecondaryAngleIncrement = [
            _ds(frame.secondary_deg - first.secondary_deg) for frame in frames
        ]


def _describe_collimator(data: Dataset, frame: RenderedFrame) -> None:
    """Fill the X-ray collimator module: the last shut column or row beside the field, from 1."""
    top, bottom, left, right = frame.settings.field_px
    columns = frame.counts.shape[1]
    data.CollimatorShape = 'RECTANGULAR'
    data.CollimatorLeftVerticalEdge = columns - right
    data.CollimatorRightVerticalEdge = columns - left + 1
    data.CollimatorUpperHorizontalEdge, data.CollimatorLowerHorizontalEdge = top, bottom + 1


def _describe_cine(data: Dataset, frame: RenderedFrame, count: int) -> None:
    from pydicom.datadict import tag_for_keyword

    rate = frame.settings.frame_rate_hz
    data.NumberOfFrames = count
    data.FrameIncrementPointer = tag_for_keyword('FrameTime')
    data.FrameTime = _ds(1e3 / rate)
    data.CineRate = data.RecommendedDisplayFrameRate = max(1, round(rate))


def _set_pixels(data: Dataset, images: list[NDArray[np.uint16]], frame: RenderedFrame) -> None:
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, 'MONOCHROME2'
    data.Rows, data.Columns = frame.counts.shape
    bits = frame.settings.detector_bits
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, bits, bits - 1
    data.PixelRepresentation = 0
    data.add_new('PixelData', 'OW', b''.join(image.astype('<u2').tobytes() for image in images))


def patient_orientation(frame: RenderedFrame) -> list[str]:
    """Return where stored rows and columns run, such as ['L', 'F'] in a frontal view."""
    turn = frame.radiograph.view.world_from_source[:3, :3]
    along_rows = -turn[:, 0]
    return [_letters(along_rows), _letters(turn[:, 1])]


def _letters(direction: NDArray[np.float64]) -> str:
    order = np.argsort(-np.abs(direction))
    return ''.join(
        _AXES[axis][int(direction[axis] < 0)]
        for axis in order
        if abs(direction[axis]) >= _MIN_COSINE
    )


def _wrapped(angle_deg: float) -> float:
    """Return an angle in DICOM's range of -180 to 180 degrees."""
    return (angle_deg + 180) % 360 - 180 if abs(angle_deg) > 180 else angle_deg


def _ds(value: float) -> str:
    """Return a decimal string, at most 16 characters (PS3.5 6.2)."""
    return f'{value:.8g}'
