"""What is varied of guidewires in training data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WireSampling:
    """Ranges of the wire and of how it lies, uniform unless said otherwise.

    Attributes:
        body_diameter_m: of the core in the body [m].
        taper_length_m: over which the core narrows [m].
        jacket_diameter_m: outer diameter of the jacket [m].
        magnet_length_m: of the magnet at the tip [m].
        magnet_diameter_m: of that magnet [m].
        tip_bend_deg: greatest bend of the flexible part beside what the vessel asks for.
        vessel_share: part of the wires that lie in vessels, where the anatomy has some.
        vessels: which: 'arteries', 'upper_veins' or 'lower_veins'.
        free_length_m: of free wires, from the entry to the tip [m].
        curvature_per_m: root mean square of a free wire's curvature, uniform in log [1/m].
    """

    body_diameter_m: tuple[float, float] = (0.20e-3, 0.36e-3)
    taper_length_m: tuple[float, float] = (0.03, 0.10)
    jacket_diameter_m: tuple[float, float] = (0.4e-3, 0.7e-3)
    magnet_length_m: tuple[float, float] = (3e-3, 5e-3)
    magnet_diameter_m: tuple[float, float] = (0.5e-3, 0.8e-3)
    tip_bend_deg: float = 110.0
    vessel_share: float = 0.7
    vessels: str = 'arteries'
    free_length_m: tuple[float, float] = (0.10, 0.30)
    curvature_per_m: tuple[float, float] = (2.0, 25.0)

    def __post_init__(self):
        for name, value in vars(self).items():
            if isinstance(value, (tuple, list)):
                if len(value) != 2 or not 0 < value[0] <= value[1]:
                    raise ValueError(
                        f'{name} must be (low, high), both positive, got {tuple(value)}'
                    )
                object.__setattr__(self, name, tuple(value))
        if not 0 <= self.vessel_share <= 1:
            raise ValueError(f'vessel_share must be 0..1, got {self.vessel_share:g}')
