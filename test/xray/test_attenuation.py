import numpy as np
import pytest

from synthex_ros.xray.attenuation import (
    MATERIALS,
    density_g_cm3,
    mass_attenuation_cm2_g,
    mass_energy_absorption_cm2_g,
)

# NIST XCOM, total with coherent scattering [cm^2/g].
XCOM = [
    ('water', 60.0, 0.2059),
    ('Al', 60.0, 0.2778),
    ('Ti', 60.0, 0.7661),
    ('water', 40.0, 0.2683),
    ('air', 100.0, 0.1541),
]
# Hubbell and Seltzer, NISTIR 5632, dry air [cm^2/g].
AIR_ENERGY_ABSORPTION = {
    20: 0.5389,
    30: 0.1537,
    40: 0.06833,
    60: 0.03041,
    80: 0.02407,
    100: 0.02325,
}


@pytest.mark.parametrize(('material', 'energy', 'expected'), XCOM)
def test_mass_attenuation_agrees_with_nist(material, energy, expected):
    assert mass_attenuation_cm2_g(material, [energy])[0] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(('energy', 'expected'), AIR_ENERGY_ABSORPTION.items())
def test_energy_absorption_of_air_agrees_with_nist(energy, expected):
    assert mass_energy_absorption_cm2_g('air', energy)[0] == pytest.approx(expected, rel=0.015)


def test_alloy_attenuates_as_its_elements_by_mass():
    energies = np.linspace(30, 120, 7)
    nickel, titanium = 58.693, 47.867
    mixed = (
        nickel * mass_attenuation_cm2_g('Ni', energies)
        + titanium * mass_attenuation_cm2_g('Ti', energies)
    ) / (nickel + titanium)
    np.testing.assert_allclose(mass_attenuation_cm2_g('nitinol', energies), mixed, rtol=5e-4)


def test_cortical_bone_lies_near_the_icru_44_composition():
    # NIST tabulates ICRU-44 bone, 0.3148 cm^2/g at 60 keV; the ICRP one holds less calcium.
    assert mass_attenuation_cm2_g('bone', 60.0)[0] == pytest.approx(0.3148, rel=0.02)


def test_every_named_material_has_fractions_that_sum_to_one_and_coefficients():
    for name, material in MATERIALS.items():
        assert sum(share for share, _ in material.parts) == pytest.approx(1.0), name
        attenuation = mass_attenuation_cm2_g(name, [20.0, 60.0, 140.0])
        assert np.all(attenuation > 0), name
        assert attenuation[0] > attenuation[2], name
        assert density_g_cm3(name) > 0, name


def test_density_comes_from_table_nist_or_element():
    assert density_g_cm3('nitinol') == 6.45
    assert density_g_cm3('Al') == pytest.approx(2.70, rel=0.01)
    assert density_g_cm3('Water, Liquid') == 1.0


def test_unknown_material_names_the_close_ones():
    with pytest.raises(ValueError, match=r"unknown material 'nitinool'.*'nitinol'"):
        mass_attenuation_cm2_g('nitinool', [60.0])


def test_density_of_a_formula_is_refused():
    with pytest.raises(ValueError, match='add the material with its density'):
        density_g_cm3('NiTi2')


def test_energy_in_electronvolt_is_refused():
    with pytest.raises(ValueError, match='60 keV is 60.0'):
        mass_attenuation_cm2_g('water', [60e3])
