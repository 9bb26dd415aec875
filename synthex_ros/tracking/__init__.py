"""From a radiograph to landmarks, shape and tip pose."""
