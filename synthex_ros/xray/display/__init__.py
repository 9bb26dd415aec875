"""From detector counts to a picture for people: separate, optional steps.

from synthex_ros.xray.display import AutomaticWindow, DisplayChain, Flip, Logarithm

chain = DisplayChain([Logarithm(), AutomaticWindow(), Flip(horizontal=True)])
picture = chain.show(counts, interval_s=1 / 15)
"""

from synthex_ros.xray.display.chain import DisplayChain, DisplayStep, eight_bit
from synthex_ros.xray.display.filters import EdgeEnhancement, Flip, TemporalFilter
from synthex_ros.xray.display.tone import (
    AutomaticWindow,
    FixedWindow,
    Inversion,
    Logarithm,
    Shutter,
)

__all__ = [
    'AutomaticWindow',
    'DisplayChain',
    'DisplayStep',
    'EdgeEnhancement',
    'FixedWindow',
    'Flip',
    'Inversion',
    'Logarithm',
    'Shutter',
    'TemporalFilter',
    'eight_bit',
]
