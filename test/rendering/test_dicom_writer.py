"""DICOM files, read back by two readers."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from synthex_ros.rendering.dicom_writer import DERIVATION, XA_IMAGE_STORAGE, write_dicom


@pytest.fixture(scope='module')
def still(studio, tmp_path_factory):
    frame = studio.with_(
        lao_deg=30.0, cran_deg=-15.0, device='continuum', field_px=(10, 120, 5, 100)
    ).frame()
    path = tmp_path_factory.mktemp('dicom') / 'image.dcm'
    write_dicom(path, [frame])
    return frame, path


@pytest.fixture(scope='module')
def cine(studio, tmp_path_factory):
    frames = list(studio.with_(frames=3, sweep_deg=-30.0, frame_rate_hz=12.5).frames())
    path = tmp_path_factory.mktemp('dicom') / 'cine.dcm'
    write_dicom(path, frames)
    return frames, path


def test_two_readers_see_the_mirrored_counts(still):
    frame, path = still
    mirrored = frame.counts[:, ::-1]
    np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, mirrored)
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(np.squeeze(sitk.GetArrayFromImage(image)), mirrored)
    assert image.GetMetaData('0008|0060') == 'XA'


def test_identity_is_clearly_synthetic(still):
    data = pydicom.dcmread(still[1])
    assert data.SOPClassUID == data.file_meta.MediaStorageSOPClassUID == XA_IMAGE_STORAGE
    assert data.PatientName == 'SYNTHETIC^PHANTOM'
    assert data.BurnedInAnnotation == 'NO'
    assert data.DerivationDescription == DERIVATION
    assert list(data.ImageType) == ['DERIVED', 'PRIMARY', 'SINGLE PLANE']
    assert data.PhotometricInterpretation == 'MONOCHROME2'
    assert (data.PixelIntensityRelationship, data.PixelIntensityRelationshipSign) == ('LIN', 1)


def test_geometry_and_technique_are_in_the_units_of_the_standard(still):
    frame, path = still
    data = pydicom.dcmread(path)
    assert (data.PositionerPrimaryAngle, data.PositionerSecondaryAngle) == (30, -15)
    assert data.DistanceSourceToDetector == pytest.approx(1020)
    assert data.DistanceSourceToPatient == pytest.approx(700)
    assert data.EstimatedRadiographicMagnificationFactor == pytest.approx(1020 / 700)
    np.testing.assert_allclose(data.ImagerPixelSpacing, 2.328)
    assert data.KVP == 80
    assert data.ExposureInuAs == 100
    assert data.AveragePulseWidth == 8
    assert data.XRayTubeCurrentInuA == pytest.approx(12_500)
    assert list(data.FilterMaterial) == ['ALUMINUM', 'COPPER']
    np.testing.assert_allclose(data.FilterThicknessMaximum, [3.0, 0.1])
    product = float(data.ImageAndFluoroscopyAreaDoseProduct) * 1e-5
    assert product == pytest.approx(frame.radiograph.kerma_area_product_gy_m2)


def test_collimator_edges_are_the_shut_lines_beside_the_field(still):
    frame, path = still
    data = pydicom.dcmread(path)
    stored_open = frame.open_field[:, ::-1]
    columns = np.flatnonzero(stored_open.any(axis=0)) + 1
    rows = np.flatnonzero(stored_open.any(axis=1)) + 1
    assert data.CollimatorLeftVerticalEdge == columns[0] - 1
    assert data.CollimatorRightVerticalEdge == columns[-1] + 1
    assert data.CollimatorUpperHorizontalEdge == rows[0] - 1
    assert data.CollimatorLowerHorizontalEdge == rows[-1] + 1


@pytest.mark.parametrize(
    ('lao_deg', 'cran_deg', 'rows', 'columns'),
    [(0, 0, 'L', 'F'), (90, 0, 'P', 'F'), (-90, 0, 'A', 'F'), (30, 0, 'LP', 'F')],
)
def test_patient_orientation_turns_with_the_c_arm(
    studio, tmp_path, lao_deg, cran_deg, rows, columns
):
    """Seen from the detector: in front, the left is on the right; from the left side (LAO 90)
    the back is on the right, from the right side the chest is.
    """  # fmt: skip
    frame = studio.with_(lao_deg=float(lao_deg), cran_deg=float(cran_deg)).frame()
    write_dicom(tmp_path / 'x.dcm', [frame])
    assert list(pydicom.dcmread(tmp_path / 'x.dcm').PatientOrientation) == [rows, columns]


def test_cine_is_one_file_with_offsets_from_its_first_view(cine):
    frames, path = cine
    data = pydicom.dcmread(path)
    assert data.NumberOfFrames == 3
    np.testing.assert_array_equal(data.pixel_array, [frame.counts[:, ::-1] for frame in frames])
    stack = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    np.testing.assert_array_equal(stack, data.pixel_array)
    assert data.FrameTime == 80
    assert data.FrameIncrementPointer == pydicom.datadict.tag_for_keyword('FrameTime')
    assert data.PositionerMotion == 'DYNAMIC'
    np.testing.assert_allclose(data.PositionerPrimaryAngleIncrement, [0, -15, -30])
    np.testing.assert_allclose(data.PositionerSecondaryAngleIncrement, [0, 0, 0])
    assert data.ExposureInuAs == 300


def test_same_request_same_file(studio, tmp_path):
    for name in 'ab':
        write_dicom(tmp_path / name, [studio.frame()])
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()
    write_dicom(tmp_path / 'c', [studio.with_(seed=1).frame()])
    uids = {pydicom.dcmread(tmp_path / name).SOPInstanceUID for name in 'ac'}
    assert len(uids) == 2
