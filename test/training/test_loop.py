"""A run that is killed and resumed equals one that is not; its model opens."""
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from training_config import config_with  # noqa: E402

from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.core.files import share_dir  # noqa: E402
from frm_seg_ros.core.model_card import WEIGHTS, ModelCard  # noqa: E402
from frm_seg_ros.network.segmentation import VARIANTS, build_network  # noqa: E402
from frm_seg_ros.network.weights import load_network, save_weights  # noqa: E402
from frm_seg_ros.training.loop import learning_rate, loss_of, parameter_groups  # noqa: E402

CONFIG = share_dir() / 'config' / 'train' / 'frm_b0_fast.yaml'


@pytest.fixture
def source(tmp_path):
    """Write a CamVid tree of four small frames."""
    rng = np.random.default_rng(0)
    for kind in ('images', 'labels'):
        (tmp_path / 'data' / 'train' / kind).mkdir(parents=True)
    for i in range(4):
        truth = rng.integers(0, 11, (10, 12)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
        image = rng.integers(0, 255, (80, 96, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f'data/train/images/0001TP_{i:06}.jpg'), image)
        cv2.imwrite(str(tmp_path / f'data/train/labels/0001TP_{i:06}.png'), truth)
    return f'camvid:{tmp_path}/data:train'


def command(source, out, steps):
    program = ('import sys, torch; torch.set_num_threads(1)\n'
               'from frm_seg_ros.training.loop import train\n'
               'if __name__ == "__main__": train(sys.argv[1], sys.argv[2:])')
    return [sys.executable, '-c', program, str(CONFIG), f'source={source}', f'out={out}',
            f'steps={steps}', 'synthetic_scenes=0', 'crop=[64, 64]', 'batch=2', 'warm_up=2',
            'checkpoint_every=1']


def test_killed_and_resumed_equals_uninterrupted(source, tmp_path):
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    subprocess.run(command(source, whole, 6), check=True)
    child = subprocess.Popen(command(source, broken, 6))
    checkpoint = broken / 'last.safetensors'
    end = time.monotonic() + 100
    while not checkpoint.exists() and child.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert checkpoint.exists()
    assert not (broken / 'frm_b0_fast' / WEIGHTS).exists()
    subprocess.run(command(source, broken, 6), check=True)
    first, second = (folder / 'frm_b0_fast' / WEIGHTS for folder in (whole, broken))
    assert first.read_bytes() == second.read_bytes()
    card = ModelCard.load(second.parent)
    assert card.label_space == 'camvid'
    assert load_network(card)(torch.zeros(1, 3, 64, 64)).isfinite().all()
    other = subprocess.run(command(source, broken, 7), stderr=subprocess.PIPE, text=True)
    assert other.returncode != 0 and 'was written with another steps' in other.stderr


def test_learning_rate_rises_then_falls():
    config = config_with(steps=100, warm_up=10, learning_rate=1.0)
    rates = [learning_rate(config, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == max(rates)
    assert rates[50] == pytest.approx(0.5 ** 0.9)
    assert 0 < rates[99] < 0.02


def test_only_matrices_and_kernels_decay():
    network = build_network({**VARIANTS['frm_b0_fast'], 'classes': 2})
    decayed, free = parameter_groups(network, 0.5)
    assert (decayed['weight_decay'], free['weight_decay']) == (0.5, 0.0)
    assert {p.ndim for p in decayed['params']} == {4}
    assert {p.ndim for p in free['params']} == {1}
    assert len(decayed['params']) + len(free['params']) == len(list(network.parameters()))


def test_loss_is_the_weighted_mean_over_counted_pixels():
    class Fixed(torch.nn.Module):
        def forward(self, _):
            return torch.tensor([1.0, 3.0])[None, :, None, None].expand(1, 2, 2, 2)

    truth = torch.tensor([[[0, 1], [255, 255]]], dtype=torch.uint8)
    loss = loss_of(Fixed(), torch.zeros(1, 3, 8, 8), truth, torch.tensor([1.0, 3.0]))
    right, wrong = -np.log(1 / (1 + np.exp(-2))), -np.log(1 / (1 + np.exp(2)))
    assert loss.item() == pytest.approx((1 * wrong + 3 * right) / 4, rel=1e-5)


def test_weights_of_another_architecture_are_refused(tmp_path):
    network = build_network({**VARIANTS['frm_b0_fast'], 'classes': 2})
    save_weights(network, tmp_path / WEIGHTS)
    from frm_seg_ros.core.files import sha256
    card = ModelCard(
        folder=tmp_path, name='two', architecture={**VARIANTS['frm_b0_fast'], 'classes': 3},
        files={WEIGHTS: sha256(tmp_path / WEIGHTS)}, input_size=(64, 64), mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0), label_space='camvid', trained_on='', command='', measured={},
        licence='')
    with pytest.raises(ConfigError, match='does not hold the weights of the architecture'):
        load_network(card)
