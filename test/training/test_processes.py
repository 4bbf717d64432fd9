"""Two processes over gloo learn what one learns, and score what one scores."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from data_trees import write_picture  # noqa: E402

from frm_seg_ros.core.files import share_dir  # noqa: E402
from frm_seg_ros.core.model_card import ModelCard  # noqa: E402
from frm_seg_ros.segmenter import Segmenter  # noqa: E402
from frm_seg_ros.sources.base import open_source  # noqa: E402
from frm_seg_ros.tools.scoring import evaluate  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CONFIG = share_dir() / 'config' / 'train' / 'camvid_cpu.yaml'
TORCHRUN = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2']

SMALL = """
import json, sys
import torch
from torch import nn
from frm_seg_ros.training.processes import join_processes

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
batch = torch.randn(8, 3, 12, 12)
def learn(processes):
    shared = processes.share(layers)
    shared(batch[processes.rank::processes.count]).square().mean().backward()
    norm = layers[1]
    found = {name: values.tolist() for name, values in [
        *((name, one.grad) for name, one in layers.named_parameters()),
        ('mean', norm.running_mean), ('var', norm.running_var)]}
    found['sum'] = processes.sum(torch.arange(4).numpy() + 10 * processes.rank).tolist()
    return found

with join_processes() as processes:
    found = learn(processes)   # what is shared ends before the processes part
    open(f'{sys.argv[1]}{processes.rank}.json', 'w').write(json.dumps(found))
"""


def test_gradients_and_norms_are_those_of_the_whole_batch(tmp_path):
    script = tmp_path / 'small.py'
    script.write_text(SMALL)
    for command, name in ([sys.executable], 'one'), (TORCHRUN, 'two'):
        subprocess.run([*command, script, tmp_path / name], check=True,
                       env={**os.environ, 'PYTHONPATH': str(ROOT)})
    one, *two = (json.loads((tmp_path / f'{name}.json').read_text())
                 for name in ('one0', 'two0', 'two1'))
    assert one.pop('sum') == [0, 1, 2, 3]
    assert two[0] == two[1]
    assert two[0].pop('sum') == [10, 12, 14, 16]
    for name, values in one.items():
        # float64 sums in another order
        np.testing.assert_allclose(two[0][name], values, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.fixture
def source(tmp_path):
    """Write a CamVid tree of five small frames, whose colours tell the classes."""
    rng = np.random.default_rng(0)
    for index in range(5):
        truth = rng.integers(0, 3, (8, 9)).astype(np.uint8).repeat(10, 0).repeat(12, 1)
        image = 80 * truth[:, :, None] + rng.integers(0, 40, (80, 108, 3)).astype(np.uint8)
        write_picture(tmp_path / f'data/train/images/0001TP_{index:06}.png', image)
        write_picture(tmp_path / f'data/train/labels/0001TP_{index:06}.png', truth)
    return f'camvid:{tmp_path}/data:train'


def test_a_shared_run_scores_as_one_process_does(source, tmp_path):
    arguments = ['train', CONFIG, f'sources=[{source}]', f'validation={source}', 'steps=4',
                 f'out={tmp_path}/run', 'synthetic_scenes=0', 'batch=4', 'crop=[64, 64]',
                 'contrast_samples=64', 'input_size=[80, 108]', 'validate_every=9', 'ema=0.1',
                 'checkpoint_every=2', 'init=frm_b0_fast']
    done = subprocess.run([*TORCHRUN, '-m', 'frm_seg_ros.cli', *map(str, arguments)],
                          check=True, text=True, capture_output=True)
    scores = re.findall(r'validation after (\d) steps: mIoU (\S+)', done.stderr)
    assert [step for step, _ in scores] == ['4']   # said once, by the first process
    assert done.stdout.count('written: ') == 1
    card = ModelCard.load(tmp_path / 'run' / 'frm_b0_fast')
    assert '4 of 4 steps' in card.command and '2 x cpu' in card.command
    model = Segmenter.open(card.folder, 'torch', 'cpu')
    miou = evaluate(open_source(source), model).confusion.scores().miou
    # The file holds kernels in float16: a few pixels differ from what was scored.
    assert float(scores[0][1]) == pytest.approx(miou, abs=2e-3)
    assert miou > 0.01


def test_a_batch_that_cannot_be_shared_is_refused(source, tmp_path):
    arguments = ['train', CONFIG, f'sources=[{source}]', f'out={tmp_path}/run', 'batch=3']
    done = subprocess.run([*TORCHRUN, '-m', 'frm_seg_ros.cli', *map(str, arguments)],
                          text=True, capture_output=True)
    assert done.returncode != 0
    assert 'batch is 3, which 2 processes cannot share equally' in done.stderr
