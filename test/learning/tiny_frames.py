"""Small frames with tiny devices, and what a model of them says about itself."""

from synthex_ros.learning.sampling import SceneSampling
from synthex_ros.learning.tiny_scene import TinySampling
from synthex_ros.tracking.detector import DetectorMetadata

META = DetectorMetadata('1', 0.291, ('background', 'sphere', 'soft_robot'), tile_px=256)
SAMPLING = TinySampling(
    scene=SceneSampling(
        anatomies={'phantoms': 1.0}, phantom_count=1, image_px=256, frames_per_view=4,
        negative_share=0.0,
    ),
    size_mm=(3.0, 5.0),
)  # fmt: skip
