"""Evaluation: counts, samples and JSON, on a source and a segmenter whose answers are known."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from frm_seg_ros.cli import main
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame, Prediction
from frm_seg_ros.core.label_map import LabelMap
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.core.metrics import ConfusionMatrix
from frm_seg_ros.tools import evaluate as module
from frm_seg_ros.tools import make_bag
from frm_seg_ros.tools.details import details
from frm_seg_ros.tools.evaluate import run_evaluation
from frm_seg_ros.tools.evaluation import Evaluation
from frm_seg_ros.tools.score_text import score_table
from frm_seg_ros.tools.scoring import evaluate, find_label_map, score

SPACE = LabelSpace.load('camvid')
STEP_NS = 100_000_000


class FakeSource:
    """Frames whose image holds in its first channel what the fake segmenter answers."""

    rate_hz = 10.0

    def __init__(self, wrong: list[int], space: LabelSpace | None = SPACE,
                 unlabelled: tuple[int, ...] = ()) -> None:
        self.wrong, self.label_space, self.unlabelled = wrong, space, unlabelled

    def __len__(self) -> int:
        return len(self.wrong)

    def __iter__(self) -> Iterator[Frame]:
        for index, wrong in enumerate(self.wrong):
            truth = np.full((4, 5), 3, np.uint8)
            truth[2:] = 8
            answer = truth.copy()
            answer.flat[:wrong] = 0
            truth[0, 4] = 255
            image = np.dstack([answer, answer * 0, answer * 0 + index])
            yield Frame(image, index * STEP_NS, 'camera',
                        None if index in self.unlabelled else truth)


class FakeSegmenter:
    """Answers with the first channel of the image."""

    label_space = SPACE
    size = (64, 64)
    scales, flip = (0.5, 1.0), True
    chosen = 'backend fake on cpu, as asked for'
    backend = SimpleNamespace(name='fake', precision='float32')
    card = SimpleNamespace(name='fake model', sha256='ab' * 32, label_space='camvid', files={},
                           trained_on='nothing', command='none', licence='none')
    closed = False

    def __call__(self, images: list[np.ndarray], confidence: bool = False) -> list[Prediction]:
        sure = np.full(images[0].shape[:2], 204, np.uint8) if confidence else None
        return [Prediction(np.ascontiguousarray(image[:, :, 0]), sure) for image in images]

    def close(self) -> None:
        self.closed = True


def test_counts_and_series_of_known_answers() -> None:
    evaluation = evaluate(FakeSource([0, 4, 2]), FakeSegmenter())
    counts = evaluation.confusion.counts
    assert (counts[3, 3], counts[3, 0], counts[8, 8], counts.sum()) == (21, 6, 30, 57)
    assert [frame.stamp_ns for frame in evaluation.counts] == [0, STEP_NS, 2 * STEP_NS]
    assert evaluation.calibration.counts[:, 204].tolist() == [6, 51]
    expected = [1.0, (5 / 9 + 1 + 0) / 3, (7 / 9 + 1 + 0) / 3]
    assert evaluation.mious().tolist() == pytest.approx(expected)
    assert [(sample.score.miou, sample.score.pixel_accuracy) for sample in evaluation.worst] == \
        [pytest.approx(pair) for pair in sorted(zip(expected, [1.0, 15 / 19, 17 / 19]))]


def test_worst_and_even_samples() -> None:
    wrong = [1, 9, 2, 0, 8, 3, 7, 4, 5, 6]
    evaluation = evaluate(FakeSource(wrong), FakeSegmenter())
    assert [wrong[sample.index] for sample in evaluation.worst] == [9, 8, 7, 6]
    assert [sample.index for sample in evaluation.even] == [0, 3, 6, 9]
    assert all(sample.frame.image[0, 0, 2] == sample.index
               for sample in [*evaluation.worst, *evaluation.even])


def test_of_equally_bad_frames_the_first_are_kept() -> None:
    assert [s.index for s in evaluate(FakeSource([4] * 9), FakeSegmenter()).worst] == [0, 1, 2, 3]


def test_frames_without_truth_are_left_out() -> None:
    segmenter = FakeSegmenter()
    scored = score(
        FakeSource([0, 4, 2], unlabelled=(1,)), lambda frame: segmenter([frame.image])[0], None)
    assert (scored.unmatched, scored.places) == ({'truth': 1, 'prediction': 0}, [0, 2])
    assert [frame.stamp_ns for frame in scored.evaluation.counts] == [0, 2 * STEP_NS]


@pytest.mark.parametrize('source, words', [
    (FakeSource([0], LabelSpace.load('cityscapes')), 'label space cityscapes.*in camvid'),
    (FakeSource([0], None), 'has no truth'),
    (FakeSource([0, 0], unlabelled=(0, 1)), 'no frame .* has a truth.* 2 have no truth'),
])
def test_sources_that_cannot_be_scored_are_refused(source: FakeSource, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        evaluate(source, FakeSegmenter())


def test_json_holds_what_is_promised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = FakeSegmenter()
    monkeypatch.setattr(module, 'open_source', lambda *args: FakeSource([0, 4]))
    monkeypatch.setattr(module.Segmenter, 'open', lambda *args: segmenter)
    path = tmp_path / 'deep' / 'scores.json'
    result = run_evaluation('fake:1', 'any', json_path=str(path), command='frm-seg eval fake:1')
    text = path.read_text()
    assert text.startswith('{\n "miou": ') and '\n   [0, 0, 0, 9, ' in text
    read = json.loads(text)
    assert read == result
    assert segmenter.closed
    matrix = ConfusionMatrix(SPACE.classes)
    matrix.counts = np.array(read.pop('confusion'))
    scores = matrix.scores()
    assert read.pop('iou') == {name: value if value == value else None
                               for name, value in scores.iou.items()}
    assert read.pop('miou') == scores.miou == pytest.approx((14 / 18 + 1 + 0) / 3)
    assert read.pop('category_iou') == {
        'sky': 0.0, 'construction': None, 'object': None, 'flat': 14 / 18, 'nature': None,
        'vehicle': 1.0, 'human': None}
    assert read.pop('frequency_weighted_iou') == scores.frequency_weighted_iou
    assert read.pop('pixel_accuracy') == 34 / 38
    for key in details(Evaluation(SPACE, 0)):  # test_details.py looks at them
        read.pop(key)
    assert read == {'frames': 2, 'source': 'fake:1', 'model': 'fake model',
                    'model_sha256': 'ab' * 32, 'backend': 'fake',
                    'precision': 'float32', 'size': [64, 64],
                    'scales': [0.5, 1.0], 'flip': True, 'label_space': 'camvid',
                    'map': None, 'classes': SPACE.names, 'predictions': None,
                    'unmatched': {'truth': 0, 'prediction': 0}, 'bag_options': {},
                    'command': 'frm-seg eval fake:1'}
    assert 'car                   1.000' in score_table(result)
    assert 'tree                      -' in score_table(result)


class CityscapesSource:
    """One frame of two rows: truth in Cityscapes, and in the image what the model answers."""

    rate_hz, label_space = 10.0, LabelSpace.load('cityscapes')
    TRUTH = [['sidewalk', 'sidewalk', 'sidewalk', 'rider'], ['vegetation', 'terrain', 'bus', None]]
    MODEL = [['pavement', 'pavement', 'tree', 'car'], ['tree', 'tree', 'sky', 'sky']]

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Frame]:
        truth = ids(self.TRUTH, self.label_space)
        yield Frame(np.dstack([ids(self.MODEL, SPACE)] * 3), 0, truth=truth)


def ids(rows: list[list[str | None]], space: LabelSpace) -> np.ndarray:
    return np.array([[space.names.index(name) if name else 255 for name in row] for row in rows],
                    np.uint8)


def own_map(path: Path, unmapped: tuple[str, ...] = ()) -> Path:
    """Write the shipped map with some classes in `unmapped`."""
    shipped = LabelMap.load(SPACE, CityscapesSource.label_space)
    rows = ''.join(f'  - {{from: {source}, to: {target}}}\n' for source, target in shipped.rows
                   if source not in unmapped)
    path.write_text(f'from: camvid\nto: cityscapes\nclasses:\n{rows}'
                    f'unmapped: [{", ".join(unmapped)}]\n')
    return path


@pytest.mark.parametrize('unmapped, sidewalk, vegetation, accuracy', [
    # counted: 3 sidewalk, 1 rider, 1 vegetation; terrain, bus and ignored truth are left out
    ((), 2 / 3, 1 / 2, 3 / 5),
    # the tree where sidewalk is stays wrong, but is no vegetation any more; vegetation: left out
    (('tree',), 2 / 3, None, 2 / 4),
    # the car where the rider is stays wrong
    (('car',), 2 / 3, 1 / 2, 3 / 5),
])
def test_a_model_of_another_space_is_scored_over_the_common_classes(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unmapped: tuple[str, ...],
        sidewalk: float, vegetation: float | None, accuracy: float) -> None:
    monkeypatch.setattr(module, 'open_source', lambda *args: CityscapesSource())
    monkeypatch.setattr(module.Segmenter, 'open', lambda *args: FakeSegmenter())
    path = own_map(tmp_path / 'own.yaml', unmapped) if unmapped else None
    report = tmp_path / 'report.html'
    result = run_evaluation('fake:1', 'any', map_path=path and str(path), report_path=str(report))
    assert result['iou']['sidewalk'] == pytest.approx(sidewalk)
    assert result['iou']['vegetation'] == (vegetation and pytest.approx(vegetation))
    assert result['iou']['rider'] == 0
    assert result['iou']['car'] == (None if 'car' in unmapped else 0)
    assert result['iou']['terrain'] is result['iou']['bus'] is result['iou']['sky'] is None
    assert result['pixel_accuracy'] == pytest.approx(accuracy)
    assert result['label_space'] == 'cityscapes'
    assert result['map'] == (str(path) if path else 'camvid-cityscapes')
    # Of the model's own labels, before they are mapped.
    assert result['per_frame']['labels_sha256'] == [
        hashlib.sha256(ids(CityscapesSource.MODEL, SPACE).tobytes()).hexdigest()]
    count = 11 - len(unmapped)
    assert len(result['classes']) == count and 'rider' in result['classes']
    html = report.read_text()
    assert f'fake model on fake:1, over {count} common classes' in html
    assert f'scored over {count} common classes' in html and ', '.join(result['classes']) in html


def test_the_map_is_looked_for_only_where_spaces_differ() -> None:
    bdd = LabelSpace.load('bdd100k')
    assert find_label_map(SPACE, LabelSpace.load('camvid')) is None
    found = find_label_map(CityscapesSource.label_space, bdd)
    assert (found.name, found.classes) == ('bdd100k-cityscapes', tuple(bdd.names))
    with pytest.raises(ConfigError, match='there is no label map .*bdd100k-camvid.yaml: write it '
                       r'\(shipped are .*camvid-cityscapes.*--map FILE'):
        find_label_map(SPACE, bdd)
    with pytest.raises(ConfigError, match='has no truth'):
        find_label_map(None, bdd)


TOPIC = '/camera/label_image'


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a bag of four frames whose images hold 0, 4, 2 and 6 wrong answers of 19 or 20."""
    frames = FakeSource([0, 4, 2, 6], SPACE, unlabelled=(3,))
    monkeypatch.setattr(make_bag, 'open_source', lambda text: frames)
    make_bag.make_bag('fake:1', tmp_path / 'bag')
    monkeypatch.setattr(module.Segmenter, 'open', lambda *args: FakeSegmenter())
    return str(tmp_path / 'bag')


