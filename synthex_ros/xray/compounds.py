"""Materials by name: the built-in ones, those a user registers, NIST compounds, formulas.

A material is a name of `MATERIALS`, an element symbol or chemical formula ('Al', 'NiTi'), or a
compound of the NIST list by its full name ('Polytetrafluoroethylene (Teflon)').
"""

from __future__ import annotations

import difflib
import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import xraylib

SUM_TOLERANCE = 1e-3
DENSITY_RANGE_G_CM3 = (1e-5, 25.0)


@dataclass(frozen=True)
class Material:
    """A mixture of compounds.

    Attributes:
        parts: (mass fraction, xraylib compound) pairs; fractions sum to 1.
        density_g_cm3: density of the mixture [g/cm^3].
    """

    parts: tuple[tuple[float, str], ...]
    density_g_cm3: float


class MaterialRegistry(Mapping[str, Material]):
    """Materials by name, which only ever grow: a name once taken keeps its meaning.

    So what was computed from a name never goes stale. Reading needs no lock: a registration
    replaces the whole table at once.
    """

    def __init__(self, materials: Mapping[str, Material]) -> None:
        self._materials = dict(materials)
        self._writing = threading.Lock()

    def __getitem__(self, name: str) -> Material:
        return self._materials[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._materials)

    def __len__(self) -> int:
        return len(self._materials)

    def add(self, name: str, material: Material) -> None:
        """Add a material; the same one again changes nothing.

        Raises:
            ValueError: the name already has another meaning.
        """
        with self._writing:
            known = self._materials.get(name)
            if known is None:
                self._materials = {**self._materials, name: material}
            elif known != material:
                raise ValueError(
                    f'material {name!r} is already registered with {_text(known)}, got '
                    f'{_text(material)}; give the new one another name'
                )


MATERIALS = MaterialRegistry(
    {
        'air': Material(((1.0, 'Air, Dry (near sea level)'),), 1.20479e-3),
        'lung': Material(((1.0, 'Lung (ICRP)'),), 0.26),
        'soft_tissue': Material(((1.0, 'Tissue, Soft (ICRU four-component)'),), 1.0),
        'bone': Material(((1.0, 'Bone, Cortical (ICRP)'),), 1.85),
        'water': Material(((1.0, 'Water, Liquid'),), 1.0),
        'blood': Material(((1.0, 'Blood (ICRP)'),), 1.06),
        'adipose': Material(((1.0, 'Adipose Tissue (ICRP)'),), 0.95),
        # Red and yellow marrow in equal parts: Schneider, Bortfeld and Schlegel, Phys. Med. Biol.
        # 45 (2000) 459.
        'marrow': Material(
            (
                (0.110, 'H'), (0.529, 'C'), (0.0205, 'N'), (0.335, 'O'), (0.0005, 'Na'),
                (0.0005, 'P'), (0.0015, 'S'), (0.0015, 'Cl'), (0.001, 'K'), (0.0005, 'Fe'),
            ),
            1.0,
        ),
        # Iohexol, 350 mg iodine per mL at 1.406 g/mL (Omnipaque 350 prescribing information).
        'iodine_contrast': Material(((0.537, 'C19H26I3N3O9'), (0.463, 'H2O')), 1.406),
        'nitinol': Material(((1.0, 'NiTi'),), 6.45),
        'stainless_steel': Material(
            ((0.68, 'Fe'), (0.17, 'Cr'), (0.125, 'Ni'), (0.025, 'Mo')), 7.99
        ),
        # ASTM F136 and ASTM F75.
        'titanium_alloy': Material(((0.90, 'Ti'), (0.06, 'Al'), (0.04, 'V')), 4.43),
        'cobalt_chrome': Material(((0.655, 'Co'), (0.285, 'Cr'), (0.06, 'Mo')), 8.3),
        'platinum_iridium': Material(((0.9, 'Pt'), (0.1, 'Ir')), 21.56),
        'ndfeb': Material(((1.0, 'Nd2Fe14B'),), 7.5),
        'csi': Material(((1.0, 'CsI'),), 4.51),
        'pebax': Material(((1.0, 'C12H23NO'),), 1.01),
        # Jackets of guidewires: 60 % of tungsten powder by weight, so that they are seen.
        'tungsten_filled_pebax': Material(((0.6, 'W'), (0.4, 'C12H23NO')), 2.34),
        'silicone': Material(((1.0, 'C2H6OSi'),), 1.1),
        # 20 % of NdFeB powder by volume in silicone, and 6 % of magnetite in a light oil.
        'ndfeb_silicone': Material(((0.6303, 'Nd2Fe14B'), (0.3697, 'C2H6OSi')), 2.38),
        'ferrofluid': Material(((0.2950, 'Fe3O4'), (0.7050, 'C12H26')), 1.0534),
    }
)  # fmt: skip
"""Named materials; tissues as in NIST's X-ray tables, alloys at handbook densities."""


