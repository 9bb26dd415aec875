"""A C-arm view of a patient as training frames are made of it: what stays for several frames."""

from __future__ import annotations

from dataclasses import dataclass

from synthex_ros.learning.imaging import ImagingSample
from synthex_ros.learning.sampling import Box, ViewSample
from synthex_ros.learning.sites import Site
from synthex_ros.xray.projector import Projector
from synthex_ros.xray.renderer import Renderer, Technique
from synthex_ros.xray.scene import Scene


@dataclass(frozen=True, eq=False)
class Patient:
    """What is kept of an anatomy.

    Attributes:
        scene: volume, materials and pose.
        projector: of this volume.
        sites: places in it where objects lie, by name.
    """

    scene: Scene
    projector: Projector
    sites: dict[str, Site]


@dataclass(frozen=True, eq=False)
class ViewSetup:
    """A C-arm view with its renderer.

    Attributes:
        anatomy: name of the anatomy.
        patient: what is kept of it.
        seen: C-arm and pose of the patient, as drawn.
        imaging: detector, chain and exposure control, as drawn.
        renderer: renders the view.
        technique: tube settings after exposure control.
        field_px: open field: top, bottom, left, right [px].
    """

    anatomy: str
    patient: Patient
    seen: ViewSample
    imaging: ImagingSample
    renderer: Renderer
    technique: Technique
    field_px: Box
