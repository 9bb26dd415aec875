"""Landmarks, mask, shape and tip from radiographs."""
