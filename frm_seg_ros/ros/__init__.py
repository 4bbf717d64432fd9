"""The ROS 2 rim: the only folder that imports rclpy and message packages."""
