"""What is wanted of a bag: topics, the form of its truth, and which of its images."""
from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from frm_seg_ros.core.errors import ConfigError

MATCHES = ('stamp', 'order')


@dataclass(frozen=True)
class BagOptions:
    """Everything that can be told about a bag; what is not told is found or left out.

    Attributes:
        topic: of the images; those of several cameras with commas between them.
        truth_topic: of the label images that are the truth; one a camera, in their order.
        truth_dir: folder of label images, in place of a topic.
        truth_by: how those files are matched: `stamp`, told by their names, or `order`.
        tolerance_s: by how many seconds at most such a name may differ from the image's stamp.
        truth_coding: one of label_coding.CODINGS.
        truth_space: name or YAML file of the truth's label space; the bag's own where empty.
        start_s: leave out images recorded before; seconds from the bag's start.
        end_s: leave out images recorded then or later; None for the end of the bag.
        resize_labels: bring label images of another size than their image to it, by the nearest
            pixel.
        stride: use every `stride`-th of the images that are left, from the first on.
        predictions: topic of recorded label images, to be scored in place of a model's; one a
            camera, as truth_topic.
        predictions_coding: as truth_coding.
        predictions_space: as truth_space; that of the truth where empty.

    Raises:
        ConfigError: if a value is out of range, or two exclude each other.
    """

    topic: str = ''
    truth_topic: str = ''
    truth_dir: str = ''
    truth_by: str = 'stamp'
    tolerance_s: float = 0.0
    truth_coding: str = 'train-ids'
    truth_space: str = ''
    resize_labels: bool = False
    start_s: float = 0.0
    end_s: float | None = None
    stride: int = 1
    predictions: str = ''
    predictions_coding: str = 'train-ids'
    predictions_space: str = ''

    def __post_init__(self) -> None:
        if self.truth_dir and self.truth_topic:
            raise ConfigError(f'the truth is wanted of the topic {self.truth_topic} and of the '
                              f'folder {self.truth_dir}: name one of them')
        if self.truth_by not in MATCHES:
            raise ConfigError(f'truth cannot be matched by {self.truth_by!r}: take one of '
                              f'{", ".join(MATCHES)}')
        if not 0 <= self.tolerance_s < float('inf'):
            raise ConfigError(f'the tolerance is {self.tolerance_s} s: give 0 or more')
        if self.tolerance_s and (not self.truth_dir or self.truth_by != 'stamp'):
            raise ConfigError('a tolerance is for a folder of truth that is matched by stamp: '
                              'name the folder, or leave the tolerance out')
        if not 0 <= self.start_s < (float('inf') if self.end_s is None else self.end_s):
            raise ConfigError(f'the time from {self.start_s} s to {self.end_s} s is none: give a '
                              'start of 0 or more and a later end, in seconds')
        if self.stride < 1:
            raise ConfigError(f'the stride is {self.stride}: give 1 for every image, or more')

    @property
    def told(self) -> dict[str, Any]:
        """Give what was told, by name; nothing of what is as by default."""
        return {item.name: getattr(self, item.name) for item in fields(self)
                if getattr(self, item.name) != item.default}
