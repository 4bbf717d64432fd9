"""Labelled points: the label image laid over a registered depth image."""
from __future__ import annotations

import array
import threading
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

from frm_seg_ros.core.depth import to_metres
from frm_seg_ros.core.errors import FrameError
from frm_seg_ros.ros.outputs import at_size
from frm_seg_ros.ros.publishers import create_output
from frm_seg_ros.ros.subscription import ImageSubscription

HELD = 8   # depth images that wait for their labels
_POINT = np.dtype({'names': ['x', 'y', 'z', 'label'], 'formats': ['<f4', '<f4', '<f4', 'u1'],
                   'offsets': [0, 4, 8, 12], 'itemsize': 16})


class Points:
    """Publishes ~/points; listens to the depth image only while somebody listens to that."""

    def __init__(self, node: LifecycleNode, topic: str, output: str, qos: str) -> None:
        """Publish on `output`; `topic` is that of the depth image, `qos` as the parameter."""
        self._node = node
        self._topic = topic
        self._qos = qos
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._held: dict[tuple[int, int], Image] = {}
        self._publisher = create_output(node, PointCloud2, output)
        self._subscription: ImageSubscription | None = None

    @property
    def readers(self) -> int:
        """Number of those who listen."""
        return self._publisher.get_subscription_count()

    def look(self) -> None:
        """Subscribe to the depth image, or stop, as there are readers."""
        if self.readers and self._subscription is None:
            self._subscription = ImageSubscription(
                self._node, Image, self._topic, self._qos, self._take, lambda _: None)
        elif not self.readers:
            self.unsubscribe()

    def unsubscribe(self) -> None:
        """Stop listening."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        with self._lock:
            self._held.clear()

    def close(self) -> None:
        """Remove the topic."""
        self._node.destroy_lifecycle_publisher(self._publisher)

    def _take(self, message: Image) -> None:
        with self._lock:
            self._held[message.header.stamp.sec, message.header.stamp.nanosec] = message
            while len(self._held) > HELD:
                del self._held[next(iter(self._held))]

    def publish(self, header: Any, labels: np.ndarray, info: CameraInfo | None) -> None:
        """Publish the points of a frame, if its depth image and a calibration have come.

        Args:
            header: of the frame; the depth image is the one of this very stamp.
            labels: (H, W) uint8, as in ~/label_image.
            info: calibration of an image of that size; None when there is none.
        """
        with self._lock:
            depth = self._held.pop((header.stamp.sec, header.stamp.nanosec), None)
        if info is None or not info.k[0]:
            self._tell('there is no calibrated camera_info of the images, so ~/points stays empty')
        elif depth is not None:
            try:
                metres = at_size(to_metres(depth), labels.shape)
            except FrameError as error:
                self._tell(str(error))
                return
            self._publisher.publish(cloud_message(header, metres, labels, info))

    def _tell(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self._node.get_logger().warning(sentence)


def cloud_message(header: Any, metres: np.ndarray, labels: np.ndarray,
                  info: CameraInfo) -> PointCloud2:
    """Make an organised cloud, one point a pixel in rows, NaN where there is no depth.

    A pinhole camera's: x = (u - cx) z / fx, y = (v - cy) z / fy, in the optical frame, with the
    focal lengths and centre of P, the rectified image; of K where P is empty.

    Args:
        header: of the result.
        metres: (H, W) float32.
        labels: (H, W) uint8.
        info: calibration of an image of H x W.
    """
    fx, cx, fy, cy = (info.p[0], info.p[2], info.p[5], info.p[6]) if info.p[0] else (
        info.k[0], info.k[2], info.k[4], info.k[5])
    height, width = labels.shape
    points = np.zeros(labels.shape, _POINT)
    points['z'], points['label'] = metres, labels
    points['x'] = metres * ((np.arange(width) - cx) / fx).astype(np.float32)
    points['y'] = metres * ((np.arange(height) - cy) / fy).astype(np.float32)[:, None]
    fields = [PointField(name=name, offset=_POINT.fields[name][1], count=1,
                         datatype=PointField.UINT8 if name == 'label' else PointField.FLOAT32)
              for name in _POINT.names]
    return PointCloud2(header=header, height=height, width=width, fields=fields,
                       is_bigendian=False, point_step=_POINT.itemsize,
                       row_step=width * _POINT.itemsize, is_dense=False,
                       data=array.array('B', points.tobytes()))
