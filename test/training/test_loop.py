"""A run that is killed and resumed equals one that is not; its model opens."""
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from data_trees import write_robot

torch = pytest.importorskip('torch', reason='torch is not installed')

from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from training_config import config_with  # noqa: E402

from frm_seg_ros.core.draw import colorize  # noqa: E402
from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.core.files import share_dir  # noqa: E402
from frm_seg_ros.core.label_space import LabelSpace  # noqa: E402
from frm_seg_ros.core.metrics import Scores  # noqa: E402
from frm_seg_ros.core.model_card import WEIGHTS, ModelCard  # noqa: E402
from frm_seg_ros.network.segmentation import VARIANTS, build_network  # noqa: E402
from frm_seg_ros.network.weights import load_network, save_weights  # noqa: E402
from frm_seg_ros.sources.base import open_source  # noqa: E402
from frm_seg_ros.training import loop  # noqa: E402
from frm_seg_ros.training.loop import (  # noqa: E402
    learning_rate,
    parameter_groups,
    train,
    write_model,
)

CONFIG = share_dir() / 'config' / 'train' / 'camvid_cpu.yaml'


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
    return [sys.executable, '-c', program, str(CONFIG), *overrides(source, out, steps),
            f'validation={source}']


def overrides(source, out, steps):
    """Give the overrides that make a run as short as can be."""
    return [f'sources=[{source}]', f'out={out}', f'steps={steps}', 'synthetic_scenes=0',
            'crop=[64, 64]', 'input_size=[80, 96]', 'batch=2', 'warm_up=2', 'contrast_samples=64',
            'checkpoint_every=1', 'validate_every=4']


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
    config = config_with(steps=100, warm_up=10, learning_rate=1.0, schedule='poly')
    rates = [learning_rate(config, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == max(rates)
    assert rates[50] == pytest.approx(0.5 ** 0.9)
    assert 0 < rates[99] < 0.02
    cosine = config_with(steps=100, warm_up=0, learning_rate=2.0, schedule='cosine')
    assert [learning_rate(cosine, step) for step in (0, 25, 50, 75)] == pytest.approx(
        [2.0, 1 + 2 ** -0.5, 1.0, 1 - 2 ** -0.5])


@pytest.fixture
def scores(monkeypatch):
    """Let validations give these scores, one after another."""
    scores = []
    empty = Scores({}, 0.0, {}, 0.0, 0.0)
    monkeypatch.setattr(loop, 'validate', lambda *_: replace(empty, miou=scores.pop(0)))
    monkeypatch.setattr(loop, 'NORM_BATCHES', 1)
    return scores


def average_of(path):
    return {key.removeprefix('average.module.'): value for key, value in load_file(path).items()
            if key.startswith('average.module.')}


@pytest.mark.parametrize('keep', ['best', 'last'])
def test_the_best_by_validation_or_the_last_is_kept(source, tmp_path, scores, keep, capfd):
    scores += [0.2, 0.4, 0.3]
    model = train(CONFIG, [*overrides(source, tmp_path, 6), f'validation={source}',
                           'validate_every=2', f'keep={keep}'])
    assert not scores
    with safe_open(tmp_path / 'best.safetensors', 'pt') as file:
        assert file.metadata()['step'] == '4' and file.metadata()['best'] == '0.4'
        assert json.loads(file.metadata()['config'])['keep'] == keep
    best, last = (average_of(tmp_path / f'{name}.safetensors') for name in ('best', 'last'))
    wanted, other = (best, last) if keep == 'best' else (last, best)
    found = load_file(model / WEIGHTS)
    for name, value in found.items():   # float16 in the file: exact after the same rounding
        assert torch.equal(value, wanted[name].to(value.dtype)), name
    assert any(not torch.equal(value, other[name].to(value.dtype))
               for name, value in found.items())
    said = capfd.readouterr().err
    assert 'validation after 4 steps: mIoU 0.4000' in said
    assert re.search(r'6/6, \S+ s a step, 0:00 h left, entropy \S+, contrast \S+', said)


def test_tensorboard_gets_figures_and_pictures(source, tmp_path, monkeypatch):
    pytest.importorskip('tensorboard', reason='tensorboard is not installed')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    monkeypatch.setattr(loop, 'NORM_BATCHES', 1)
    train(CONFIG, [*overrides(source, tmp_path, 2), f'validation={source}', 'tensorboard=true'])
    events = EventAccumulator(str(tmp_path / 'tensorboard'))
    events.Reload()
    entropy, = events.Scalars('training/entropy')
    assert entropy.step == 2 and 0 < entropy.value < 100
    miou, = events.Scalars('validation/miou')
    iou = [events.Scalars(tag)[0].value for tag in events.Tags()['scalars'] if '/iou/' in tag]
    assert len(iou) == 11 and miou.value == pytest.approx(np.nanmean(iou), rel=1e-5)
    picture, = events.Images('validation/0')
    shown = cv2.imdecode(np.frombuffer(picture.encoded_image_string, np.uint8), 1)[:, :, ::-1]
    assert shown.shape == (80, 3 * 96, 3)
    frame = next(iter(open_source(source)))
    np.testing.assert_array_equal(shown[:, :96], frame.image)
    np.testing.assert_array_equal(shown[:, 96:192],
                                  colorize(frame.truth, LabelSpace.load('camvid')))


def test_tensorboard_that_is_not_there_is_told(source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)
    with pytest.raises(ConfigError, match='package tensorboard is not installed'):
        train(CONFIG, [*overrides(source, tmp_path, 2), 'tensorboard=true'])


def test_a_damaged_checkpoint_is_told(source, tmp_path):
    (tmp_path / 'last.safetensors').write_bytes(b'no checkpoint')
    with pytest.raises(ConfigError, match='last.safetensors is not a checkpoint'):
        train(CONFIG, overrides(source, tmp_path, 2))


def test_only_matrices_and_kernels_decay():
    network = build_network({**VARIANTS['frm_b0_fast'], 'classes': 2})
    decayed, free = parameter_groups(network, 0.5)
    assert (decayed['weight_decay'], free['weight_decay']) == (0.5, 0.0)
    assert {p.ndim for p in decayed['params']} == {4}
    assert {p.ndim for p in free['params']} == {1}
    assert len(decayed['params']) + len(free['params']) == len(list(network.parameters()))


def test_a_model_holds_its_label_space_unless_it_is_a_shipped_one(tmp_path):
    labels = str(write_robot(tmp_path))
    architecture = {**VARIANTS['frm_b0_fast'], 'classes': 3}
    network = build_network(architecture)
    for name in (labels, 'camvid'):
        space = LabelSpace.load(name)
        write_model(tmp_path / 'model', config_with(label_space=name), space, architecture,
                    network, 'none')
        card = ModelCard.load(tmp_path / 'model')
        assert (card.label_space, card.load_label_space()) == (space.name, space)
        assert ('labels.yaml' in card.files) == (name == labels)
        card.check_files()


def test_weights_of_another_architecture_are_refused(tmp_path):
    network = build_network({**VARIANTS['frm_b0_fast'], 'classes': 2})
    save_weights(network, tmp_path / WEIGHTS)
    from frm_seg_ros.core.files import sha256
    card = ModelCard(
        folder=tmp_path, name='two', architecture={**VARIANTS['frm_b0_fast'], 'classes': 3},
        files={WEIGHTS: sha256(tmp_path / WEIGHTS)}, input_size=(64, 64), mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0), label_space='camvid', trained_on='', command='', measured={},
        precisions={}, licence='')
    with pytest.raises(ConfigError, match='does not hold the weights of the architecture'):
        load_network(card)
