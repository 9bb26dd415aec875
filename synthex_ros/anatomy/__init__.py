"""CT volumes in patient coordinates and what they are made of."""
