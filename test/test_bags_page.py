"""docs/bags.md: every command in it is one that the program takes."""
from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from frm_seg_ros import cli
from frm_seg_ros.sources.bag_options import BagOptions
from frm_seg_ros.tools.shards import Shard

PAGE = Path(__file__).resolve().parent.parent / 'docs' / 'bags.md'
COMMANDS = [text.replace('$i', '0').replace('{}', '0')
            for text in re.findall(r'^    .*?(frm-seg [^#;\n]*)', PAGE.read_text(), re.M)]


@pytest.mark.parametrize('command', COMMANDS)
def test_commands_parse(command: str) -> None:
    args = cli._parser().parse_args(shlex.split(command)[1:])
    if args.command == 'eval':
        options = cli._bag_options(args)
        assert isinstance(options, BagOptions)
        assert bool(options.told) == any(word in command for word in (
            '--topic', '--truth', '--start', '--predictions'))
        assert not args.shard or Shard.parse(args.shard).count == 4


def test_every_option_for_bags_is_told_there() -> None:
    page = PAGE.read_text()
    helped = next(action for action in cli._parser()._actions if action.dest == 'command')
    told = {action.option_strings[0] for action in helped.choices['eval']._actions
            if action.dest in BagOptions.__dataclass_fields__}
    assert len(told) == len(BagOptions.__dataclass_fields__)
    assert {option for option in told if f'`{option}' not in page and f' {option} ' not in page} \
        == set()
    assert len(COMMANDS) > 8
