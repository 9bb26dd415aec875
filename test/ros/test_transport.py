"""Environment of the nodes: ours where the user has none, the user's where he has one."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from synthex_ros.ros import transport

OWN = {'FASTRTPS_DEFAULT_PROFILES_FILE': '/etc/own.xml'}


def test_bare_environment_gets_profile_and_malloc_settings():
    complete = transport.with_transport({})
    assert complete['FASTRTPS_DEFAULT_PROFILES_FILE'] == str(transport.PROFILE)
    assert complete['MALLOC_MMAP_THRESHOLD_'] == '268435456'
    assert transport.missing_settings(complete) == {}


@pytest.mark.parametrize(
    ('distribution', 'name'),
    [
        ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'),
        ('kilted', 'FASTDDS_DEFAULT_PROFILES_FILE'),
    ],
)
def test_profile_variable_follows_the_distribution(distribution, name):
    missing = transport.missing_settings({'ROS_DISTRO': distribution})
    assert [key for key in missing if 'PROFILES' in key] == [name]


def test_what_the_user_has_set_is_left_alone_and_said_so():
    environment = {**OWN, 'MALLOC_TRIM_THRESHOLD_': '1'}
    complete = transport.with_transport(environment)
    assert complete['FASTRTPS_DEFAULT_PROFILES_FILE'] == '/etc/own.xml'
    assert complete['MALLOC_TRIM_THRESHOLD_'] == '1'
    assert 'profile of the user is kept: /etc/own.xml' in transport.description(complete)


def test_segment_holds_several_of_the_largest_frames():
    root = ElementTree.parse(transport.PROFILE).getroot()
    space = {'dds': 'http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles'}
    size = int(root.find('.//dds:segment_size', space).text)
    assert size >= 4 * 1536 * 1536 * 2


def test_process_starts_itself_anew_once_with_its_arguments():
    code = (
        'import os, sys\n'
        'from synthex_ros.ros.transport import ensure_transport\n'
        'ensure_transport()\n'
        "sys.stdout.write(' '.join([os.environ['MALLOC_TRIM_THRESHOLD_'], *sys.argv[1:]]))\n"
    )
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(('MALLOC', 'FAST', 'SYNTHEX'))
    }
    result = subprocess.run(
        [sys.executable, '-c', code, 'one', 'two words'],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == '536870912 one two words'
