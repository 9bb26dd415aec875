"""Devices that move under X-ray guidance."""
