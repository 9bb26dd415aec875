"""The plan of the house: who may import whom, what agrees with what."""

import ast
import dataclasses
import importlib
import importlib.util
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

import synthex_ros
from synthex_ros import resources
from synthex_ros.ros import parameters

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'synthex_ros'
NODES = {
    'sim': ('sim_node.node', 'sim_node'),
    'tracker': ('tracker_node.node', 'tracker_node'),
    'control': ('control_node.node', 'control_node'),
    'recorder': ('synthex_ros.ros.recorder', 'recorder_node'),
}
ROS_MODULES = {
    'rclpy', 'launch', 'launch_ros', 'rcl_interfaces', 'lifecycle_msgs', 'rosgraph_msgs',
    'sensor_msgs', 'std_msgs', 'std_srvs', 'geometry_msgs', 'nav_msgs', 'diagnostic_msgs',
    'trajectory_msgs', 'builtin_interfaces', 'visualization_msgs', 'tf2_ros',
}  # fmt: skip
FORBIDDEN = {
    'synthex_ros.xray': (
        'synthex_ros.devices', 'synthex_ros.tracking', 'synthex_ros.control',
        'synthex_ros.rendering',
    ),
    'synthex_ros.devices': (
        'synthex_ros.xray', 'synthex_ros.tracking', 'synthex_ros.anatomy',
        'synthex_ros.rendering',
    ),
    'synthex_ros.tracking': ('synthex_ros.xray', 'synthex_ros.devices', 'synthex_ros.simulation'),
    'synthex_ros.control': ('synthex_ros.xray', 'synthex_ros.devices', 'synthex_ros.simulation'),
    'synthex_ros.anatomy': ('synthex_ros.xray', 'synthex_ros.devices', 'synthex_ros.rendering'),
    'synthex_ros.simulation': ('synthex_ros.rendering',),
    'synthex_ros.rendering': (
        'synthex_ros.tracking', 'synthex_ros.control', 'synthex_ros.learning',
        'synthex_ros.evaluation',
    ),
}  # fmt: skip


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def imports(path, top_level_only=False):
    """Return the absolute names of all modules a file imports."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    nodes = ast.iter_child_nodes(tree) if top_level_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            found |= {f'{node.module}.{alias.name}' for alias in node.names}
    return found


def inside(name, package):
    return name == package or name.startswith(f'{package}.')


LIBRARY = sorted(PACKAGE.rglob('*.py'))
IDS = [module_name(path) for path in LIBRARY]
WITHOUT_ROS = [name for name in IDS if not inside(name, 'synthex_ros.ros')]


@pytest.mark.parametrize('path', LIBRARY, ids=IDS)
def test_dependencies_point_one_way(path):
    name, found = module_name(path), imports(path)
    nodes = {item for item in found if item.split('.')[0].endswith('_node')}
    assert not nodes, 'the library does not know its nodes'
    if not inside(name, 'synthex_ros.ros') and name != 'synthex_ros.cli':
        ros = {i for i in found if i.split('.')[0] in ROS_MODULES or inside(i, 'synthex_ros.ros')}
        assert not ros, 'only synthex_ros.ros may import ROS'
    for part, others in FORBIDDEN.items():
        if inside(name, part):
            assert not {i for i in found for other in others if inside(i, other)}


@pytest.mark.parametrize('path', LIBRARY, ids=IDS)
def test_heavy_libraries_stay_where_they_belong(path):
    name = module_name(path)
    anywhere = {item.split('.')[0] for item in imports(path)}
    at_top = {item.split('.')[0] for item in imports(path, top_level_only=True)}
    if not inside(name, 'synthex_ros.learning'):
        assert 'torch' not in anywhere
    if not inside(name, 'synthex_ros.devices'):
        assert 'mujoco' not in anywhere
    assert 'cupy' not in at_top


def test_library_imports_without_ros_torch_and_cupy():
    """All modules outside `ros` and the torch part of `learning` load in a bare interpreter."""
    with_torch = {
        module_name(path) for path in LIBRARY
        if any(item.split('.')[0] in ('torch', 'onnx') for item in imports(path, True))
    }  # fmt: skip
    assert all(inside(name, 'synthex_ros.learning') for name in with_torch)
    names = [name for name in WITHOUT_ROS if name not in with_torch]
    blocked = sorted(ROS_MODULES | {'torch', 'cupy', 'onnx'})
    code = f'import sys\nsys.modules.update(dict.fromkeys({blocked}))\n' + ''.join(
        f'import {name}\n' for name in names
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_geometry_and_tracking_import_without_mujoco():
    names = [n for n in WITHOUT_ROS if n.split('.')[1:2] in (['geometry'], ['tracking'], ['xray'])]
    code = "import sys\nsys.modules['mujoco'] = None\n" + ''.join(f'import {n}\n' for n in names)
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_version_and_description_agree():
    package = ElementTree.parse(ROOT / 'package.xml').getroot()
    setup = (ROOT / 'setup.py').read_text(encoding='utf-8')
    assert package.findtext('version') == synthex_ros.__version__
    assert package.findtext('name') == re.search(r"^NAME = '(.+)'", setup, re.M)[1]
    assert package.findtext('description') == re.search(r"description='(.+)'", setup)[1]
    assert package.findtext('license') == re.search(r"license='(.+)'", setup)[1]
    assert package.find('maintainer').text == re.search(r"maintainer='(.+)'", setup)[1]
    assert package.find('export/build_type').text == 'ament_python'


def test_package_xml_names_every_message_package_in_use():
    declared = {
        item.text for item in ElementTree.parse(ROOT / 'package.xml').getroot()
        if item.tag in ('exec_depend', 'depend')
    }  # fmt: skip
    files = [*LIBRARY, *(path for name in ('sim', 'tracker', 'control')
                         for path in (ROOT / f'{name}_node').glob('*.py'))]  # fmt: skip
    used = {item.split('.')[0] for path in files for item in imports(path)} & ROS_MODULES
    assert used - {'tf2_ros', 'visualization_msgs'} <= declared


def test_executables_are_entry_points():
    setup = (ROOT / 'setup.py').read_text(encoding='utf-8')
    scripts = sorted((ROOT / 'scripts').iterdir())
    assert scripts
    for script in scripts:
        module = re.search(r'^from (\S+) import main$', script.read_text(encoding='utf-8'), re.M)[
            1
        ]
        assert f"'{script.name} = {module}:main'" in setup
        assert script.stat().st_mode & 0o111


@pytest.mark.parametrize('section', sorted(NODES))
def test_config_holds_every_default_of_its_node(section):
    module, node = NODES[section]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f'{module} is not there')
    cls = importlib.import_module(module).PARAMS
    content = yaml.safe_load(
        resources.find('config', f'{section}.yaml').read_text(encoding='utf-8')
    )
    assert list(content) == [node]
    values = dict(content[node]['ros__parameters'])
    assert values.pop('autostart') is True
    assert values == parameters.defaults(cls)
    assert list(values) == [item.name for item in dataclasses.fields(cls)]
    types = {name: type(value) for name, value in values.items()}
    assert types == {name: type(value) for name, value in parameters.defaults(cls).items()}


def test_share_files_are_found_in_checkout_and_prefix(monkeypatch, tmp_path):
    assert resources.share_folder() == ROOT
    share = tmp_path / 'share' / 'synthex_ros'
    share.mkdir(parents=True)
    (share / 'package.xml').write_text('<package/>')
    monkeypatch.setattr(resources, '__file__', str(tmp_path / 'lib' / 'x' / 'resources.py'))
    assert resources.share_folder() == share
    monkeypatch.setattr(resources, '__file__', '/nowhere/x/resources.py')
    monkeypatch.setattr(sys, 'prefix', '/nowhere')
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'/else:{tmp_path}')
    assert resources.share_folder() == share
    monkeypatch.delenv('AMENT_PREFIX_PATH')
    with pytest.raises(FileNotFoundError, match='install with ./run, pip or colcon'):
        resources.share_folder()


def kernels_made_by_functions(tree):
    """Return the names of numba kernels with a disk cache that are defined inside a function."""
    nested = [
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef)
        for inner in ast.walk(outer)
        if isinstance(inner, ast.FunctionDef) and inner is not outer
    ]
    return [
        function.name
        for function in nested
        for decorator in function.decorator_list
        if 'njit' in ast.unparse(decorator) and 'cache=True' in ast.unparse(decorator)
    ]


def test_a_kernel_inside_a_function_is_noticed():
    text = 'def make(n):\n    @nb.njit(cache=True)\n    def loop(x):\n        return n\n'
    assert kernels_made_by_functions(ast.parse(text)) == ['loop']


@pytest.mark.parametrize('path', LIBRARY, ids=module_name)
def test_compiled_kernels_are_found_again_by_the_next_process(path):
    """Numba's key of a closure differs from process to process: each would compile it anew."""
    assert kernels_made_by_functions(ast.parse(path.read_text(encoding='utf-8'))) == []
