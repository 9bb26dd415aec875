"""Places of Gaussians in heat maps as the decoder fits them, of whole batches and differentiable.

The same fit as `synthex_ros.tracking.landmarks.locate`, for losses.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synthex_ros.tracking.landmarks import FIT_RADIUS_SIGMA

_STEPS = 6
_LEAST_HEIGHT = 0.02
_DAMPING = 1e-6


def fitted_places(maps: Tensor, start: Tensor, sigma_cells: float) -> Tensor:
    """Return the centres (column, row) of Gaussians that are fitted to maps, shape (N, L, 2).

    Least squares of height and centre over the square within `FIT_RADIUS_SIGMA` of the start, by
    Gauss-Newton; the last step alone is differentiated, which at the fit is its derivative with
    the residual's curvature left out (implicit function theorem).

    Args:
        maps: shape (N, L, h, w).
        start: cells (column, row) to start from, shape (N, L, 2).
        sigma_cells: standard deviation of the Gaussian [cells].
    """
    reach = FIT_RADIUS_SIGMA * sigma_cells
    with torch.no_grad():
        place, height = start, maps.detach().new_full(start.shape[:2], _LEAST_HEIGHT)
        for _ in range(_STEPS):
            step = _fit_step(maps.detach(), start, place, height, sigma_cells)
            height = (height + step[..., 0]).clamp(min=_LEAST_HEIGHT)
            moved = place + step[..., 1:].clamp(-1, 1)
            place = torch.maximum(torch.minimum(moved, start + reach), start - reach)
    last = _fit_step(maps, start, place, height, sigma_cells)
    return place + last[..., 1:].clamp(-1, 1)


def _fit_step(maps: Tensor, start: Tensor, place: Tensor, height: Tensor, sigma: float) -> Tensor:
    """Return the step of height and centre that fits maps best, shape (N, L, 3)."""
    columns, rows = (
        torch.arange(maps.shape[axis], dtype=maps.dtype, device=maps.device) for axis in (3, 2)
    )
    reach = round(FIT_RADIUS_SIGMA * sigma)
    (dx, across), (dy, down) = (
        _gaussian(cells, start[..., [axis]], place[..., [axis]], sigma, reach)
        for axis, cells in enumerate((columns, rows))
    )
    scale = height[..., None] / sigma
    shape, slope_x, slope_y = (
        (b[..., :, None] * a[..., None, :]).flatten(2)
        for a, b in ((across, down), (scale * dx * across, down), (across, scale * dy * down))
    )
    jacobian = torch.stack([shape, slope_x, slope_y], dim=2)
    inside = (shape > 0).to(maps.dtype)
    residual = (maps.flatten(2) - height[..., None] * shape) * inside
    normal = jacobian @ jacobian.transpose(2, 3)
    normal = normal + _DAMPING * torch.eye(3, dtype=maps.dtype, device=maps.device)
    return torch.linalg.solve(normal, (jacobian @ residual[..., None])[..., 0])


def _gaussian(
    cells: Tensor, start: Tensor, place: Tensor, sigma: float, reach: int
) -> tuple[Tensor, Tensor]:
    """Return distances in deviations and a Gaussian along one axis, 0 beyond `reach` of start."""
    distance = (cells - place) / sigma
    inside = ((cells - start).abs() <= reach).to(cells.dtype)
    return distance, torch.exp(-0.5 * distance * distance) * inside
