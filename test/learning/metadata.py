"""What a tracker model of these tests says about itself."""

from synthex_ros.tracking.metadata import ModelMetadata


def cm_metadata(size, **changes):
    """Metadata of a network for the continuum manipulator in square images of `size` pixels."""
    values = {
        'version': '1',
        'input_name': 'image',
        'input_shape': (1, 1, size, size),
        'pixel_pitch_mm': 0.582,
        'mask_name': 'mask',
        'heatmaps_name': 'heatmaps',
        'classes': ('background', 'continuum_manipulator'),
        'landmarks': ('base', 'tip'),
        'heatmap_sigma_px': 7.0,
        'heatmap_stride': 4,
        'mask_stride': 1,
    }
    return ModelMetadata(**{**values, **changes})
