"""The simulated operating room: imager, device, anatomy and time, without ROS."""
