"""What has to be told beside the figures of a replay, under the keys of ros2_benchmark 4.5."""
from __future__ import annotations

import argparse
import hashlib
import platform
from pathlib import Path
from typing import Any

from frm_seg_ros.sources.bag import BagSource
from frm_seg_ros.tools.conditions import conditions
from frm_seg_ros.tools.replay_frames import ReplayFrames

_LOOPING = 1    # ros2_benchmark's BenchmarkMode
_BLOCK = 1 << 20


def facts(args: argparse.Namespace, source: BagSource, frames: ReplayFrames, output: str,
          command: str) -> dict[str, Any]:
    """Give for JSON the command, the conditions and the input; `metadata` is as ros2_benchmark's.

    INPUT_DATA_HASH is the MD5 of the bag's storage files one after another, by name.
    """
    told = conditions()
    size, digest = _content(source.bag.path)
    return {
        'command': command,
        'conditions': told,
        'frames': {'in_bag': len(frames.messages), 'left_out': frames.left_out,
                   'image_topic': source.image_topic, 'truth_topic': source.truth_topic,
                   'output': output, 'reliability': args.reliability, 'clock': args.clock,
                   'seconds': args.seconds, 'warm_up': args.warm_up},
        'clock_of_latency': 'CLOCK_MONOTONIC of the one machine on which player and monitor ran',
        'metadata': {f'BenchmarkMetadata.{name}': value for name, value in (
            ('NAME', f'replay of {source.image_topic} to {output}'),
            ('TEST_DATETIME', told['date']),
            ('DEVICE_ARCH', platform.machine()),
            ('DEVICE_OS', platform.platform()),
            ('BENCHMARK_MODE', _LOOPING),
            ('INPUT_DATA_PATH', args.bag),
            ('INPUT_DATA_SIZE', size),
            ('INPUT_DATA_HASH', digest))},
    }


def _content(bag: Path) -> tuple[int, str]:
    files = [bag] if bag.is_file() else sorted(
        file for file in bag.iterdir() if file.is_file() and file.name != 'metadata.yaml')
    digest, size = hashlib.md5(usedforsecurity=False), 0
    for path in files:
        with open(path, 'rb') as file:
            for block in iter(lambda file=file: file.read(_BLOCK), b''):
                digest.update(block)
                size += len(block)
    return size, digest.hexdigest()
