"""The score while training is that of `frm-seg eval` with the torch backend."""
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from training_config import config_with  # noqa: E402

from frm_seg_ros.core.label_space import LabelSpace  # noqa: E402
from frm_seg_ros.core.model_card import ModelCard  # noqa: E402
from frm_seg_ros.network.weights import load_network  # noqa: E402
from frm_seg_ros.segmenter import Segmenter  # noqa: E402
from frm_seg_ros.sources.base import open_source  # noqa: E402
from frm_seg_ros.tools.scoring import evaluate  # noqa: E402
from frm_seg_ros.training.data import open_frames  # noqa: E402
from frm_seg_ros.training.processes import Processes  # noqa: E402
from frm_seg_ros.training.validation import pictures, validate  # noqa: E402

SOURCE = 'synthetic:7:3'
CPU = torch.device('cpu')


def test_it_is_the_score_of_the_evaluation():
    network = load_network(ModelCard.load('frm_b0_fast')).train()
    frames = open_frames([SOURCE], config_with())
    size = (180, 240)
    scores = validate(network, frames, LabelSpace.load('camvid'), size, Processes(0, 1, CPU))
    assert network.training
    segmenter = Segmenter.open('frm_b0_fast', 'torch', 'cpu', size)
    wanted = evaluate(open_source(SOURCE), segmenter).confusion.scores()
    # Convolutions in another memory layout, and up-sampling in another order of sums.
    assert scores.miou == pytest.approx(wanted.miou, abs=1e-4)
    assert scores.iou == pytest.approx(wanted.iou, abs=1e-3, nan_ok=True)


def test_shares_of_two_processes_add_up_to_the_whole(monkeypatch):
    network = load_network(ModelCard.load('frm_b0_fast'))
    frames = open_frames([SOURCE], config_with())
    space, size = LabelSpace.load('camvid'), (64, 96)
    counts = []
    monkeypatch.setattr(Processes, 'sum', lambda _, own: counts.append(own) or own)
    for rank, count in ((0, 1), (0, 2), (1, 2)):
        validate(network, frames, space, size, Processes(rank, count, CPU))
    np.testing.assert_array_equal(counts[0], counts[1] + counts[2])
    assert counts[1].sum() == 2 * counts[2].sum() == 2 * (frames.counts[:11].sum() // 3)


def test_pictures_are_spread_over_the_frames():
    network = load_network(ModelCard.load('frm_b0_fast'))
    frames = open_frames(['synthetic:7:6'], config_with())
    shown = pictures(network, frames, LabelSpace.load('camvid'), (64, 96), CPU)
    width = frames[0].image.shape[1]
    assert len(shown) == 4
    for index, picture in zip((0, 1, 3, 5), shown, strict=True):
        np.testing.assert_array_equal(picture[:, :width], frames[index].image)
