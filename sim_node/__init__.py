"""Imager and device of the simulation."""
