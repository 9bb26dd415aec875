"""`synthex vessels`: list vessels, and write their wall, a roadmap and the path to a target."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthex_ros.anatomy.vessels import VesselModel, VesselTree
    from synthex_ros.anatomy.volume import Volume
    from synthex_ros.control.magnetic.planner import PlannedPath

TREE_NAMES = ('arteries', 'upper_veins', 'lower_veins')


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the sub-command `vessels`."""
    parser = subparsers.add_parser(
        'vessels',
        help='list vessels of a CT, plan a path, make a roadmap',
        description='List the vessels of a segmented CT or of a procedural tree. With --out, '
        'write the wall as a mesh, the branches as JSON, a subtracted roadmap and an overview; '
        'with --target, also the path to it. Coordinates are patient_lps (of a procedural tree: '
        'its own frame), metres.',
    )
    parser.add_argument(
        'anatomy', nargs='?', default='chest',
        help='chest, the path of a CT, or procedural (default chest)',
    )  # fmt: skip
    parser.add_argument('--segmentation', default='', help='label image on the grid of your CT')
    parser.add_argument('--tree', choices=TREE_NAMES, default='arteries', help='which vessels')
    parser.add_argument('--seed', type=int, default=0, help='of a procedural tree (default 0)')
    parser.add_argument('--forks', type=int, default=4, help='of a procedural tree (default 4)')
    parser.add_argument(
        '--entry', nargs='+', help='place by name, or x y z [m] (default the root of the tree)'
    )
    parser.add_argument('--target', nargs='+', help='place by name, or x y z [m]')
    parser.add_argument(
        '--device-radius-m', type=float, default=0.5e-3, help='of the device (default 0.0005)'
    )
    parser.add_argument(
        '--margin-m', type=float, default=0.3e-3, help='left to the wall (default 0.0003)'
    )
    parser.add_argument('--out', type=Path, help='folder for the files')
    parser.add_argument(
        '--mesh', choices=('stl', 'ply', 'obj'), default='stl', help='format of the wall [mm]'
    )
    parser.add_argument('--lao', type=float, default=40.0, help='view [deg] (default 40)')
    parser.add_argument('--cran', type=float, default=0.0, help='view [deg] (default 0)')
    parser.add_argument(
        '--iodine-mg-ml', type=float, default=40.0, help='in the vessels (default 40)'
    )
    parser.set_defaults(handler=run_vessels)


def run_vessels(args: argparse.Namespace) -> int:
    """List vessels and write what `args` asks for; return 0.

    Raises:
        ValueError, OSError: the CT has no such vessels, a place is not known or not reachable.
    """
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    with console.status('vessels: a minute the first time, then kept'):
        model, volume = _load(args)
    console.print(_table(model.tree))
    console.print('places: ' + ', '.join(model.tree.places))
    route = _plan(args, model) if args.target else None
    if route is not None:
        _print_route(console, route)
    if args.out is not None:
        with console.status('rendering the roadmap'):
            files = _write(args, model, volume, route)
        console.print(f'{args.out}: {", ".join(file.name for file in files)}')
    return 0


def _load(args: argparse.Namespace) -> tuple[VesselModel, Volume]:
    from synthex_ros.anatomy import load_volume, read_volume
    from synthex_ros.anatomy.vessels import procedural_tree, vessel_model
    from synthex_ros.navigation.phantom import water_block

    if args.anatomy == 'procedural':
        model = procedural_tree(args.seed, args.forks)
        return model, water_block(model)
    if args.segmentation:
        volume = read_volume(args.anatomy, args.segmentation)
    else:
        volume = load_volume(args.anatomy)
    return vessel_model(volume, args.tree), volume


