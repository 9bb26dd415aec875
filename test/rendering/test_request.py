"""Settings: strict, with units checked and the nearest name suggested."""

import dataclasses

import numpy as np
import pytest
import yaml

from synthex_ros import resources
from synthex_ros.rendering.request import RenderSettings, make_settings
from synthex_ros.settings import load_settings


def test_config_holds_every_default():
    text = resources.find('config', 'render.yaml').read_text(encoding='utf-8')
    values = yaml.safe_load(text)
    assert list(values) == [item.name for item in dataclasses.fields(RenderSettings)]
    settings = load_settings(RenderSettings, resources.find('config', 'render.yaml'))
    assert settings == RenderSettings()


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'tube_voltage_kv': 80_000}, r'40\.\.150, got 80000; looks like volts, pass 80'),
        ({'pixel_pitch_m': 0.194}, 'looks like millimetres, pass 0.000194'),
        ({'source_to_detector_m': 1020}, 'looks like millimetres, pass 1.02'),
        ({'source_to_isocenter_m': 1.1}, r'below source_to_detector_m \(1\.02 m\), got 1\.1'),
        ({'binning': 5}, 'binning must divide detector_px, got 5 and 1536'),
        ({'formats': ('pgn',)}, "got 'pgn'; did you mean png"),
        ({'formats': ()}, 'at least one of png, tiff, npy, dicom'),
        ({'lao_degrees': 3}, "unknown setting 'lao_degrees'; did you mean lao_deg"),
        ({'seed': 1.5}, 'seed must be a whole number, got 1.5'),
        ({'seed': True}, 'seed must be a whole number'),
        ({'charge_mas': float('nan')}, 'charge_mas must be a finite number'),
        ({'charge_mas': 0.0}, 'charge_mas must be 1e-05..1000, got 0'),
        ({'device_pose': (0, 0, 0)}, 'device_pose must be 6 numbers, got 3'),
        ({'field_px': (0, 600, 0, 512)}, r'0 <= top < bottom <= 512'),
        ({'field_px': (5.5, 60, 0, 9)}, 'field_px must be a whole number'),
        ({'labels': 'heart'}, "labels must be a list, got 'heart'"),
        ({'device_unit': 'cm'}, "device_unit must be 'mm' or 'm', got 'cm'"),
        ({'anatomy': 3}, 'anatomy must be a text'),
    ],
)
def test_refused_with_the_likely_slip(values, message):
    with pytest.raises(ValueError, match=message):
        make_settings(**values)


def test_lists_arrays_and_numpy_numbers_are_taken():
    settings = make_settings(
        device_pose=np.zeros(6), labels=['heart'], lao_deg=np.float32(30), seed=np.int64(4)
    )
    assert settings.device_pose == (0.0,) * 6
    assert settings.labels == ('heart',)
    assert (settings.lao_deg, settings.seed) == (30.0, 4)
    assert type(settings.seed) is int
    assert settings.with_(seed=5).seed == 5


def test_unknown_key_of_a_file_is_named_with_the_nearest(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('tube_voltage: 80\n', encoding='utf-8')
    with pytest.raises(ValueError, match=r"\['tube_voltage'\].*did you mean tube_voltage_kv\?"):
        load_settings(RenderSettings, path)
