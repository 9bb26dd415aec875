"""From the node's parameters to the settings of a room."""

from __future__ import annotations

from dataclasses import replace

from sim_node.params import SimParams
from synthex_ros.devices.continuum.parameters import ContinuumParameters
from synthex_ros.geometry import CArm, pose_from_parameters
from synthex_ros.ros.parameters import mapping
from synthex_ros.simulation.breathing import Breathing
from synthex_ros.simulation.build import RoomSettings
from synthex_ros.simulation.magnetic_room import MagneticSettings
from synthex_ros.simulation.vessel_room import VesselSettings
from synthex_ros.xray.collimator import Collimator
from synthex_ros.xray.imaging_chain import ImagingChain
from synthex_ros.xray.intensifier import ImageIntensifier
from synthex_ros.xray.renderer import Technique
from synthex_ros.xray.scatter import AntiScatterGrid, KernelScatter


def room_settings(params: SimParams) -> RoomSettings:
    """Return the room that the parameters describe.

    Raises:
        ValueError: values that are fine one by one but not together.
    """
    pose = params.device_base_pose
    return RoomSettings(
        anatomy=params.anatomy,
        isocenter_patient_m=params.isocenter_patient_m,
        device=ContinuumParameters(
            length_m=params.device_length_m,
            outer_diameter_m=params.device_outer_diameter_m,
            inner_diameter_m=params.device_inner_diameter_m,
            tendon_offset_m=params.device_tendon_offset_m,
            backlash_m=params.device_backlash_m,
            notch_stiffness_variation=params.device_stiffness_variation,
        ),
        device_start=params.device_start,
        device_enabled=params.device_enabled,
        command_max_age_s=params.command_max_age_s,
        world_from_device_base=pose_from_parameters(pose[:3], pose[3:]),
        carm=CArm(
            source_to_detector_m=params.source_to_detector_m,
            source_to_isocenter_m=params.source_to_isocenter_m,
            pixel_pitch_m=params.pixel_pitch_m,
            detector_px=params.detector_px,
            binning=params.binning,
        ),
        carm_start=(
            params.orbital_rad,
            params.angulation_rad,
            0.0,
            params.source_to_detector_m,
        ),
        technique=Technique(
            tube_voltage_kv=params.tube_voltage_kv,
            charge_mas=params.charge_mas,
            pulse_length_s=params.pulse_length_s,
            filtration_mm=(('Al', params.filtration_al_mm), ('Cu', params.filtration_cu_mm)),
        ),
        breathing=Breathing(params.breathing_amplitude_m, params.breathing_period_s),
        anatomy_px=params.anatomy_px,
        compute=params.compute,
        seed=params.seed,
        frame_rate_hz=params.frame_rate_hz,
        materials=params.materials,
        realism=params.realism,
        chain=_chain(params),
        detector_kerma_gy=params.detector_kerma_gy or None,
        frame_threads=params.frame_threads or None,
        breathing_model=params.breathing_model,
        heartbeat_amplitude_m=params.heartbeat_amplitude_m,
        heart_rate_hz=params.heart_rate_hz,
        background=params.time_mode != 'lockstep',
        magnetic=_magnetic(params),
        world_frame=params.world_frame,
        vessel_contrast_hu=params.vessel_contrast_hu,
    )


def _magnetic(params: SimParams) -> MagneticSettings | None:
    """Return the magnetic device and its field, None for the continuum manipulator."""
    if params.device == 'continuum':
        return None
    entry, source = params.vessel_pose, params.field_source_pose
    vessels = VesselSettings(
        params.vessels,
        pose_from_parameters(entry[:3], entry[3:]),
        params.vessel_seed,
        params.vessel_forks,
        params.vessel_radius_m,
        params.flow_m_s,
        params.flow_profile,
        params.flow_pulse_hz,
    )
    return MagneticSettings(
        device=params.device,
        settings=mapping(params.device_settings, 'device_settings'),
        start=params.device_start,
        vessels=vessels,
        field_source=params.field_source,
        world_from_field_source=pose_from_parameters(source[:3], source[3:]),
        arm_keep_out_m=params.arm_keep_out_m,
        fluid=mapping(params.device_fluid, 'device_fluid'),
        force_max_n=params.force_max_n,
        wall_force_max_n=params.wall_force_max_n,
        coil_gain_error=params.coil_gain_error,
        lost_coil=params.lost_coil,
    )


def _chain(params: SimParams) -> ImagingChain:
    chain = ImagingChain.full() if params.imaging_chain == 'full' else ImagingChain()
    edges = params.collimator
    if len(edges) != 4:
        raise ValueError(f'collimator must be top, bottom, left, right, got {edges}')
    if params.grid != 'none':
        if chain.scatter is None:
            raise ValueError(
                f'grid: {params.grid} needs scatter that it can stop; set imaging_chain: full'
            )
        chain = replace(chain, scatter=KernelScatter(AntiScatterGrid()))
    return replace(
        chain,
        collimator=Collimator(*edges),
        panel_seed=params.panel_seed if params.panel_seed >= 0 else None,
        intensifier=_intensifier(params),
    )


def _intensifier(params: SimParams) -> ImageIntensifier | None:
    if not params.image_intensifier:
        return None
    return ImageIntensifier(
        params.intensifier_pincushion_percent,
        params.intensifier_s_distortion_deg,
        params.intensifier_vignetting_percent,
        params.intensifier_glare_percent / 100,
        params.intensifier_glare_reach_m,
    )
