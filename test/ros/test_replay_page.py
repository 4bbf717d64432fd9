"""docs/replay.md: every command in it is one that the programs take, every option is told."""
from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed: no ROS 2 is sourced')

from frm_seg_ros.ros import replay  # noqa: E402

PAGE = (Path(__file__).resolve().parents[2] / 'docs' / 'replay.md').read_text()
COMMANDS = re.findall(r'^    ros2 run frm_seg_ros replay (.*)', PAGE.replace('\\\n', ''), re.M)


@pytest.mark.parametrize('command', COMMANDS)
def test_commands_parse(command: str) -> None:
    assert replay._arguments(shlex.split(command)).bag == 'drive'


def test_all_keys_and_options_exist() -> None:
    assert len(COMMANDS) >= 3
    options = {word for action in replay._parser()._actions for word in action.option_strings}
    told = set(re.findall(r'`(--[a-z-]+)', PAGE))
    assert told <= options
