"""Magnetic actuation: field sources and the devices that they move."""
