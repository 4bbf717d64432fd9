"""The camera's calibration, brought to the size of the outputs."""
from __future__ import annotations

from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from frm_seg_ros.ros.publishers import create_output


class CameraInfoRelay:
    """Publishes the newest calibration of a camera, scaled, with the header of each frame."""

    def __init__(self, node: LifecycleNode, topic: str, output: str) -> None:
        """Publish on `output`; `subscribe` listens to `topic`."""
        self._node = node
        self._topic = topic
        self._newest: CameraInfo | None = None
        self._told = False
        self._publisher = create_output(node, CameraInfo, output)
        self._subscription: Any = None

    def subscribe(self) -> None:
        """Listen; best effort connects to every publisher."""
        self._subscription = self._node.create_subscription(
            CameraInfo, self._topic, self._take,
            QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))

    def unsubscribe(self) -> None:
        """Stop listening."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def close(self) -> None:
        """Remove the topic."""
        self._node.destroy_lifecycle_publisher(self._publisher)

    def _take(self, message: CameraInfo) -> None:
        self._newest = message

    @property
    def readers(self) -> int:
        """Number of those who listen."""
        return self._publisher.get_subscription_count()

    def publish(self, info: CameraInfo | None) -> None:
        """Publish what `scale` gave, if it gave something."""
        if info is not None:
            self._publisher.publish(info)

    def scale(self, header: Any, image_size: tuple[int, int],
              output_size: tuple[int, int]) -> CameraInfo | None:
        """Give the calibration for a frame; None when none of its size has come."""
        info = self._newest
        if info is None:
            return None
        if seen_size(info) != image_size:
            if not self._told:
                self._told = True
                self._node.get_logger().warning(
                    f'{self._topic} is of images of {_text(seen_size(info))}, the images are '
                    f'{_text(image_size)} (height x width), so it is not used')
            return None
        return scaled(info, output_size, header)


def seen_size(info: CameraInfo) -> tuple[int, int]:
    """Give the (height, width) of the images that a CameraInfo belongs to.

    Its own height and width are those of the calibration; what is published is the region of
    interest of that (0 stands for all of it), divided by the binning (0 stands for 1):
    sensor_msgs/CameraInfo.
    """
    rows, columns = _region(info)[2:]
    return rows // max(info.binning_y, 1), columns // max(info.binning_x, 1)


def _region(info: CameraInfo) -> tuple[int, int, int, int]:
    """Give top, left, height and width of what the camera publishes, before binning."""
    roi = info.roi
    return (roi.y_offset, roi.x_offset, roi.height or info.height - roi.y_offset,
            roi.width or info.width - roi.x_offset)


def scaled(info: CameraInfo, size: tuple[int, int], header: Any) -> CameraInfo:
    """Give the calibration of the same view as an image of another size.

    Region of interest and binning are worked into the matrices and then left out, so that the
    result describes an image of `size` by itself. With pixel centres at whole numbers, as in
    OpenCV's calibration, shrinking `n` pixels to `m` takes the pixel x to (x + 0.5) m/n - 0.5:
    what OpenCV's resize does (half-pixel centres). So for a region that starts at x0

        f' = f s    c' = (c - x0 + 0.5) s - 0.5    T' = T s    skew' = skew s    with s = m/n

    (T: the fourth column of P, which is minus the focal length times the baseline.) Distortion and
    rectification are of rays, not of pixels, and stay.

    Args:
        info: of the camera.
        size: (height, width) wanted.
        header: of the result.
    """
    top, left = _region(info)[:2]
    seen = seen_size(info)   # whole pixels only: what binning leaves over at the end is not seen
    sy = size[0] / (seen[0] * max(info.binning_y, 1))
    sx = size[1] / (seen[1] * max(info.binning_x, 1))
    k, p = list(info.k), list(info.p)
    for matrix, row_length in ((k, 3), (p, 4)):
        if not any(matrix):   # not calibrated: stays zero
            continue
        for column in range(row_length):
            matrix[column] *= sx
            matrix[row_length + column] *= sy
        matrix[2] += (0.5 - left) * sx - 0.5
        matrix[row_length + 2] += (0.5 - top) * sy - 0.5
    return CameraInfo(header=header, height=size[0], width=size[1],
                      distortion_model=info.distortion_model, d=info.d, k=k, r=info.r, p=p)


def _text(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]}'
