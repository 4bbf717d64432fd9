"""Four cameras, each played from a bag into the node with the shipped model: nothing is lost."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')
pytest.importorskip('openvino', reason='openvino is not installed')

from rig import Rig
from test_process import SECONDS, read_until, running

from frm_seg_ros.tools.make_bag import make_bag

ROOT = Path(__file__).resolve().parents[2]
CAMERAS = ('front', 'left', 'right', 'rear')
RATE_HZ, COUNT = 5, 60
CAMVID = os.environ.get('FRM_SEG_CAMVID')   # the folder of CamVid: two cameras see it then


@pytest.mark.long
def test_the_stats_of_four_cameras_add_up_to_the_last_frame(tmp_path: Path) -> None:
    """Play more than two cores can label: what is not labelled is counted, camera by camera."""
    sources = {name: f'synthetic:{index}:{COUNT}' for index, name in enumerate(CAMERAS)}
    if CAMVID:
        sources |= {'front': f'camvid:{CAMVID}:val', 'rear': f'camvid:{CAMVID}:val'}
    sent = {name: make_bag(source, tmp_path / name) for name, source in sources.items()}
    peer = Rig(start=False, sender=None, cameras=list(CAMERAS))   # its own node stays asleep
    try:
        labels = {name: peer.listen(f'{name}/label_image') for name in CAMERAS}
        with running('-p', f'cameras:={list(CAMERAS)}', '-p', 'qos:=reliable') as process:
            read_until(process, 'model frm_b0_fast')
            players = [play(tmp_path / name, f'/{name}/image') for name in CAMERAS]
            peer.wait(lambda: all(player.poll() is not None for player in players),
                      'the end of the bags', SECONDS + 2 * max(sent.values()) / RATE_HZ)
            assert [player.returncode for player in players] == [0] * len(CAMERAS)
            peer.wait(lambda: all(
                peer.newest(name).received == sent[name] and not peer.newest(name).pending
                for name in CAMERAS), 'the last statistics', SECONDS)
        assert not peer.wrong_stats
        for name in CAMERAS:
            stats = peer.newest(name)
            assert stats.processed + sum(stats.dropped) == sent[name]
            dropped = dict(zip(stats.drop_reasons, stats.dropped, strict=True))
            assert {reason for reason, count in dropped.items() if count} <= {'overwritten'}
            assert stats.processed == len(labels[name]) > 0
        shares = [peer.newest(name).processed / sent[name] for name in CAMERAS]
        assert max(shares) <= 2 * min(shares)   # none starves
    finally:
        peer.close()


def play(bag: Path, topic: str) -> subprocess.Popen[bytes]:
    """Play a bag at a rate at which two cores cannot label four cameras."""
    paths = [str(ROOT), *filter(None, sys.path)]
    return subprocess.Popen(
        [sys.executable, '-m', 'frm_seg_ros.ros.play', str(bag), '--to', topic,
         '--reliability', 'reliable', '--rate', str(RATE_HZ)],
        env=os.environ | {'PYTHONPATH': os.pathsep.join(paths)})
