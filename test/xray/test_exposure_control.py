"""Exposure control: the detector gets its dose behind thick and thin patients alike."""

import numpy as np
import pytest

from synthex_ros.geometry import CArm
from synthex_ros.xray.beam import Technique
from synthex_ros.xray.collimator import Collimator
from synthex_ros.xray.exposure_control import ExposureControl

VIEW = CArm().view(0.0, 0.0)
MATERIALS = ('water',)
DISTANCE_M = VIEW.geometry.source_to_detector_m


def slab(thickness_cm, bare_share=0.0):
    """A water slab, the image's upper part bare."""
    rows, columns = VIEW.geometry.shape_px
    area = np.full((1, rows, columns), thickness_cm, np.float32)
    area[:, : int(bare_share * rows)] = 0
    return area


def kerma_gy(technique, water_cm):
    """Detector air kerma behind water, by the spectrum's own filter."""
    beam = technique.spectrum().filtered({'water': 10 * water_cm})
    return beam.air_kerma_gy(technique.charge_mas, DISTANCE_M)


@pytest.mark.parametrize('thickness_cm', [5.0, 15.0, 25.0])
@pytest.mark.parametrize('voltage', [60.0, 81.5, 120.0])
def test_detector_kerma_is_the_set_one(thickness_cm, voltage):
    control = ExposureControl(40e-9, charge_limits_mas=(1e-5, 1e3))
    chosen = control.regulated(Technique(voltage), slab(thickness_cm), MATERIALS, DISTANCE_M)
    assert kerma_gy(chosen, thickness_cm) == pytest.approx(40e-9, rel=1e-3)
    assert chosen.tube_voltage_kv == voltage


def test_bare_beam_beside_the_patient_changes_nothing():
    control = ExposureControl()
    whole = control.regulated(Technique(), slab(20.0), MATERIALS, DISTANCE_M)
    beside = control.regulated(Technique(), slab(20.0, bare_share=0.4), MATERIALS, DISTANCE_M)
    assert beside.charge_mas == pytest.approx(whole.charge_mas)


def test_only_the_open_field_is_measured():
    """Bare beam behind a blade changes nothing; without the blade it would rule."""
    area = slab(20.0, bare_share=0.6)
    whole = ExposureControl().regulated(Technique(), slab(20.0), MATERIALS, DISTANCE_M)
    shut = ExposureControl(collimator=Collimator(top=0.6))
    assert shut.regulated(Technique(), area, MATERIALS, DISTANCE_M) == whole
    led_astray = ExposureControl().regulated(Technique(), area, MATERIALS, DISTANCE_M)
    assert led_astray.charge_mas < 0.2 * whole.charge_mas


def test_a_field_smaller_than_a_pixel_is_measured_where_it_is():
    blades = Collimator(0.4999, 0.5001, 0.9999, 1.0)
    chosen = ExposureControl(collimator=blades).regulated(
        Technique(), slab(20.0), MATERIALS, DISTANCE_M
    )
    whole = ExposureControl().regulated(Technique(), slab(20.0), MATERIALS, DISTANCE_M)
    assert chosen.charge_mas == pytest.approx(whole.charge_mas)


def test_charge_stays_within_the_generator():
    control = ExposureControl(charge_limits_mas=(0.01, 0.5))
    assert control.regulated(Technique(), slab(60.0), MATERIALS, DISTANCE_M).charge_mas == 0.5
    assert control.regulated(Technique(), slab(0.1), MATERIALS, DISTANCE_M).charge_mas == 0.01


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'detector_kerma_gy': 30.0}, '30 nGy is 30e-9'),
        ({'field_share': 0.0}, 'field_share must be in'),
        ({'charge_limits_mas': (2.0, 1.0)}, 'charge_limits_mas must be'),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ExposureControl(**arguments)
