"""The vessels that the tracker is told of: a file, or those of the CT, of a seed, or a tube."""

from __future__ import annotations

from synthex_ros.anatomy.vessels.map_file import read_vessel_map
from synthex_ros.geometry import pose_from_parameters
from synthex_ros.simulation.vessel_room import VesselSettings, known_vessels
from synthex_ros.tracking.vessel_routes import VesselRoute, routes_from
from tracker_node.params import TrackerParams


def known_routes(params: TrackerParams) -> tuple[VesselRoute, ...]:
    """Return the routes of a wire from its entry; none where no vessels are known.

    Raises:
        ValueError, OSError: vessels that cannot be read or do not begin at the entry.
    """
    entry = pose_from_parameters(params.device_base_pose[:3], params.device_base_pose[3:])
    pose = pose_from_parameters(params.vessel_pose[:3], params.vessel_pose[3:])
    if params.vessel_map:
        tree = read_vessel_map(params.vessel_map).moved(pose)
        return routes_from(entry, tree.points_m, tree.radius_m, tree.parent)
    settings = VesselSettings(
        params.vessels, pose, params.vessel_seed, params.vessel_forks, params.vessel_radius_m
    )
    vessels = known_vessels(settings, params.anatomy, params.isocenter_patient_m)
    if vessels is None:
        return ()
    return routes_from(entry, vessels.points_m, vessels.radius_m, vessels.parent)
