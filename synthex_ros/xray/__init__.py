"""Radiographs from anatomy and devices: spectrum, attenuation, projection, detector."""
