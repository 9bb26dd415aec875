"""One phantom for all tests of rendering."""

import pytest

from synthex_ros.rendering.request import RenderSettings
from synthex_ros.rendering.studio import Studio

SMALL = {'anatomy': 'phantom', 'binning': 12, 'anatomy_px': 128}
"""128 x 128 pixels of the phantom."""


@pytest.fixture(scope='session')
def studio():
    return Studio(RenderSettings(**SMALL))
