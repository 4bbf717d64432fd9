"""docs/importing.md: its commands are accepted, its options are all there, its words are true."""
from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from frm_seg_ros import cli
from frm_seg_ros.core.label_space import LabelSpace

PAGE = (Path(__file__).resolve().parent.parent / 'docs' / 'importing.md').read_text()
COMMANDS = re.findall(r'^    (frm-seg .*)$', PAGE, re.MULTILINE)


@pytest.mark.parametrize('command', COMMANDS)
def test_commands_parse(command: str) -> None:
    args = cli._parser().parse_args(shlex.split(command)[1:])
    if args.command == 'import':
        assert len(LabelSpace.load(args.labels).classes) == 19
        assert (args.size, args.mean, args.std) == (
            (512, 1024), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_every_command_that_takes_a_model_is_shown() -> None:
    shown = {shlex.split(command)[1] for command in COMMANDS}
    assert {'import', 'eval', 'bench', 'predict'} <= shown


def test_every_option_is_told() -> None:
    helped = next(action for action in cli._parser()._actions if action.dest == 'command')
    options = {action.option_strings[-1] for action in helped.choices['import']._actions
               if action.option_strings} - {'--help', '--debug', '--name', '--out'}
    assert len(options) == 8
    assert {option for option in options if f'{option}' not in PAGE} == set()


def test_the_example_is_python() -> None:
    (block,) = re.findall(r'^```python\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)
    compile(block, 'docs/importing.md', 'exec')


def test_the_other_order_of_camvid_is_another_and_of_the_same_classes() -> None:
    """The colours of the order told of are those of its publisher's color_list."""
    order = re.search(r'bicyclist, building, .*? tree', PAGE)[0].split(', ')
    ours = LabelSpace.load('camvid').names
    assert order != ours
    assert sorted(name.replace('sign', 'sign_symbol') for name in order) == sorted(ours)
