import hashlib
import itertools
import json
from importlib.resources import files

import numpy as np
import pytest

from synthex_ros.xray.attenuation import density_g_cm3, mass_attenuation_cm2_g
from synthex_ros.xray.detector import Detector
from synthex_ros.xray.spectrum import Spectrum, tungsten_spectrum

FILTERS = ({'Al': 3.0}, {'Al': 3.0, 'Cu': 0.1}, {'Al': 3.0, 'Cu': 0.9})


def absorbed_energy(spectrum, thickness_cm):
    """Energy absorbed by a CsI panel behind materials."""
    energies = spectrum.energies_kev
    depth = sum(
        cm * density_g_cm3(name) * mass_attenuation_cm2_g(name, energies)
        for name, cm in thickness_cm.items()
    )
    absorbed = spectrum.fluence_cm2_mas * Detector().efficiency(energies) * energies
    return np.sum(absorbed * np.exp(-depth))


def test_table_is_the_one_its_manifest_describes():
    folder = files('synthex_ros.xray') / 'data'
    manifest = json.loads((folder / 'tungsten.json').read_text(encoding='utf-8'))
    content = (folder / manifest['file']).read_bytes()
    assert hashlib.sha256(content).hexdigest() == manifest['sha256']


def test_beam_agrees_with_spekpy():
    # SpekPy 2.5.4: kvp=90, th=12, dk=0.5, z=100 cm, 4 mm Al.
    beam = tungsten_spectrum(90.0, {'Al': 4.0})
    assert beam.mean_energy_kev == pytest.approx(48.74, abs=0.1)
    assert beam.fluence_cm2_mas.sum() == pytest.approx(1.5498e8, rel=0.005)
    assert beam.air_kerma_gy(1.0, 1.0) == pytest.approx(68.37e-6, rel=0.015)
    assert beam.half_value_layer_mm('Al') == pytest.approx(3.994, rel=0.02)


def test_no_photon_exceeds_the_tube_voltage():
    for voltage in (40.0, 77.5, 120.0, 150.0):
        beam = tungsten_spectrum(voltage)
        energetic = beam.energies_kev > np.ceil(voltage)
        assert not beam.fluence_cm2_mas[energetic].any()
        assert beam.fluence_cm2_mas[beam.energies_kev < voltage - 1].all()


def test_voltage_between_table_rows_lies_between_them():
    low, middle, high = (tungsten_spectrum(kv).air_kerma_gy(1, 1) for kv in (70, 70.5, 71))
    assert middle == pytest.approx((low + high) / 2, rel=1e-9)


def test_filters_multiply():
    once = tungsten_spectrum(80.0, {'Al': 5.0})
    twice = tungsten_spectrum(80.0, {'Al': 2.0}).filtered({'Al': 3.0})
    np.testing.assert_allclose(once.fluence_cm2_mas, twice.fluence_cm2_mas)


def test_kerma_follows_charge_and_inverse_square():
    beam = tungsten_spectrum(80.0)
    assert beam.air_kerma_gy(3.0, 2.0) == pytest.approx(0.75 * beam.air_kerma_gy(1.0, 1.0))


@pytest.mark.parametrize(
    'voltage', [40.0, 45.0, 55.0, 63.3, 70.0, 80.0, 90.0, 110.0, 130.0, 150.0]
)
@pytest.mark.parametrize('filtration', FILTERS, ids=str)
def test_few_nodes_stand_for_the_full_spectrum(voltage, filtration):
    full = tungsten_spectrum(voltage, filtration)
    few = full.rebinned(8, Detector().efficiency(full.energies_kev))
    assert len(few.energies_kev) <= 8
    gain = absorbed_energy(full, {}) / absorbed_energy(few, {})
    assert gain == pytest.approx(1, abs=0.003)
    paths = itertools.product((0, 1, 3, 12, 30, 40), (0, 1.5, 4), (0, 0.03, 0.3))
    for metal, (water, bone, cm) in itertools.product(('nitinol', 'stainless_steel'), paths):
        absorbers = {'water': water, 'bone': bone, metal: cm}
        expected = absorbed_energy(full, absorbers)
        seen = gain * absorbed_energy(few, absorbers)
        assert seen == pytest.approx(expected, rel=0.003), absorbers


def test_more_nodes_are_not_worse_than_two():
    full = tungsten_spectrum(80.0)

    def worst(nodes):
        few = full.rebinned(nodes, Detector().efficiency(full.energies_kev))
        behind = [{'water': cm} for cm in (0, 10, 30)]
        return max(abs(absorbed_energy(few, b) / absorbed_energy(full, b) - 1) for b in behind)

    assert worst(8) < worst(2)


def test_a_single_node_is_the_effective_energy_and_keeps_the_open_field():
    full = tungsten_spectrum(80)
    detector = Detector()
    seen = full.fluence_cm2_mas * detector.efficiency(full.energies_kev) * full.energies_kev
    one = full.rebinned(1, detector.efficiency(full.energies_kev))
    energy = one.energies_kev
    assert energy == pytest.approx([np.average(full.energies_kev, weights=seen)])
    absorbed = one.fluence_cm2_mas * detector.efficiency(energy) * energy
    assert absorbed == pytest.approx([seen.sum()], rel=1e-3)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: tungsten_spectrum(80_000), 'looks like volts'),
        (lambda: tungsten_spectrum(30), '40..150'),
        (lambda: tungsten_spectrum(80, {'Al': -1}), '0..1000 mm'),
        (lambda: tungsten_spectrum(80).rebinned(0), 'at least 1'),
        (lambda: tungsten_spectrum(80).rebinned(8, [1.0]), 'response must have shape'),
        (lambda: tungsten_spectrum(80).air_kerma_gy(1, 0), 'must be positive'),
        (lambda: Spectrum(np.ones(3), np.ones(2)), 'shape'),
        (lambda: Spectrum(np.ones(2), np.zeros(2)), 'not all zero'),
    ],
)
def test_errors_name_the_slip(call, message):
    with pytest.raises(ValueError, match=message):
        call()
