"""Frames with a bright and a dark spot, and a tracker that sees both some pixels off."""

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from synthex_ros.learning.coco import CocoWriter, annotation_of, write_image
from synthex_ros.learning.export import write_onnx

from .metadata import cm_metadata

SIZE = 128
STRIDE = 4
OFF_PX = 4
SIGMA_PX = 6.0


def spots(rng):
    """Return counts, shape (SIZE, SIZE), and where the bright and the dark spot are, (2, 2)."""
    centres = np.array([[0.3, 0.5], [0.7, 0.5]]) * SIZE + rng.uniform(-18, 18, (2, 2))
    rows, columns = np.mgrid[:SIZE, :SIZE]
    picture = 0.05 * rng.standard_normal((SIZE, SIZE))
    for sign, (u, v) in zip((1, -1), centres, strict=True):
        picture += sign * np.exp(-0.5 * ((columns - u) ** 2 + (rows - v) ** 2) / 4.0**2)
    return np.rint(3000 * np.exp(0.5 * picture)).astype(np.uint16), centres


def spot_folder(root, frames, seed, labelled=True):
    """Write a COCO folder of such frames; in every fifth one the dark spot is labelled hidden.

    Frames that are not labelled show lookalikes: nothing in them is a device.
    """
    rng = np.random.default_rng(seed)
    category = {
        'id': 1, 'name': 'continuum_manipulator', 'supercategory': 'device',
        'keypoints': ['base', 'tip'], 'skeleton': [],
    }  # fmt: skip
    writer = CocoWriter(root, {'seed': seed}, [category])
    for number in range(frames):
        counts, centres = spots(rng)
        mask = np.zeros(counts.shape, np.uint8)
        ends = [tuple(int(c) for c in point) for point in centres]
        cv2.line(mask, *ends, 1, 9)
        shown = [2, 1 if number % 5 == 0 else 2]
        name = f'{number:06d}.png'
        write_image(root, name, counts)
        image = {'id': number, 'file_name': name, 'width': SIZE, 'height': SIZE,
                 'pixel_pitch_mm': 0.582}  # fmt: skip
        found = annotation_of(number, mask > 0, np.column_stack([centres, shown]))
        writer.append([{'image': image, 'annotations': [found] if labelled else []}])
    writer.finish()
    return root


class OffTracker(nn.Module):
    """Gaussians `OFF_PX` right of a bright and of a dark spot; a device wherever it is dark."""

    fully_convolutional = True
    classes = 2

    def __init__(self):
        super().__init__()
        self.mask, self.heatmaps = nn.Conv2d(1, 1, 1), nn.Conv2d(2, 2, 1)
        for layer, weight in ((self.mask, -torch.ones(1, 1)), (self.heatmaps, torch.eye(2))):
            layer.weight.data[:] = weight[:, :, None, None]
            layer.bias.data.zero_()

    def forward(self, image):
        """Return mask logits (N, 1, H, W) and heat maps (N, 2, H / 4, W / 4)."""
        bright = functional.relu(torch.cat([image, -image], dim=1) - 1.0)
        moved = torch.cat([bright[..., -OFF_PX:], bright[..., :-OFF_PX]], dim=3)
        return self.mask(image), self.heatmaps(functional.avg_pool2d(moved, STRIDE))


def off_tracker(path):
    """Write the model file of such a tracker."""
    described = cm_metadata(SIZE, heatmap_sigma_px=SIGMA_PX)
    write_onnx(OffTracker().eval(), described, path)
    return path
