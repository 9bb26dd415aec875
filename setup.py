"""Python and ROS 2 (ament_python) package description."""

import re
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'synthex_ros'
VERSION = re.search(
    r"__version__ = '(.+)'", Path(NAME, '__init__.py').read_text(encoding='utf-8')
)[1]
ROS = [
    'ros-jazzy-rclpy',
    'ros-jazzy-common-interfaces',
    'ros-jazzy-rmw-fastrtps-cpp',
    'ros-jazzy-lifecycle-msgs',
    'ros-jazzy-rosgraph-msgs',
]
DEV = [
    'ros-jazzy-domain-coordinator',
    'pytest',
    'pytest-timeout',
    'pytest-xdist',
    'hypothesis',
    'magpylib',
    'ruff',
    'mypy',
    # compiles the CUDA kernels without a GPU; 24 MB, later ones are 90
    'nvidia-cuda-nvrtc-cu12>=12.4,<12.5; platform_system == "Linux"',
]

setup(
    name=NAME,
    version=VERSION,
    description='Closed-loop X-ray guidance on ROS 2: from radiograph to robot command.',
    license='Apache-2.0',
    author='synthex_ros developers',
    maintainer='synthex_ros developers',
    maintainer_email='maintainers@synthex-ros.invalid',
    python_requires='>=3.10,<3.14',
    packages=find_packages(include=[NAME, f'{NAME}.*', '*_node']),
    package_data={NAME: ['**/data/*', 'py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        (f'lib/{NAME}', glob('scripts/*_node')),
        (f'share/{NAME}/launch', glob('launch/*.launch.py')),
        (f'share/{NAME}/config', glob('config/*.*')),
        (f'share/{NAME}/config/coils', glob('config/coils/*.*')),
        (f'share/{NAME}/models', glob('models/*.*')),
    ],
    install_requires=[
        'setuptools',
        'numpy',
        'scipy',
        'scikit-image',
        'numba',
        'SimpleITK',
        'pydicom>=3',
        'xraylib',
        'opencv-python-headless',
        'onnxruntime',
        'mujoco',
        'daqp',
        'trimesh',
        'transforms3d',
        'pyyaml',
        'rich',
        'pillow',
        'matplotlib',
        'mcap',
        'zstandard',
        'rosbags',
        'pycocotools',
    ],
    extras_require={
        'ros': ROS,
        'train': ['torch==2.13.0', 'onnx'],
        'ray': ['ray'],
        'gpu': ['cupy-cuda12x[ctk]>=14', 'onnxruntime-gpu'],
        'dev': DEV,
    },
    zip_safe=False,
    entry_points={
        'console_scripts': [
            'sim_node = sim_node.node:main',
            'tracker_node = tracker_node.node:main',
            'control_node = control_node.node:main',
            'recorder_node = synthex_ros.ros.recorder:main',
            'synthex = synthex_ros.cli:main',
        ],
    },
)
