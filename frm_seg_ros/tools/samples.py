"""The frames that a report shows, found again after other processes scored them."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from frm_seg_ros.core.frame import Frame, Prediction
from frm_seg_ros.core.label_map import LabelMap
from frm_seg_ros.core.metrics import ConfusionMatrix
from frm_seg_ros.sources.base import FrameSource
from frm_seg_ros.tools.evaluation import Sample, even_places, make_sample, worst_places
from frm_seg_ros.tools.scoring import Scored, in_truth_space


def find_samples(source: FrameSource, predict: Callable[[Frame], Prediction | None],
                 label_map: LabelMap | None, scored: Scored,
                 samples: int = 4) -> tuple[list[Sample], list[Sample]]:
    """Label the worst frames and some spread evenly once more.

    Args:
        source: all that was scored.
        predict: as for `score`.
        label_map: likewise.
        scored: the sum of the parts.
        samples: how many of each are wanted.

    Returns:
        The worst, the worst first, and the others in their order.
    """
    worst = worst_places(scored.evaluation.mious(), samples)
    even = sorted(even_places(len(scored.places), samples))
    made = {}
    wanted = {scored.places[index]: index for index in {*worst, *even}}
    for place, frame in _read(source, sorted(wanted)):
        frame, labels = in_truth_space(frame, predict(frame).labels, label_map)
        matrix = ConfusionMatrix(scored.evaluation.confusion.classes)
        matrix.update(frame.truth, labels)
        made[wanted[place]] = make_sample(wanted[place], frame, labels, matrix)
    return [made[index] for index in worst], [made[index] for index in even]


def _read(source: FrameSource, places: Sequence[int]) -> Iterator[tuple[int, Frame]]:
    """Yield the frames of increasing places; sources that can read one frame read no others."""
    read = getattr(source, 'frame', None)
    if read:
        yield from ((place, read(place)) for place in places)
        return
    left = set(places)
    for place, frame in enumerate(source):
        if place in left:
            left.remove(place)
            yield place, frame
            if not left:
                return
