"""From tip pose and goal to device commands."""
