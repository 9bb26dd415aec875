"""The only part of the library that imports rclpy."""
