"""Commands that steer the device to its goal."""
