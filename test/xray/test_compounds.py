"""Materials of the user's: mixtures attenuate as their parts, and slips are named."""

import threading
import uuid

import numpy as np
import pytest
import xraylib

from synthex_ros.xray.attenuation import (
    MATERIALS,
    density_g_cm3,
    mass_attenuation_cm2_g,
    register_material,
    register_materials,
)

ENERGIES = np.linspace(25, 130, 8)


def fresh():
    """A name that no test has taken."""
    return f'alloy_{uuid.uuid4().hex}'


def test_alloy_attenuates_as_its_parts_by_mass():
    name = fresh()
    register_material(name, {'Co': 0.655, 'Cr': 0.285, 'Mo': 0.06}, 8.3)
    mixed = sum(
        share * mass_attenuation_cm2_g(part, ENERGIES)
        for part, share in {'Co': 0.655, 'Cr': 0.285, 'Mo': 0.06}.items()
    )
    np.testing.assert_allclose(mass_attenuation_cm2_g(name, ENERGIES), mixed, rtol=1e-12)
    np.testing.assert_allclose(
        mass_attenuation_cm2_g('cobalt_chrome', ENERGIES), mixed, rtol=1e-12
    )
    assert density_g_cm3(name) == 8.3


def test_formula_and_its_mass_fractions_are_the_same_material():
    by_formula, by_parts = fresh(), fresh()
    nickel, titanium = (xraylib.AtomicWeight(z) for z in (28, 22))
    register_material(by_formula, 'NiTi', 6.45)
    share = nickel / (nickel + titanium)
    register_material(by_parts, {'Ni': share, 'Ti': 1 - share}, 6.45)
    np.testing.assert_allclose(
        mass_attenuation_cm2_g(by_parts, ENERGIES),
        mass_attenuation_cm2_g(by_formula, ENERGIES),
        rtol=1e-9,
    )


def test_mixture_of_named_materials_is_resolved():
    name = fresh()
    register_material(name, {'blood': 0.9, 'iodine_contrast': 0.1}, 1.09)
    mixed = 0.9 * mass_attenuation_cm2_g('blood', ENERGIES)
    mixed = mixed + 0.1 * mass_attenuation_cm2_g('iodine_contrast', ENERGIES)
    np.testing.assert_allclose(mass_attenuation_cm2_g(name, ENERGIES), mixed, rtol=1e-12)


def test_marrow_is_complete():
    assert sum(share for share, _ in MATERIALS['marrow'].parts) == pytest.approx(1, abs=1e-9)


def test_section_of_a_settings_file():
    alloy, plastic = fresh(), fresh()
    register_materials(
        {
            alloy: {'parts': {'Pt': 0.9, 'W': 0.1}, 'density_g_cm3': 21},
            plastic: {'formula': 'C19H18O3', 'density_g_cm3': 1.3},
        }
    )
    assert density_g_cm3(alloy) == 21
    assert plastic in MATERIALS


def test_same_definition_again_is_welcome_and_another_is_not():
    name = fresh()
    assert register_material(name, 'NiTi', 6.45) == register_material(name, 'NiTi', 6.45)
    with pytest.raises(ValueError, match='already registered with 6.45 g/cm.3 of 1 NiTi'):
        register_material(name, 'NiTi', 6.5)
    with pytest.raises(ValueError, match='already registered'):
        register_material('bone', 'CaCO3', 2.7)
    assert density_g_cm3(name) == 6.45


@pytest.mark.parametrize(
    ('name', 'parts', 'density', 'message'),
    [
        (None, {'Fe': 0.7, 'Cx': 0.3}, 7.9, "unknown material 'Cx'"),
        (None, {'steel': 1.0}, 7.9, "did you mean 'stainless_steel'"),
        (None, {'Fe': 0.7, 'Cr': 0.2}, 7.9, r'must sum to 1, got 0.9 \(Fe 0.7, Cr 0.2\)'),
        (None, {'Fe': 80, 'Cr': 20}, 7.9, 'look like percent'),
        (None, {'Fe': 1.2, 'Cr': -0.2}, 7.9, "fraction of 'Cr' must be a number above 0"),
        (None, {'Fe': float('nan')}, 7.9, 'must be a number above 0'),
        (None, {}, 7.9, 'parts must be a formula or mass fractions'),
        (None, 'NiTi', 6450, r'looks like kg/m\^3, pass 6.45'),
        (None, 'NiTi', 0, 'must be 1e-05..25'),
        (None, 'NiTi', '6.45', "got '6.45'"),
        ('PVC', 'C2H3Cl', 1.4, "chemical formula.*such as 'pvc_part'"),
        ('Water, Liquid', 'H2O', 1.0, 'NIST compound already'),
        (' ', 'H2O', 1.0, 'needs a name'),
    ],
)
def test_slips_are_named(name, parts, density, message):
    with pytest.raises(ValueError, match=message):
        register_material(name or fresh(), parts, density)


@pytest.mark.parametrize(
    'entry', [{'formula': 'NiTi'}, {'parts': {'Fe': 1}, 'density': 7.9}, 'NiTi', {}]
)
def test_incomplete_section(entry):
    with pytest.raises(ValueError, match='must have density_g_cm3 and either formula or parts'):
        register_materials({fresh(): entry})


def test_registry_cannot_be_written_to_directly():
    with pytest.raises(TypeError):
        MATERIALS['gold'] = MATERIALS['bone']


def test_threads_register_while_others_read():
    names = [fresh() for _ in range(40)]
    seen = []

    def read():
        while len(seen) < 200:
            seen.append(sum(1 for _ in MATERIALS))

    def write(part):
        for name in part:
            register_material(name, {'Fe': 0.5, 'Cr': 0.5}, 7.5)

    threads = [threading.Thread(target=read)]
    threads += [threading.Thread(target=write, args=(names[k::4],)) for k in range(4)]
    threads += [threading.Thread(target=write, args=(names,))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(names) <= set(MATERIALS)
    assert seen == sorted(seen)
