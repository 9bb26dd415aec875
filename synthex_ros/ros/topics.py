"""Every topic and service name of the interface, relative to the node's namespace.

Message types and QoS stand beside the names; nodes use the constants, never literals.
"""

from __future__ import annotations

# Imager.
IMAGE_RAW = 'carm/image_raw'  # sensor_msgs/Image mono16, published last
CAMERA_INFO = 'carm/camera_info'  # sensor_msgs/CameraInfo
CARM_POSE = 'carm/pose'  # geometry_msgs/PoseStamped: source frame in world
EXPOSURE = 'carm/exposure'  # diagnostic_msgs/DiagnosticArray
CARM_JOINT_STATES = 'carm/joint_states'  # sensor_msgs/JointState
CARM_MOVE_JP = 'carm/move_jp'  # trajectory_msgs/JointTrajectory
BEAM_ON = 'carm/beam_on'  # service std_srvs/SetBool
PULSE = 'carm/pulse'  # service std_srvs/Trigger

# Tracker.
MASK = 'tracker/mask'  # sensor_msgs/Image mono8, class ids
CLASS_NAMES = 'tracker/class_names'  # std_msgs/String, latched JSON list
LANDMARK_NAMES = 'tracker/landmark_names'  # std_msgs/String, latched JSON list
SCORE_GATE = 'tracker/score_gate'  # std_msgs/Float64, latched: found above this score
CENTERLINE = 'tracker/centerline'  # nav_msgs/Path in world
MEASURED_CP = 'tracker/measured_cp'  # geometry_msgs/PoseWithCovarianceStamped: tip in world
LANDMARKS = 'tracker/landmarks'  # sensor_msgs/PointCloud2 u, v, score, id; published last

# Device.
MEASURED_JS = 'device/measured_js'  # sensor_msgs/JointState
SERVO_JP = 'device/servo_jp'  # sensor_msgs/JointState
MOVE_JP = 'device/move_jp'  # trajectory_msgs/JointTrajectory
SERVO_FIELD = 'device/servo_field'  # sensor_msgs/MagneticField
MEASURED_FIELD = 'device/measured_field'  # sensor_msgs/MagneticField
SERVO_WRENCH = 'device/servo_wrench'  # geometry_msgs/WrenchStamped
SERVO_POINT = 'device/servo_point'  # geometry_msgs/PointStamped: where field and force are wanted
COIL_CURRENTS = 'device/coil_currents'  # sensor_msgs/JointState, effort = A
ENABLE = 'device/enable'  # service std_srvs/SetBool
RESET_FAULT = 'device/reset_fault'  # service std_srvs/Trigger

# Goals.
TARGET = 'control/target'  # geometry_msgs/PoseStamped
PATH = 'control/path'  # nav_msgs/Path
TELEOP = 'control/teleop'  # geometry_msgs/TwistStamped
JOY = 'control/joy'  # sensor_msgs/Joy
CONFIRM = 'control/confirm'  # service std_srvs/Trigger: go on from a waypoint

# Simulator.
PAUSE = 'sim/pause'  # service std_srvs/SetBool
STEP = 'sim/step'  # service std_srvs/Trigger
RESET = 'sim/reset'  # service std_srvs/Trigger
TRUTH = 'sim/ground_truth'
TRUTH_TIP = f'{TRUTH}/tip'  # geometry_msgs/PoseStamped
TRUTH_LANDMARKS = f'{TRUTH}/landmarks'  # sensor_msgs/PointCloud2
TRUTH_MASK = f'{TRUTH}/mask'  # sensor_msgs/Image mono8
TRUTH_CENTERLINE = f'{TRUTH}/centerline'  # nav_msgs/Path

# Absolute: one a graph, whatever the namespace.
CLOCK = '/clock'  # rosgraph_msgs/Clock
DIAGNOSTICS = '/diagnostics'  # diagnostic_msgs/DiagnosticArray
