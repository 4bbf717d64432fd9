"""From the prediction of a frame to the topics of its camera."""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from rclpy.lifecycle import LifecycleNode

from frm_seg_ros.core.frame import Prediction
from frm_seg_ros.core.label_space import IGNORE, LabelSpace
from frm_seg_ros.ros.camera_info import CameraInfoRelay
from frm_seg_ros.ros.job import Job, Stopwatch
from frm_seg_ros.ros.outputs import OUTPUTS, Labelled, Output, at_size, masked, shares
from frm_seg_ros.ros.points import Points
from frm_seg_ros.ros.publishers import Publishers
from frm_seg_ros.ros.view import View


@dataclass(frozen=True)
class Publishing:
    """What all cameras publish alike.

    Attributes:
        label_space: the space of the labels.
        outputs: by topic.
        pixel_ids: (256,) uint8: what a train id becomes in ~/label_image.
        size: (height, width) of the outputs; None for that of the camera.
        hold: waits until the readers have what the labels mean.
    """

    label_space: LabelSpace
    outputs: Mapping[str, Output]
    pixel_ids: np.ndarray
    size: tuple[int, int] | None
    hold: Callable[[], None]


class Outlet:
    """The outputs of one camera.

    Attributes:
        info: the camera's calibration, on its way to ~/camera_info.
        points: its depth images, on their way to ~/points.
    """

    def __init__(self, node: LifecycleNode, publishing: Publishing, view: View, name: str,
                 qos: str) -> None:
        """Make the topics of a camera; `name` is empty where there is one only."""
        prefix = f'~/{name}/' if name else '~/'
        self.points = Points(node, f'{name}/depth'.lstrip('/'), prefix + 'points', qos)
        self._publishing = publishing
        self._view = view
        self._publishers = Publishers(node, prefix, publishing.outputs)
        self._readers: dict[str, int] = {}
        self.info = CameraInfoRelay(node, f'{name}/camera_info'.lstrip('/'),
                                    prefix + 'camera_info')

    def wanted(self) -> set[str]:
        """Name the topics that somebody listens to.

        Waits when there are new readers: none gets labels before it has what they mean.
        """
        readers = self._publishers.wanted()
        if self.points.readers:
            readers['points'] = self.points.readers
        if any(count > self._readers.get(topic, 0) for topic, count in readers.items()):
            self._publishing.hold()
        self._readers = readers
        return set(readers)

    def due(self, topics: set[str], now: float, overlay_max_rate: float) -> set[str]:
        """Leave the overlays out of the wanted topics when they are not due yet."""
        return self._publishers.due(topics, now, overlay_max_rate)

    def publish(self, job: Job, prediction: Prediction) -> None:
        """Compute the topics that are listened to, publish them, and fill in the report."""
        watch = Stopwatch()
        frame = self._labelled(job, prediction)
        messages = self._publishers.make(job.topics - {'points'}, frame, job.report.header)
        job.report.class_shares = shares(frame.labels, len(frame.label_space.classes))
        post_ms = watch.lap_ms()
        self._publishers.publish(messages)
        self._publish_geometry(job, frame)
        work_ms = {'pre': job.report.times_ms['pre'] + prediction.times_ms['pre'],
                   'inference': prediction.times_ms['inference'], 'post': post_ms,
                   'publish': watch.lap_ms()}
        total_ms = 1e3 * (time.monotonic() - job.arrived)
        job.report.times_ms |= work_ms | {'wait': total_ms - sum(work_ms.values())}

    def _publish_geometry(self, job: Job, frame: Labelled) -> None:
        if not self.info.readers and 'points' not in job.topics:
            return
        info = self.info.scale(job.report.header, job.image.shape[:2], frame.labels.shape)
        if self.info.readers:
            self.info.publish(info)
        if 'points' in job.topics:
            self.points.publish(job.report.header, OUTPUTS['label_image'].make(frame), info)

    def _labelled(self, job: Job, prediction: Prediction) -> Labelled:
        """Bring labels and confidence to the camera's pixels, and then to the output size."""
        size = job.image.shape[:2]
        output_size = self._publishing.size or size
        labels = masked(prediction, job.parameters.min_confidence)
        labels = at_size(self._view.restore(labels, size, IGNORE), output_size)
        confidence = prediction.confidence
        if confidence is not None:
            confidence = at_size(self._view.restore(confidence, size, 0), output_size)
        return Labelled(job.image, labels, confidence, self._publishing.label_space,
                        job.parameters.overlay_alpha, self._publishing.pixel_ids)

    def close(self) -> None:
        """Remove the topics."""
        self._publishers.close()
        self.info.close()
        self.points.close()
