"""Radiographs and cines for users: settings, one picture in five lines, files, the command line.

from synthex_ros.rendering import radiograph

image = radiograph('chest', lao_deg=30, cran_deg=10, tube_voltage_kv=80)
image.save('chest.png')
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synthex_ros.rendering.request import RenderSettings

if TYPE_CHECKING:
    from synthex_ros.rendering.frame import RenderedFrame

__all__ = ['RenderSettings', 'radiograph']


def radiograph(anatomy: str = 'chest', **settings: Any) -> RenderedFrame:
    """Return one radiograph; for several of one CT use `synthex_ros.rendering.studio.Studio`.

    Args:
        anatomy: 'chest', 'head', 'phantom' or the path of a CT.
        **settings: fields of `RenderSettings`, such as `lao_deg=30` or `seed=7`.

    Raises:
        ValueError, OSError: a setting is unknown or out of range, or the CT cannot be read.
    """
    from synthex_ros.rendering.request import make_settings
    from synthex_ros.rendering.studio import Studio

    return Studio(make_settings(anatomy=anatomy, **settings)).frame()
