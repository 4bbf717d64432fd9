"""docs/training.md: its table is that of the code, its commands are accepted, its example runs."""
from __future__ import annotations

import re
import shlex
from dataclasses import Field, fields
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip('torch', reason='torch is not installed')

from frm_seg_ros import cli  # noqa: E402
from frm_seg_ros.core.files import share_dir  # noqa: E402
from frm_seg_ros.core.label_space import LABELS  # noqa: E402
from frm_seg_ros.core.model_card import ONNX, WEIGHTS, ModelCard  # noqa: E402
from frm_seg_ros.network.weights import load_network  # noqa: E402
from frm_seg_ros.training import loop  # noqa: E402
from frm_seg_ros.training.config import LIMITS, TrainingConfig  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / 'docs' / 'training.md').read_text(encoding='utf-8')
EXAMPLE = PAGE[PAGE.index('## Fine-tune on your robot'):PAGE.index('### 5. Drive')]
TYPES = {'bool': 'true or false', 'dict': 'a map', 'int': 'a whole number', 'str': 'text'}
# A configuration as small as can be, for the example.
TINY = ['steps=2', 'batch=2', 'crop=[64,64]', 'input_size=[96,128]', 'validate_every=2']


def blocks(text: str, kind: str) -> list[str]:
    """Give the fenced blocks of a kind."""
    return re.findall(rf'^```{kind}\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Give the arguments of every frm-seg command in the blocks of shell."""
    lines = [line.replace('-m frm_seg_ros.cli', 'frm-seg') for block in blocks(text, 'sh')
             for line in block.splitlines()]
    return [shlex.split(line.partition('frm-seg ')[2]) for line in lines if 'frm-seg ' in line]


def table() -> str:
    """Lay out the fields of a configuration with what the code says of them."""
    told = re.split(r'^        (\w+): ', TrainingConfig.__doc__.partition('Attributes:\n')[2]
                    .partition('\n\n    Raises:')[0], flags=re.MULTILINE)[1:]
    words = {name: ' '.join(text.split()).removesuffix('.')
             for name, text in zip(told[::2], told[1::2], strict=True)}
    rows = [f'| `{item.name}` | {_values(item)} '
            f'| {words[item.name]} |' for item in fields(TrainingConfig)]
    return '\n'.join(['| field | value | what |', '|---|---|---|', *rows])


def _values(item: Field) -> str:
    return LIMITS[item.name][1] if item.name in LIMITS else TYPES[item.type]


def test_the_page_shows_the_table_of_fields():
    assert table() in PAGE, f'docs/training.md wants this table:\n{table()}'


@pytest.mark.parametrize('arguments', commands(PAGE), ids=' '.join)
def test_every_command_of_the_page_is_accepted(arguments):
    if '--help' in arguments:
        with pytest.raises(SystemExit, match='0'):
            cli.main(arguments)
        return
    args = cli._parser().parse_args(arguments)
    if args.command == 'train':
        TrainingConfig.load(ROOT / args.config, args.overrides)


def test_every_shipped_configuration_and_model_folder_is_on_the_page():
    for path in (ROOT / 'config' / 'train').glob('*.yaml'):
        assert ['train', f'config/train/{path.name}'] in commands(PAGE)
        config = TrainingConfig.load(path, [])
        if path.stem in ('cityscapes', 'finetune'):
            assert f'--model {config.out}/{config.name}' in PAGE


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Stand in an empty folder that has the configurations of the checkout."""
    (tmp_path / 'config').symlink_to(share_dir() / 'config')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, 'NORM_BATCHES', 1)
    return tmp_path


def farthest(card: ModelCard, other: ModelCard) -> float:
    """Give the largest difference of a kernel or matrix outside the classifier."""
    first, second = (load_network(each).state_dict() for each in (card, other))
    return max((first[key] - second[key]).abs().max().item() for key in first
               if first[key].ndim > 1 and not key.startswith('head.classify.'))


def test_the_example_runs_from_labels_to_predictions(checkout, capsys):
    for package in ('onnx', 'onnxruntime'):
        pytest.importorskip(package, reason=f'{package} is not installed')
    (checkout / 'data' / 'robot').mkdir(parents=True)
    labels, = blocks(EXAMPLE, 'yaml')
    (checkout / 'data' / 'robot' / 'labels.yaml').write_text(labels)
    make, check = blocks(EXAMPLE, 'python')
    exec(make, {})      # noqa: S102  what the page tells its readers to run
    exec(check, {})     # noqa: S102
    said = capsys.readouterr().out
    assert re.search(r"^train 12 frames \{'floor': \d{4,}, 'obstacle': \d{4,},", said)
    assert re.search(r'^val 4 frames', said, re.MULTILINE)
    for arguments in commands(EXAMPLE):
        assert cli.main([*arguments, *(TINY if arguments[0] == 'train' else [])]) == 0
    card = ModelCard.load('runs/finetune/robot')
    assert set(card.files) == {WEIGHTS, LABELS, ONNX} and card.label_space == 'robot'
    assert farthest(card, ModelCard.load('frm_b0_fast')) < 0.01     # two steps from its start
    space = card.load_label_space()
    assert [row['name'] for row in yaml.safe_load(labels)['labels'][1:]] == space.names
    scores = capsys.readouterr().out
    assert all(re.search(rf'^{name} +[\d.-]+$', scores, re.MULTILINE) for name in space.names)
    assert 'person' in (checkout / 'robot.html').read_text()
    written = sorted((checkout / 'labelled' / 'labels').glob('*.png'))
    assert [path.name for path in written] == [f'0000{n}0.png' for n in range(4)]
    assert max(np.max(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)) for path in written) < 4
