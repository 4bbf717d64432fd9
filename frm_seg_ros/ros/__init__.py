"""The ROS 2 rim: the only folder that imports rclpy and message packages."""
try:
    import rclpy  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != 'rclpy':
        raise
    raise SystemExit('no ROS 2 is here (there is no rclpy): source a ROS 2 workspace in which '
                     'frm_seg_ros is built, or use frm-seg, which needs none') from None
