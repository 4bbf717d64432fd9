"""The shipped models are what their cards say."""
import os
import subprocess
from pathlib import Path

import pytest

from frm_seg_ros.core.files import share_dir
from frm_seg_ros.core.model_card import INT8, ModelCard
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.tools.scoring import evaluate

MODELS = sorted(card.parent for card in (share_dir() / 'models').glob('*/card.yaml'))


def test_there_is_one():
    assert 'frm_b0_fast' in [folder.name for folder in MODELS]


@pytest.mark.parametrize('folder', MODELS, ids=lambda folder: folder.name)
def test_files_and_card_belong_together(folder):
    card = ModelCard.load(folder.name)
    card.check_files()
    assert card.name == folder.name
    assert {path.name for path in folder.iterdir()} == {'card.yaml', *card.files}
    assert all(path.stat().st_size < 25e6 for path in folder.iterdir())
    assert 'research use' in card.licence
    for figures in card.measured.values():
        assert figures['command'].startswith('frm-seg eval ')
        assert 0 < figures['miou'] < 1
    float32 = {figures['source']: figures['miou'] for figures in card.precisions['float32']}
    for figures in (row for rows in card.precisions.values() for row in rows):
        assert figures['command'].startswith((
            'frm-seg precisions ', 'PYTHONPATH=. python benchmarks/low_precision.py '))
        assert figures['float32_miou'] == float32[figures['source']]
    assert ('int8' in card.precisions) == (INT8 in card.files)


def test_the_tracked_tree_stays_small():
    root = Path(__file__).resolve().parent.parent
    listed = subprocess.run(['git', '-C', root, 'ls-files', '-z'], capture_output=True)
    if listed.returncode:
        pytest.skip('this is no git checkout')
    files = [root / os.fsdecode(name) for name in listed.stdout.split(b'\0') if name]
    assert 10e6 < sum(file.stat().st_size for file in files if file.is_file()) < 40e6


def test_scores_of_the_card_come_out_again():
    figures = ModelCard.load('frm_b0_fast').measured['synthetic:101:20']
    segmenter = Segmenter.open('frm_b0_fast', precision='float32')   # what they were measured in
    scores = evaluate(open_source('synthetic:101:20'), segmenter).confusion.scores()
    # Backends and releases of OpenCV differ in a few pixels.
    assert scores.miou == pytest.approx(figures['miou'], abs=0.005)
