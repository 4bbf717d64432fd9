"""Play a labelled drive through the real node and score what comes out.

Node, player and recorder run as processes of their own; this one starts them, waits, and looks at
the files they leave.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import share_dir
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.tools.demo_results import IMAGE, LABELS, OVERLAY, STATS, Replay, judge
from frm_seg_ros.tools.make_bag import make_bag
from frm_seg_ros.tools.processes import (
    PROFILES,
    Child,
    ChildError,
    child_environment,
    find_executable,
    wait_until,
)
from frm_seg_ros.tools.progress import ProgressLine
from frm_seg_ros.tools.scoring import check_label_spaces

# A seed that training never sees; 20 s at 10 Hz.
_SOURCE = 'synthetic:42:200'
_SPACE = '/frm_seg/label_space'
_START_S, _SETTLE_S = 60.0, 10.0


def prepare_bag(source_text: str, label_space: LabelSpace, folder: Path) -> Path:
    """Write the bag of a source, or take the one that an earlier run wrote.

    Raises:
        ConfigError: if the source is wrong, or its truth is not in the label space.
    """
    source = open_source(source_text)
    check_label_spaces(source.label_space, label_space)
    digest = hashlib.sha256(f'{source_text} in {Path.cwd()}'.encode()).hexdigest()[:8]
    bag = folder / f'{re.sub("[^A-Za-z0-9]+", "_", source_text)[-40:]}-{digest}'
    if not bag.exists():
        print(f'writing {len(source)} frames of {source_text} to {bag}', flush=True)
        make_bag(source_text, bag, progress=ProgressLine('frames'))
    return bag


def demo_environment() -> dict[str, str]:
    """Make an environment in which the children meet each other and nobody else."""
    return {
        **child_environment(),
        'ROS_DOMAIN_ID': str(random.SystemRandom().randint(1, 101)),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        PROFILES: str(share_dir() / 'config' / 'fastdds_shm.xml'),
    }


def replay(bag: Path, model: Path, out: Path) -> Replay:
    """Play the bag into the node and record what it publishes.

    Raises:
        ChildError: if a process fails or does not get ready.
    """
    env = demo_environment()
    log, recording = out / 'sent.jsonl', out / 'recording'
    logs = out / 'log'
    logs.mkdir(parents=True, exist_ok=True)
    topics = [part for topic in (LABELS, OVERLAY, STATS, _SPACE) for part in ('--topic', topic)]
    children: list[Child] = []

    def start(name: str, *command: str) -> Child:
        children.append(Child(name, command, env, logs))
        return children[-1]

    commands = [find_executable(name) for name in ('segmentation_node', 'record', 'play')]
    try:
        node = start('node', commands[0], '--ros-args', '-p', f'model:={model}',
                     '-p', 'exit_on_failure:=true', '-r', f'image:={IMAGE}')
        recorder = start('recorder', commands[1], str(recording), *topics, '--echo', STATS,
                         '--force')
        if not wait_until(lambda: 'ready' in recorder.lines, _START_S, children):
            raise ChildError(f'the node is not ready after {_START_S:g} s{node.last_words()}')
        player = start('player', commands[2], str(bag), '--topic', IMAGE, '--log', str(log))
        wait_until(lambda: player.exit_code is not None, float('inf'), [node, recorder])
        player.join(1.0)
        sent = [json.loads(line) for line in log.read_text(encoding='utf-8').splitlines()]
        wait_until(lambda: _settled(last_stats(recorder.lines), len(sent)), _SETTLE_S,
                   [node, recorder])
        time.sleep(0.5)     # topics do not wait for one another: let the last images come in
        recorder.finish()
        node.finish()
    finally:
        for child in children:
            child.kill()
    return Replay(bag, recording, {one['stamp_ns']: one['sent_ns'] for one in sent}, len(sent),
                  last_stats(recorder.lines))


def last_stats(lines: Sequence[str]) -> dict[str, Any]:
    """Read the newest statistics that the recorder printed; all zero when there is none."""
    for line in reversed(lines):
        if line.startswith('{'):
            return json.loads(line)
    return {'received': 0, 'processed': 0, 'drop_reasons': [], 'dropped': [], 'pending': 0,
            'lost_in_transport': 0}


def _settled(stats: dict[str, Any], sent: int) -> bool:
    return stats['received'] + stats['lost_in_transport'] == sent and stats['pending'] == 0


def run_demo(source_text: str, model: str, out: Path, command: str) -> list[str]:
    """Run the demo and write its results to `out`.

    Returns:
        What is wrong with the results, a sentence each; empty when all is well.

    Raises:
        ConfigError: if source or model are wrong, or the package is not built.
        ChildError: if a process fails.
    """
    card = ModelCard.load(model)
    bag = prepare_bag(source_text, card.load_label_space(), out / 'bags')
    print('playing it through the node', flush=True)
    result = replay(bag, card.folder.resolve(), out)
    print('scoring', flush=True)
    return judge(result, card, source_text, out, command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; return 0, 1 when the results or a process are wrong, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(
        prog='python -m frm_seg_ros.tools.demo', description=__doc__.splitlines()[0],
        epilog='example: python -m frm_seg_ros.tools.demo --source camvid:CamVid:val')
    parser.add_argument('--source', default=_SOURCE, help='labelled frames (default: %(default)s)')
    parser.add_argument('--model', default='frm_b0_fast',
                        help='name of a shipped model, or its folder (default: %(default)s)')
    parser.add_argument('--out', default='demo', metavar='DIR',
                        help='folder of the results (default: %(default)s)')
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        problems = run_demo(args.source, args.model, Path(args.out),
                            shlex.join(['python', '-m', 'frm_seg_ros.tools.demo', *arguments]))
    except KeyboardInterrupt:
        print('demo: interrupted', file=sys.stderr)
        return 130
    except (ConfigError, OSError) as error:
        print(f'demo: {error}', file=sys.stderr)
        return 2
    except ChildError as error:
        problems = [str(error)]
    for problem in problems:
        print(f'demo: {problem}', file=sys.stderr)
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
