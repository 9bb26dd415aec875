"""One parameter that says where line integrals are computed."""

from __future__ import annotations

from synthex_ros.xray.projector import Projector
from synthex_ros.xray.shear_warp import ShearWarpProjector

COMPUTE = ('cpu', 'cuda')


def make_projector(compute: str = 'cpu', anatomy_px: int = 256) -> Projector:
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
        return ShearWarpProjector(anatomy_px)
    from synthex_ros.xray.cuda.projector import CudaProjector

    return CudaProjector(anatomy_px)
