"""Dose quantities: invariance with distance, inverse square, collimation."""

import math

import pytest

from synthex_ros.geometry import CArm
from synthex_ros.xray.dose import entrance_kerma_gy, field_area_m2, kerma_area_product_gy_m2
from synthex_ros.xray.spectrum import tungsten_spectrum

GEOMETRY = CArm().geometry()
SPECTRUM = tungsten_spectrum(80.0)


def test_field_area_is_the_detectors_and_shrinks_towards_the_tube():
    side_m = 1536 * 194e-6
    assert field_area_m2(GEOMETRY) == pytest.approx(side_m**2)
    assert field_area_m2(GEOMETRY, distance_m=0.51) == pytest.approx(side_m**2 / 4)
    assert field_area_m2(GEOMETRY, (0, 256, 0, 512)) == pytest.approx(side_m**2 / 2)


def test_kerma_area_product_is_the_same_at_every_distance():
    product = kerma_area_product_gy_m2(SPECTRUM, 0.1, GEOMETRY)
    for distance in (0.3, 0.7, 1.02):
        kerma = SPECTRUM.air_kerma_gy(0.1, distance)
        assert product == pytest.approx(kerma * field_area_m2(GEOMETRY, distance_m=distance))


def test_kerma_area_product_follows_charge_and_collimation():
    whole = kerma_area_product_gy_m2(SPECTRUM, 0.1, GEOMETRY)
    assert kerma_area_product_gy_m2(SPECTRUM, 0.3, GEOMETRY) == pytest.approx(3 * whole)
    quarter = kerma_area_product_gy_m2(SPECTRUM, 0.1, GEOMETRY, (128, 384, 128, 384))
    assert quarter == pytest.approx(whole / 4)
    assert kerma_area_product_gy_m2(SPECTRUM, 0.1, GEOMETRY, (5, 5, 0, 512)) == 0


def test_entrance_kerma_is_the_beam_at_the_skin():
    at_skin = entrance_kerma_gy(SPECTRUM, 0.1, 0.6)
    assert at_skin == pytest.approx(SPECTRUM.air_kerma_gy(0.1, 1.0) / 0.36)
    assert math.isnan(entrance_kerma_gy(SPECTRUM, 0.1, None))


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: field_area_m2(GEOMETRY, (10, 5, 0, 9)), 'in order'),
        (lambda: field_area_m2(GEOMETRY, distance_m=0), 'must be positive'),
        (lambda: entrance_kerma_gy(SPECTRUM, 1.0, 0.0), 'must be positive'),
    ],
)
def test_errors_name_the_slip(call, message):
    with pytest.raises(ValueError, match=message):
        call()