def _plan(args: argparse.Namespace, model: VesselModel) -> PlannedPath:
    from synthex_ros.control.magnetic.planner import PlannerSettings, plan_path

    settings = PlannerSettings(args.device_radius_m, args.margin_m)
    root = next(name for name, node in model.tree.places.items() if node == 0)
    entry = _place(args.entry, 'entry') if args.entry else root
    target = _place(args.target, 'target')
    return plan_path(model.tree, entry, target, lumen=model.lumen, settings=settings)


def _place(words: list[str], what: str) -> Any:
    if len(words) == 3:
        try:
            return [float(word) for word in words]
        except ValueError:
            pass
    if len(words) != 1:
        raise ValueError(
            f'{what} must be a name or three numbers x y z [m], got {" ".join(words)}'
        )
    return words[0]


def _table(tree: VesselTree) -> Any:
    from rich.table import Table

    table = Table('vessel', 'length mm', 'mean radius mm', 'least mm', 'ends in')
    table.columns[0].no_wrap = True
    table.columns[0].min_width = 28
    for column in table.columns[1:4]:
        column.justify = 'right'
    for branch in tree.branches:
        least = tree.radius_m[branch.nodes].min()
        table.add_row(
            branch.name,
            f'{1e3 * branch.length_m:.0f}',
            f'{1e3 * branch.radius_m:.1f}',
            f'{1e3 * least:.1f}',
            'end' if branch.is_tip else 'fork',
        )
    return table


def _print_route(console: Any, route: PlannedPath) -> None:
    console.print(
        f'path: {1e3 * route.length_m:.0f} mm, least room to the wall '
        f'{1e3 * route.room_m.min():.1f} mm, tightest bend '
        f'{1e3 * route.smallest_bend_radius_m:.0f} mm radius'
    )
    for number, waypoint in enumerate(route.waypoints, start=1):
        console.print(f'  {number}. {1e3 * waypoint.arc_m:4.0f} mm  {waypoint.name}')


def _write(
    args: argparse.Namespace, model: VesselModel, volume: Volume, route: PlannedPath | None
) -> list[Path]:
    import cv2

    from synthex_ros.anatomy.vessels import save_mesh
    from synthex_ros.navigation.overview import save_overview
    from synthex_ros.navigation.view import roadmap_of
    from synthex_ros.rendering.writers import check_folder

    check_folder(args.out)
    files = [save_mesh(model.wall, args.out / f'wall.{args.mesh}')]
    files.append(_save_json(args.out / 'vessels.json', _description(args, model)))
    if route is not None:
        files.append(_save_json(args.out / 'path.json', route.to_dict()))
    seen = roadmap_of(model, volume, args.lao, args.cran, args.iodine_mg_ml)
    picture = seen.roadmap.picture()
    files.append(args.out / 'roadmap.png')
    if not cv2.imwrite(str(files[-1]), picture):
        raise OSError(f'cannot write {files[-1]}')
    title = f'{volume.name}: {args.tree if args.anatomy != "procedural" else "procedural tree"}'
    files.append(
        save_overview(
            picture,
            seen.view_of_patient,
            model.tree,
            args.out / 'overview.png',
            route=route,
            title=f'{title}, {seen.name}',
        )
    )
    return files


def _description(args: argparse.Namespace, model: VesselModel) -> dict[str, Any]:
    tree = model.tree
    return {
        'anatomy': args.anatomy,
        'frame': 'tree' if args.anatomy == 'procedural' else 'patient_lps',
        'wall_volume_m3': round(model.wall.volume_m3(), 9),
        'places': {
            name: tree.points_m[node].round(6).tolist() for name, node in tree.places.items()
        },
        'branches': [
            {
                'name': branch.name,
                'length_m': round(branch.length_m, 6),
                'mean_radius_m': round(branch.radius_m, 6),
                'is_tip': branch.is_tip,
                'points_m': tree.points_m[branch.nodes].round(6).tolist(),
                'radius_m': tree.radius_m[branch.nodes].round(6).tolist(),
            }
            for branch in tree.branches
        ],
    }


def _save_json(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
    return path
