"""Digital subtraction angiography: what contrast agent in vessels adds to a radiograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthex_ros.bodies import Body, TriangleMesh
from synthex_ros.geometry import View
from synthex_ros.xray.compounds import MATERIALS, register_material
from synthex_ros.xray.renderer import Renderer

_LIFT = 3.0

AGENT_MG_ML = 350.0
"""Iodine in the undiluted agent, the material `iodine_contrast` [mg/mL]."""


@dataclass(frozen=True, eq=False)
class Roadmap:
    """A subtracted pair of radiographs.

    Attributes:
        density: logarithm of mask over fill, shape (rows, columns), float32; 0 without agent.
        mask_counts: mean radiograph with blood in the vessels, shape (rows, columns), float32.
        fill_counts: the same with contrast agent.
        vessels: pixels behind the vessels, shape (rows, columns), bool.
        view: geometry and pose of both exposures.
    """

    density: NDArray[np.float32]
    mask_counts: NDArray[np.float32]
    fill_counts: NDArray[np.float32]
    vessels: NDArray[np.bool_]
    view: View

    def picture(self, black_density: float | None = None) -> NDArray[np.uint8]:
        """Return the roadmap with dark vessels on light grey, patient's left on the right.

        Thin vessels are lifted: grey follows the logarithm of 1 + 3 density / black_density.

        Args:
            black_density: density shown black [1]; default the 99.5th percentile in vessels.
        """
        if black_density is None:
            seen = self.density[self.vessels]
            black_density = float(np.percentile(seen, 99.5)) if seen.size else 1.0
        share = self.density / max(black_density, 1e-6)
        shown = np.sign(share) * np.log1p(_LIFT * np.abs(share)) / np.log1p(_LIFT)
        return np.round(220 - 200 * shown).clip(0, 255).astype(np.uint8)[:, ::-1]


def contrast_blood(iodine_mg_ml: float) -> str:
    """Return the name of a material: blood with iodinated agent, made when first asked for.

    The agent replaces its own volume of blood.

    Args:
        iodine_mg_ml: iodine in the mixture, 1..350 mg/mL; some 40 in an aorta, more where the
            agent is injected into a small artery.
    """
    if not 1 <= iodine_mg_ml <= AGENT_MG_ML:
        raise ValueError(f'iodine_mg_ml must be 1..{AGENT_MG_ML:g} mg/mL, got {iodine_mg_ml:g}')
    share = iodine_mg_ml / AGENT_MG_ML
    agent = share * MATERIALS['iodine_contrast'].density_g_cm3
    blood = (1 - share) * MATERIALS['blood'].density_g_cm3
    total = agent + blood
    name = f'blood_iodine_{iodine_mg_ml:g}'
    parts = {'iodine_contrast': agent / total, 'blood': blood / total}
    register_material(name, {n: p for n, p in parts.items() if p > 0}, total)
    return name


def make_roadmap(
    renderer: Renderer,
    view: View,
    vessels: TriangleMesh,
    rng: np.random.Generator,
    *,
    world_from_vessels: NDArray[np.float64] | None = None,
    iodine_mg_ml: float = 40.0,
    averaged_frames: int = 8,
) -> Roadmap:
    """Return the roadmap of vessels: exposures with blood and with agent inside, subtracted.

    What the CT has inside the vessels, such as agent of the CT's own injection, is replaced in
    both exposures.

    Args:
        renderer: of the scene around the vessels.
        view: geometry and pose of both exposures.
        vessels: closed mesh of the lumen's surface.
        rng: generator of the noise.
        world_from_vessels: pose of the mesh in `world`, shape (4, 4) [m]; default the scene's
            patient, which fits a mesh in `patient_lps`.
        iodine_mg_ml: iodine in the vessels [mg/mL].
        averaged_frames: noisy exposures of each kind, 1 or more; their mean is subtracted.
    """
    if averaged_frames < 1:
        raise ValueError(f'averaged_frames must be 1 or more, got {averaged_frames}')
    pose = renderer.scene.world_from_patient if world_from_vessels is None else world_from_vessels
    means, vessel_pixels = [], np.zeros(view.geometry.shape_px, bool)
    for material in ('blood', contrast_blood(iodine_mg_ml)):
        body = Body(vessels, material, pose, label=1)
        total = np.zeros(view.geometry.shape_px)
        for _ in range(averaged_frames):
            shot = renderer.render(view, [body], rng)
            total += shot.counts
        means.append((total / averaged_frames).astype(np.float32))
        vessel_pixels |= shot.mask > 0
    blood, filled = (np.maximum(mean, 1) for mean in means)
    return Roadmap(np.log(blood / filled), means[0], means[1], vessel_pixels, view)
