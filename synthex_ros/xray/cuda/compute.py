"""One parameter that says where line integrals are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthex_ros.xray.projector import Projector

COMPUTE = ('cpu', 'cuda')


def make_projector(compute: str = 'cpu', anatomy_px: int = 280) -> Projector:
    """Return the projector of a setting.

    Args:
        compute: 'cpu', or 'cuda' for an NVIDIA GPU.
        anatomy_px: samples of the anatomy along the longer image side.

    Raises:
        ValueError: compute is neither.
        GpuMissingError: 'cuda' was asked for where there is no CuPy, no driver or no GPU.
    """
    if compute not in COMPUTE:
        raise ValueError(f'compute must be one of {", ".join(COMPUTE)}, got {compute!r}')
    if compute == 'cpu':
        from synthex_ros.xray.shear_warp import ShearWarpProjector

        return ShearWarpProjector(anatomy_px)
    from synthex_ros.xray.cuda.projector import CudaProjector

    return CudaProjector(anatomy_px)
