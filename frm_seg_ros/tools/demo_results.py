"""What the demo makes of a replay: scores, latency, accounts, report and video."""
from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frm_seg_ros.core.encodings import to_mono, to_rgb
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.sources.bag_file import Bag
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.tools.evaluate import score_dict, write_json
from frm_seg_ros.tools.evaluation import Evaluation
from frm_seg_ros.tools.processes import ChildError
from frm_seg_ros.tools.report import model_facts, write_report
from frm_seg_ros.tools.score_text import score_table
from frm_seg_ros.tools.video import write_video

IMAGE = '/camera/image'
LABELS = '/frm_seg/label_image'
OVERLAY = '/frm_seg/overlay'
STATS = '/frm_seg/stats'
_ENOUGH = 0.97


@dataclass(frozen=True)
class Replay:
    """What a replay left behind.

    Attributes:
        bag: what was played.
        recording: bag of what the node published.
        sent_ns: time of sending by stamp, both in ns.
        sent: messages sent.
        stats: fields of the node's last SegmentationStats.
    """

    bag: Path
    recording: Path
    sent_ns: dict[int, int]
    sent: int
    stats: dict[str, Any]


def recorded_images(recording: Path, topic: str) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (stamp, time of receipt, pixels) of a topic; both times in ns.

    Pixels are (H, W) uint8 for mono8, (H, W, 3) uint8 RGB otherwise.
    """
    for _, time_ns, message in Bag(recording).messages([topic]):
        stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        yield stamp, time_ns, (to_mono if message.encoding == 'mono8' else to_rgb)(message)


def score(replay: Replay, label_space: LabelSpace) -> tuple[Evaluation, list[float]]:
    """Score the recorded labels against the truth of the frame with the same stamp.

    Returns:
        The evaluation, and the latency in milliseconds of every label image, from the sending of
        its frame to its receipt.

    Raises:
        ChildError: if a label image has the stamp of no frame, or comes out of order.
    """
    frames = iter(open_source(f'bag:{replay.bag}'))
    evaluation, latency_ms = Evaluation(label_space, replay.stats['processed']), []
    for stamp, received_ns, labels in recorded_images(replay.recording, LABELS):
        frame = next((one for one in frames if one.stamp_ns == stamp), None)
        if frame is None:
            raise ChildError(f'a label image has the stamp {stamp} ns, which was not sent, or not '
                             'in this order')
        latency_ms.append((received_ns - replay.sent_ns[stamp]) * 1e-6)
        if frame.truth is not None:
            evaluation.add(frame, np.ascontiguousarray(labels))
    return evaluation, latency_ms


def accounts(replay: Replay) -> dict[str, Any]:
    """Tell what became of the frames that were sent."""
    stats = replay.stats
    dropped = dict(zip(stats['drop_reasons'], stats['dropped']))
    return {
        'frames_sent': replay.sent,
        'frames_processed': stats['processed'],
        'frames_dropped': {reason: count for reason, count in dropped.items() if count},
        'lost_in_transport': replay.sent - stats['received'],
    }


def problems_of(replay: Replay, label_images: int, overlays: int) -> list[str]:
    """Compare what player, node and recorder counted; give a sentence for whatever is wrong."""
    stats, found = replay.stats, accounts(replay)
    lost, processed = found['lost_in_transport'], found['frames_processed']
    dropped = sum(found['frames_dropped'].values())
    problems = []
    if lost < 0:
        problems.append(f'the node received {stats["received"]} frames, though only {replay.sent} '
                        'were sent')
    if stats['lost_in_transport'] > max(lost, 0):
        problems.append(f'the node counts {stats["lost_in_transport"]} frames as lost in '
                        f'transport, but only {lost} of those sent are missing')
    if stats['received'] != processed + dropped + stats['pending'] or stats['pending']:
        problems.append(f'the node received {stats["received"]} frames, but processed '
                        f'{processed}, dropped {dropped} and still holds {stats["pending"]}')
    if label_images != processed:
        problems.append(f'the node processed {processed} frames, but {label_images} label images '
                        'were recorded')
    if overlays != label_images:
        problems.append(f'{label_images} label images, but {overlays} overlays were recorded')
    if processed < _ENOUGH * replay.sent:
        problems.append(f'only {processed} of {replay.sent} frames came out, fewer than '
                        f'{_ENOUGH:.0%}: is the machine busy with something else?')
    return problems


def judge(replay: Replay, card: ModelCard, source_text: str, out: Path,
          command: str) -> list[str]:
    """Score a replay; write summary.json, report.html and overlay.webm; print a short table.

    Returns:
        What is wrong, a sentence each; empty when all is well.
    """
    topics = Bag(replay.recording).topics
    counts = {topic: topics[topic].count if topic in topics else 0 for topic in (LABELS, OVERLAY)}
    problems = problems_of(replay, counts[LABELS], counts[OVERLAY])
    if not all(counts.values()):
        return problems or ['the player sent no frame']
    overlays = (pixels for _, _, pixels in recorded_images(replay.recording, OVERLAY))
    rate_hz = open_source(f'bag:{replay.bag}').rate_hz
    with ThreadPoolExecutor(1) as beside:
        video = beside.submit(write_video, out / 'overlay.webm', overlays, rate_hz)
        evaluation, latency_ms = score(replay, card.load_label_space())
        report = out / 'report.html'
        summary = {
            'source': source_text, 'model': card.name,
            **{key: value for key, value in score_dict(evaluation.confusion.scores()).items()
               if key in ('miou', 'iou')},
            **accounts(replay),
            'latency_ms': {f'p{rank}': round(float(np.percentile(latency_ms, rank)), 3)
                           for rank in (50, 90, 99)},
            'report': str(report),
        }
        write_report(report, evaluation, f'{card.name} on {source_text}, through the ROS node',
                     command, {'source': source_text, **model_facts(card, card.input_size)},
                     latency_ms, _account_rows(summary))
        video.result()
    write_json(out / 'summary.json', summary)
    print(_table(summary, evaluation, out))
    return problems


def _account_rows(summary: dict[str, Any]) -> dict[str, str]:
    dropped = {f'dropped: {reason}': str(count)
               for reason, count in summary['frames_dropped'].items()}
    return {'sent': str(summary['frames_sent']), 'processed': str(summary['frames_processed']),
            **dropped, 'lost in transport': str(summary['lost_in_transport'])}


def _table(summary: dict[str, Any], evaluation: Evaluation, out: Path) -> str:
    rows = {f'frames {name}': value for name, value in _account_rows(summary).items()}
    rows.update({f'latency {rank}': f'{value:.1f} ms'
                 for rank, value in summary['latency_ms'].items()})
    rows.update({'report': summary['report'], 'video': str(out / 'overlay.webm'),
                 'figures': str(out / 'summary.json')})
    scores = score_table(score_dict(evaluation.confusion.scores()))
    return '\n'.join([scores, *(f'{name:<24} {value}' for name, value in rows.items())])
