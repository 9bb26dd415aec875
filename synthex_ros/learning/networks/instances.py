"""The compact network for several devices at once: it also says where each device's centre is.

Besides mask and landmark maps it gives a heat map of instance centres and, for every cell, the
vector to the centre of the device that it belongs to, as Panoptic-DeepLab does (Cheng et al.,
CVPR 2020). Masks and landmarks are shared among devices by these votes
(`synthex_ros.tracking.instances`). A reader of mask and landmarks alone sees a tracker model.
"""

from __future__ import annotations

from torch import Tensor, nn

from synthex_ros.learning.networks.blocks import convolution
from synthex_ros.learning.networks.compact import WIDTHS, TrackerNetwork

VOTE_SCALE_PX = 64.0
"""A vote of 1 inside the network is this many pixels: the order of a device's length."""

_FEATURES = 24


class InstanceNetwork(TrackerNetwork):
    """Mask logits, landmark heat maps, centre heat map and votes of a normalised radiograph.

    Args:
        landmarks: number of landmarks L.
        classes: number of classes C, background included.
        widths: channels at 1/2, 1/4, ... of the input size.
    """

    def __init__(
        self, landmarks: int = 2, classes: int = 2, widths: tuple[int, ...] = WIDTHS
    ) -> None:
        super().__init__(landmarks, classes, widths)
        self.centres = nn.Sequential(convolution(widths[1], _FEATURES), nn.Conv2d(_FEATURES, 1, 1))
        self.votes = nn.Sequential(
            convolution(widths[1], _FEATURES, 5), nn.Conv2d(_FEATURES, 2, 1)
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return foreground logits, heat maps, centres and votes.

        Args:
            image: shape (N, 1, H, W), float32; H and W multiples of 32.

        Returns:
            logits (N, C - 1, H, W), heat maps (N, L, H / 4, W / 4), centre heat map
            (N, 1, H / 4, W / 4), votes (du, dv) (N, 2, H / 4, W / 4) [px].
        """
        half, x = self.encode(image)
        logits, heatmaps = self.segment(half, x), self.heatmaps(x)
        return logits, heatmaps, self.centres(x), VOTE_SCALE_PX * self.votes(x)
