"""What the label images of a replay are worth: their hash, and scores where there is a truth."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from frm_seg_ros.core.errors import ConfigError, FrameError
from frm_seg_ros.core.frame import Frame, Prediction
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.bag import BagSource
from frm_seg_ros.sources.bag_file import Bag
from frm_seg_ros.sources.bag_labels import StampedMessages, decode_message
from frm_seg_ros.sources.label_coding import LabelCoding
from frm_seg_ros.tools.evaluate import score_dict, scored_classes
from frm_seg_ros.tools.label_hash import hash_hashes, hash_image
from frm_seg_ros.tools.scoring import find_label_map, score


def hash_labels(bag: Path, topic: str) -> tuple[str, int]:
    """Give the `hash_hashes` of all images on a topic in their order, and their number."""
    hashes = [hash_image(message.data) for _, _, message in Bag(bag).messages({topic})]
    return hash_hashes(hashes), len(hashes)


def score_labels(source: BagSource, labels: Path, topic: str,
                 space: LabelSpace | None) -> dict[str, Any]:
    """Score recorded label images against the truth of the bag that was played.

    Args:
        source: the bag that was played.
        labels: bag of the label images, mono8 train ids, with the stamps of their frames and in
            the order of these.
        topic: where they are in it.
        space: what they mean.

    Returns:
        For JSON: scores, `frames`, `unmatched`, `label_space`, `map` and `classes` as `frm-seg
        eval` has them; or only `none`, a sentence that says why there are no scores.
    """
    if source.label_space is None:
        return {'none': 'the bag has no truth, or does not tell its label space'}
    if space is None:
        return {'none': 'the node does not tell its label space: name it with --predictions-space'}
    messages = StampedMessages(message for _, _, message in Bag(labels).messages({topic}))
    coding = LabelCoding('train-ids', space)

    def predict(frame: Frame) -> Prediction | None:
        message = messages.find(frame.stamp_ns)
        if message is None:
            return None
        return Prediction(decode_message(message, coding, frame.image.shape[:2], topic))

    try:
        label_map = find_label_map(source.label_space, space)
        scored = score(source, predict, label_map)
    except (ConfigError, FrameError) as error:
        return {'none': str(error)}
    return {**score_dict(scored.evaluation.confusion.scores()), 'frames': len(scored.places),
            'unmatched': scored.unmatched, **scored_classes(source.label_space, label_map)}
