"""The form in which every network leaves: class probabilities instead of logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ExportedNetwork(nn.Module):
    """A network as it is exported.

    The background's logit is fixed at 0, so that C - 1 maps describe C classes. Classes that
    overlap each have a probability of their own; the background's is what the greatest leaves.
    Outputs after the first two pass unchanged.

    Args:
        network: gives (foreground logits, heat maps, ...) and has `classes`.
        overlapping: classes may share pixels.
    """

    def __init__(self, network: nn.Module, overlapping: bool = False) -> None:
        super().__init__()
        self.network = network
        self._one_foreground, self._overlapping = network.classes == 2, overlapping

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return probabilities (N, C, H, W), heat maps (N, L, H / 4, W / 4) and the rest."""
        logits, *others = self.network(image)
        if self._one_foreground:
            foreground = torch.sigmoid(logits)
            return torch.cat([1 - foreground, foreground], dim=1), *others
        if self._overlapping:
            foreground = torch.sigmoid(logits)
            background = 1 - foreground.amax(dim=1, keepdim=True)
            return torch.cat([background, foreground], dim=1), *others
        background = torch.zeros_like(logits[:, :1])
        return torch.softmax(torch.cat([background, logits], dim=1), dim=1), *others
