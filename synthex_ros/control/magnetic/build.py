"""One magnetic controller from plain numbers: what a node or a study calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from synthex_ros.control.delay import LoopDelay
from synthex_ros.control.frame import FrameRules
from synthex_ros.control.magnetic.controller import MagneticController
from synthex_ros.control.magnetic.guidewire import GuidewireLaw, GuidewireSettings
from synthex_ros.control.magnetic.law import MagneticLaw
from synthex_ros.control.magnetic.limits import MagneticLimits
from synthex_ros.control.magnetic.swimmer import Flow, SwimmerModel
from synthex_ros.control.magnetic.untethered import UntetheredLaw, UntetheredSettings
from synthex_ros.control.magnetic.wire_model import WireModel
from synthex_ros.joints import JointLimits

UNTETHERED = ('soft_robot', 'droplet', 'sphere')


def magnetic_controller(
    device: str,
    numbers: Mapping[str, Any],
    joint_limits: JointLimits,
    *,
    world_from_base: ArrayLike | None = None,
    settings: GuidewireSettings | UntetheredSettings | None = None,
    field_direction: ArrayLike = (0.0, 0.0, 1.0),
    flow: Flow | None = None,
    rules: FrameRules | None = None,
    delay: LoopDelay | None = None,
    limits: MagneticLimits | None = None,
    max_age_s: float = 0.5,
) -> MagneticController:
    """Return the controller of a magnetic device.

    Args:
        device: 'guidewire', 'soft_robot', 'droplet' or 'sphere'.
        numbers: nominal numbers, those of `WireModel` or `SwimmerModel`.
        joint_limits: (insertion, roll) of a guidewire; without names for the others.
        world_from_base: pose of the guidewire's entry in `world`, shape (4, 4).
        settings: of the law, by default those of its class.
        field_direction: of the field round a device without tether, in `world`, shape (3,).
        flow: what is known of the flow around a device without tether.
        rules: when a frame may move the device.
        delay: time from exposure to command; measured by default.
        limits: of field, force and time.
        max_age_s: oldest frame that is answered with a motion [s].

    Raises:
        ValueError: no such device, settings of another one, or no entry pose for a guidewire.
    """
    law: MagneticLaw
    if device == 'guidewire':
        if settings is not None and not isinstance(settings, GuidewireSettings):
            raise ValueError(f'a guidewire needs GuidewireSettings, got {type(settings).__name__}')
        if world_from_base is None:
            raise ValueError('a guidewire needs world_from_base, the pose of its entry')
        law = GuidewireLaw(WireModel(**numbers), world_from_base, joint_limits, settings)
    elif device in UNTETHERED:
        if settings is not None and not isinstance(settings, UntetheredSettings):
            raise ValueError(f'a {device} needs UntetheredSettings, got {type(settings).__name__}')
        law = UntetheredLaw(SwimmerModel(**numbers), settings, field_direction, flow)
    else:
        raise ValueError(f'device must be guidewire, {", ".join(UNTETHERED)}, got {device!r}')
    return MagneticController(law, joint_limits, rules, delay, limits, max_age_s)