@pytest.mark.parametrize('options, frames, wrong, left_out', [
    ([], 3, 6, {'truth': 1, 'prediction': 0}),
    (['--stride', '2'], 2, 2, {'truth': 0, 'prediction': 0}),
    (['--start', '0.1', '--end', '0.3'], 2, 6, {'truth': 0, 'prediction': 0}),
    (['--truth-topic', TOPIC, '--predictions', TOPIC], 3, 0, {'truth': 1, 'prediction': 0}),
    (['--truth-topic', TOPIC, '--predictions', TOPIC, '--predictions-space', 'cityscapes',
      '--start', '0.2'], 1, 19, {'truth': 1, 'prediction': 0}),
])
def test_options_for_bags(drive: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                          options: list[str], frames: int, wrong: int,
                          left_out: dict[str, int]) -> None:
    """Read as Cityscapes, 3 and 8 are wall and vegetation: building and tree, thus all wrong."""
    path, report = tmp_path / 'a.json', tmp_path / 'a.html'
    assert main(['eval', f'bag:{drive}', '--json', str(path), '--report', str(report),
                 *options]) == 0
    read, said = json.loads(path.read_text()), capsys.readouterr().out
    counts = np.array(read['confusion'])
    assert (read['frames'], counts.sum()) == (frames, 19 * frames)
    assert counts.sum() - counts.trace() == wrong
    assert read['unmatched'] == left_out
    assert sorted(map(str, read['bag_options'].values())) == sorted(options[1::2])
    assert ('without truth: 1' in said) == (left_out['truth'] == 1)
    recorded = '--predictions' in options
    assert (read['model'], read['predictions']) == (
        (None, TOPIC) if recorded else ('fake model', None))
    assert (f'{TOPIC} on bag:' if recorded else 'fake model on bag:') in report.read_text()
    assert ('run at' in said) != recorded


def test_frames_without_recorded_labels_are_counted() -> None:
    labels = iter([Prediction(np.full((4, 5), 3, np.uint8)), None])
    scored = score(FakeSource([0, 0]), lambda frame: next(labels), None)
    assert (len(scored.evaluation.counts), scored.places) == (1, [0])
    assert scored.unmatched == {'truth': 0, 'prediction': 1}


def test_options_for_bags_are_refused_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['eval', 'synthetic:1:1', '--stride', '2', '--topic', '/a']) == 2
    assert "'synthetic:1:1' is no bag, but topic, stride can be told of bags only" in \
        capsys.readouterr().err


def test_an_evaluation_of_nothing_has_no_samples() -> None:
    evaluation = Evaluation(SPACE, 0)
    assert (evaluation.worst, evaluation.even, evaluation.counts) == ([], [], [])
