"""The notched, cable-driven continuum manipulator."""
