"""The page on GPUs: its commands are taken, its figures are those that were measured."""
import json
import re
import shlex

import pytest
from tensorrt_api import VERSIONS

from frm_seg_ros import cli
from frm_seg_ros.core.files import share_dir

ROOT = share_dir()
PAGE = (ROOT / 'docs/gpu.md').read_text(encoding='utf-8')
COMMANDS = re.findall(r'^frm-seg .+$', PAGE, re.M)


def test_there_are_commands():
    assert len(COMMANDS) >= 3


@pytest.mark.parametrize('line', COMMANDS)
def test_commands_are_taken(line):
    cli._parser().parse_args(shlex.split(line)[1:])


def test_programs_are_there():
    for name in re.findall(r'benchmarks/\S+?\.(?:py|json)|test/\w+\.py', PAGE):
        assert (ROOT / name).is_file(), name


def test_figures_are_those_of_the_file():
    results = json.loads((ROOT / 'benchmarks/results/low-precision.json').read_text())['results']
    miou = {(case['precision'], *case['size']): f'{100 * case["miou"]:.2f}' for case in results}
    assert miou['float32', 360, 480] == miou['float16', 360, 480] == '57.54'
    losses = [float(miou['float32', height, 480]) - float(miou['int8', height, 480])
              for height in (360, 384)]
    assert [round(loss, 1) for loss in losses] == [1.2, 1.4]
    assert '1.2 to 1.4 points of mIoU' in PAGE


def test_the_table_names_the_tags_that_were_read():
    for tag in VERSIONS.values():
        assert tag in PAGE, tag
