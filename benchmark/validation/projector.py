"""Line integrals of clinical CTs beside ITK-RTK, plastimatch and DiffDRR."""

from __future__ import annotations

import numpy as np

from benchmark.projector import VIEWS_DEG, linear_table, padded, relative_rmse
from benchmark.projector_peers import DiffDrr, Joseph, Plastimatch, why_not
from benchmark.validation.plots import AMBER, BLUE, GREEN, MUTED, PINK, legend, panels
from benchmark.validation.section import Check, Plot, Section, Table
from synthex_ros.anatomy import SampleMissingError, load_sample
from synthex_ros.geometry import CArm, make_pose
from synthex_ros.xray.shear_warp import ShearWarpProjector

MODES = {'fast': (256, 0.2), 'reference': (1024, 0.05)}
"""Samples along the longer image side, and limit against ITK-RTK [%]."""
OTHERS = {
    'plastimatch uniform': (
        {'fast': 0.2, 'reference': 0.1},
        lambda ct: Plastimatch(ct, 'uniform'),
    ),
    'plastimatch exact': ({'reference': 1.0}, lambda ct: Plastimatch(ct, 'exact')),
    'DiffDRR trilinear': ({'fast': 0.2, 'reference': 0.1}, lambda ct: DiffDrr(ct, EVERY)),
}
"""Limits of our modes against the other peers [%], and how a peer is made."""
EVERY = 4
"""DiffDRR, which is slow on a processor, gets every so many rows and columns."""
LABELS = {'chest': 'chest CT', 'head': 'head CT'}
QUICK_VIEWS = ('AP', 'oblique 44.9', 'compound 60/20')
TITLE = 'Projector against ITK-RTK, plastimatch and DiffDRR'
METHOD = (
    'Line integrals of density 1 + HU / 1000 through the sample CTs, the same C-arm views on '
    'both sides of 45 degrees where the slices change axis (relative RMSE over the image). '
    'Peers: `JosephForwardProjectionImageFilter` of ITK-RTK 2.7; `plastimatch drr` 1.10 in its '
    'uniform mode, which samples linearly between voxels, and in its exact mode, which takes '
    f'voxels as constant; the trilinear renderer of DiffDRR 0.6 with its 500 samples a ray, on '
    f'every {EVERY}th row and column. The fast mode draws frames, the reference mode is for '
    'still images. Times of all are measured by `benchmark/projector.py`.'
)


def compare(name: str, pixels: int, views: dict[str, tuple[float, float]]) -> list[dict]:
    """Return images and deviations of both modes, by view, from every peer that is installed."""
    volume = padded(load_sample(name))
    world_from_patient = make_pose(None, -volume.centre_patient_m)
    joseph, table, rows = Joseph(volume), linear_table(), []
    others = {peer: make(volume) for peer, (_, make) in OTHERS.items() if not missing(peer)}
    for label, angles_deg in views.items():
        view = CArm().view(*np.radians(angles_deg)).resized((pixels, pixels))
        row = {'volume': name, 'view': label}
        row['truth'] = joseph.area_density_g_cm2(view, world_from_patient)
        for mode, (detail_px, _) in MODES.items():
            ours = ShearWarpProjector(detail_px, axis_by_ray=mode == 'reference')
            row[mode] = ours.area_density_g_cm2(volume, table, view, world_from_patient)[0]
            row[f'{mode}_rmse'] = 100 * relative_rmse(row[mode], row['truth'])
        for peer, other in others.items():
            image = other.area_density_g_cm2(view, world_from_patient)
            every = getattr(other, 'every', 1)
            for mode in (*MODES, 'truth'):
                row[f'{mode}_{peer}'] = 100 * relative_rmse(row[mode][::every, ::every], image)
        rows.append(row)
    return rows


def missing(peer: str) -> str | None:
    """Return why one of `OTHERS` is not there, or None."""
    return why_not(DiffDrr if peer.startswith('DiffDRR') else Plastimatch)


def section(quick: bool) -> Section:
    """Compare what is installed."""
    if reason := why_not(Joseph):
        return Section(TITLE, METHOD, notes=f'{reason}: nothing was compared.')
    views = {v: a for v, a in VIEWS_DEG.items() if not quick or v in QUICK_VIEWS}
    rows = []
    notes = sorted({f'Left out: {reason}.' for peer in OTHERS if (reason := missing(peer))})
    for name in LABELS:
        try:
            rows += compare(name, 256 if quick else 512, views)
        except SampleMissingError as error:
            notes.append(f'{name} was left out: {error}')
    if not rows:
        return Section(TITLE, METHOD, notes=' '.join(notes))
    peers = [peer for peer in OTHERS if not missing(peer)]
    checks = [
        Check(f'{mode} mode against ITK-RTK', _worst(rows, f'{mode}_rmse'), limit)
        for mode, (_, limit) in MODES.items()
    ]
    checks += [
        Check(f'{mode} mode against {peer}', _worst(rows, f'{mode}_{peer}'), limit)
        for peer in peers
        for mode, limit in OTHERS[peer][0].items()
    ]
    if peers:
        notes.append(
            'The last columns show how far the peers are from each other: those that are linear '
            'between voxels agree to 0.1 %, constant voxels are another model of the CT.'
        )
    plots = [_bars(rows, peers), _images(rows[0])]
    return Section(TITLE, METHOD, checks, [_table(rows, peers)], plots, ' '.join(notes))


def _worst(rows: list[dict], key: str) -> float:
    return max(row[key] for row in rows)


def _table(rows: list[dict], peers: list[str]) -> Table:
    columns = {f'{mode}, RTK': f'{mode}_rmse' for mode in MODES}
    columns |= {f'reference, {peer}': f'reference_{peer}' for peer in peers}
    columns |= {f'RTK, {peer}': f'truth_{peer}' for peer in peers}
    cells = [
        (f'{LABELS[row["volume"]]}, {row["view"]}', *(f'{row[c]:.3f} %' for c in columns.values()))
        for row in rows
    ]
    return Table(('relative RMSE', *columns), cells)


def _bars(rows: list[dict], peers: list[str]) -> Plot:
    figure, axes = panels(1, 11.0)
    bars = {'fast, RTK': ('fast_rmse', BLUE), 'reference, RTK': ('reference_rmse', GREEN)}
    bars |= {
        f'reference, {peer}': (f'reference_{peer}', colour)
        for peer, colour in zip(peers, (AMBER, PINK, MUTED), strict=False)
    }
    place, width = np.arange(len(rows)), 0.84 / len(bars)
    for index, (label, (key, colour)) in enumerate(bars.items()):
        at = place + width * (index - (len(bars) - 1) / 2)
        axes[0].bar(at, [row[key] for row in rows], 0.9 * width, color=colour, label=label)
    for (_, limit), colour in zip(MODES.values(), (BLUE, GREEN), strict=True):
        axes[0].axhline(limit, color=colour, ls='--', lw=1)
    names = [f'{r["volume"]}\n{r["view"].replace(" ", chr(10))}' for r in rows]
    axes[0].set_xticks(place, names, fontsize=8)
    axes[0].set(ylabel='relative RMSE [%]', yscale='log', ylim=(5e-4, 8))
    axes[0].grid(axis='x', visible=False)
    legend(axes[0], loc='upper center', ncols=len(bars))
    return Plot('projector', figure, 'Relative RMSE by view; dashed: limits against ITK-RTK')


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