def register_material(
    name: str, parts: str | Mapping[str, float], density_g_cm3: float
) -> Material:
    """Give a compound, alloy or mixture a name that every material setting then understands.

    Args:
        name: what to call it; must not be a formula or name that means something already.
        parts: a formula ('NiTi'), or mass fractions by formula or material name, which sum to 1.
        density_g_cm3: density of the whole [g/cm^3].

    Returns:
        The material, its parts resolved to elements and compounds.

    Raises:
        ValueError: unknown part, fractions that do not sum to 1, implausible density, or a name
            that is taken.
    """
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f'a material needs a name, got {name!r}')
    material = Material(_resolved(name, parts), _checked_density(name, density_g_cm3))
    if name not in MATERIALS and (is_formula(name) or name in nist_names()):
        raise ValueError(
            f'material {name!r} is a chemical formula or a NIST compound already; '
            f"choose another name, such as '{name.lower()}_part'"
        )
    MATERIALS.add(name, material)
    return material


def register_materials(section: Mapping[str, Mapping[str, Any]]) -> None:
    """Register the materials of a settings file.

    Args:
        section: by name, a mapping with `density_g_cm3` and either `formula` or `parts`.

    Raises:
        ValueError: a key is missing or unknown, or a material cannot be registered.
    """
    if not isinstance(section, Mapping):
        raise ValueError(f'materials must map names to their formula or parts, got {section!r}')
    for name, entry in section.items():
        keys = set(entry) if isinstance(entry, Mapping) else set()
        if keys not in ({'formula', 'density_g_cm3'}, {'parts', 'density_g_cm3'}):
            raise ValueError(
                f'material {name!r} must have density_g_cm3 and either formula or parts, '
                f'got {sorted(map(str, keys)) or entry!r}'
            )
        parts = entry['parts'] if 'parts' in entry else entry['formula']
        register_material(name, parts, entry['density_g_cm3'])


def composition(material: str) -> tuple[tuple[float, str], ...]:
    """Return (mass fraction, xraylib compound) pairs of a material.

    Raises:
        ValueError: the material is neither named, nor a NIST compound, nor a formula.
    """
    known = MATERIALS.get(material)
    if known is not None:
        return known.parts
    if material not in nist_names():
        parse_formula(material)
    return ((1.0, material),)


def is_formula(text: str) -> bool:
    """Return whether a text reads as a chemical formula."""
    try:
        xraylib.CompoundParser(text)
    except ValueError:
        return False
    return True


def parse_formula(formula: str) -> dict:
    """Return xraylib's analysis of a chemical formula.

    Raises:
        ValueError: it is none; the message names materials of a similar name.
    """
    try:
        return xraylib.CompoundParser(formula)
    except ValueError as error:
        names = sorted(MATERIALS) + sorted(nist_names())
        close = difflib.get_close_matches(formula, names, n=3, cutoff=0.4)
        hint = f'; did you mean {", ".join(map(repr, close))}?' if close else ''
        raise ValueError(
            f'unknown material {formula!r}: not one of {", ".join(MATERIALS)}, '
            f'not a NIST compound and not a chemical formula{hint}'
        ) from error


@lru_cache(maxsize=1)
def nist_names() -> frozenset[str]:
    """Return the full names of xraylib's NIST compounds."""
    return frozenset(xraylib.GetCompoundDataNISTList())


def _resolved(name: str, parts: str | Mapping[str, float]) -> tuple[tuple[float, str], ...]:
    given = {parts: 1.0} if isinstance(parts, str) else parts
    if not isinstance(given, Mapping) or not given:
        raise ValueError(
            f'material {name!r}: parts must be a formula or mass fractions by formula or name, '
            f'got {parts!r}'
        )
    shares = {}
    for part, share in given.items():
        if not isinstance(share, (int, float)) or not (math.isfinite(share) and share > 0):
            raise ValueError(
                f'material {name!r}: the mass fraction of {part!r} must be a number above 0, '
                f'got {share!r}'
            )
        shares[part] = float(share)
    total = sum(shares.values())
    if abs(total - 1) > SUM_TOLERANCE:
        percent = '; they look like percent' if abs(total - 100) <= 100 * SUM_TOLERANCE else ''
        raise ValueError(
            f'material {name!r}: mass fractions must sum to 1, got {total:g} '
            f'({", ".join(f"{part} {share:g}" for part, share in shares.items())}){percent}'
        )
    merged: dict[str, float] = {}
    for part, share in shares.items():
        try:
            inner = composition(part)
        except ValueError as error:
            raise ValueError(f'material {name!r}: {error}') from error
        for fraction, compound in inner:
            merged[compound] = merged.get(compound, 0.0) + share / total * fraction
    return tuple((fraction, compound) for compound, fraction in sorted(merged.items()))


def _checked_density(name: str, density_g_cm3: float) -> float:
    low, high = DENSITY_RANGE_G_CM3
    if not isinstance(density_g_cm3, (int, float)) or not low <= density_g_cm3 <= high:
        slip = isinstance(density_g_cm3, (int, float)) and density_g_cm3 > high
        hint = f'; looks like kg/m^3, pass {density_g_cm3 / 1000:g}' if slip else ''
        raise ValueError(
            f'material {name!r}: density_g_cm3 must be {low:g}..{high:g} g/cm^3, '
            f'got {density_g_cm3!r}{hint}'
        )
    return float(density_g_cm3)


def _text(material: Material) -> str:
    parts = ', '.join(f'{share:.4g} {compound}' for share, compound in material.parts)
    return f'{material.density_g_cm3:g} g/cm^3 of {parts}'
