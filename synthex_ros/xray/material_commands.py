"""`synthex materials`: what a CT is made of, as a table and a picture."""

from __future__ import annotations

import argparse
from pathlib import Path


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the sub-command `materials`."""
    parser = subparsers.add_parser(
        'materials',
        help='show what became of a CT',
        description='Print how much of each material a CT holds under a tissue model, and draw '
        'three slices coloured by material.',
    )
    parser.add_argument('ct', help="chest, head, phantom, or the path of a CT ('file' or folder)")
    parser.add_argument('--labels', type=Path, help='label image on the grid of the CT')
    parser.add_argument('--model', help='standard, detailed, heuristic or naive; default standard')
    parser.add_argument(
        '--metal', metavar='MATERIAL', help='take saturated pieces for this metal, such as Ti'
    )
    parser.add_argument(
        '--override',
        action='append',
        default=[],
        metavar='STRUCTURE=MATERIAL[:FRACTION]',
        help='make a structure of a material, or mix in a mass fraction of it; repeatable',
    )
    parser.add_argument(
        '--settings', type=Path, help='YAML file with a `tissue:` and a `materials:` section'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('materials.png'), help='picture; default materials.png'
    )
    parser.set_defaults(handler=run_materials)


def run_materials(args: argparse.Namespace) -> int:
    """Print the table of a CT's materials and write the picture; return 0.

    Raises:
        ValueError, OSError: the CT or a setting is unusable.
    """
    from rich.console import Console

    from synthex_ros.anatomy import load_volume, read_volume
    from synthex_ros.anatomy.material_report import material_amounts, save_picture
    from synthex_ros.anatomy.tissue_settings import tissue_from_settings
    from synthex_ros.xray.attenuation import density_g_cm3

    console = Console(highlight=False, soft_wrap=True)
    section = _section(args)
    model = tissue_from_settings(section)
    volume = load_volume(args.ct) if args.labels is None else read_volume(args.ct, args.labels)
    table = model.classify(volume, density_g_cm3)
    title = f'{volume.name}, {section.get("model", "standard")}'
    console.print(_rich_table(title, material_amounts(volume, table)))
    _say_saturated(console, volume, model)
    save_picture(volume, table, args.out)
    console.print(f'picture: {args.out}')
    return 0


def _section(args: argparse.Namespace) -> dict:
    """Return the `tissue` section of the settings file, changed by the command line."""
    from synthex_ros.xray.attenuation import register_materials

    content: dict = {}
    if args.settings is not None:
        import yaml

        content = yaml.safe_load(args.settings.read_text(encoding='utf-8')) or {}
        if not isinstance(content, dict):
            raise ValueError(f'{args.settings} must hold sections, got {content!r}')
        register_materials(content.get('materials') or {})
    section = dict(content.get('tissue') or {})
    if args.model is not None:
        section['model'] = args.model
    if args.metal is not None:
        section['metal'] = args.metal
    if args.override:
        section['overrides'] = dict(section.get('overrides') or {}) | dict(
            _override(text) for text in args.override
        )
    return section


def _override(text: str) -> tuple[str, dict]:
    structure, _, rest = text.partition('=')
    material, _, fraction = rest.partition(':')
    try:
        share = float(fraction or 1)
    except ValueError:
        share = None
    if not structure or not material or share is None:
        raise ValueError(
            f'an override must read STRUCTURE=MATERIAL or STRUCTURE=MATERIAL:FRACTION, '
            f'got {text!r}; such as aorta=iodine_contrast:0.03'
        )
    return structure, {'material': material, 'mass_fraction': share}


def _rich_table(title: str, amounts):
    from rich.table import Table

    table = Table(title=title)
    table.add_column('material')
    for name in ('voxels', 'volume [mL]', 'mean HU', 'mean g/cm^3', 'mass in all voxels [g]'):
        table.add_column(name, justify='right')
    for item in amounts:
        means = (f'{item.mean_hu:.0f}', f'{item.mean_density_g_cm3:.3f}') if item.voxels else '--'
        volume_ml, mass_g = 1e6 * item.volume_m3, 1e3 * item.mass_kg
        table.add_row(item.name, f'{item.voxels}', f'{volume_ml:.1f}', *means, f'{mass_g:.1f}')
    return table


def _say_saturated(console, volume, model) -> None:
    """Point out pieces that may be metal when nothing says what they are."""
    import numpy as np

    from synthex_ros.anatomy.metal import metal_pieces
    from synthex_ros.anatomy.tissue_rules import Metal

    rule = Metal()
    found = None if model.metal else metal_pieces(volume, rule.threshold_hu, rule.min_volume_m3)
    if found is not None:
        sizes = np.bincount(found[1].ravel())[1:] * float(np.prod(volume.spacing_m)) * 1e6
        console.print(
            f'{len(sizes)} pieces of {rule.threshold_hu:g} HU and more, the largest of '
            f'{sizes.max():.1f} mL: dense contrast agent, or metal (then pass --metal MATERIAL)'
        )
