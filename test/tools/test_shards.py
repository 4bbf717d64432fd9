"""Evaluation in parts: the sum is the whole to the last digit, and nothing is counted twice."""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from frm_seg_ros.cli import main
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame, Prediction
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.tools import evaluate as module
from frm_seg_ros.tools.evaluate import merge_parts, run_evaluation
from frm_seg_ros.tools.shards import Shard, ShardSource

SPACE = LabelSpace.load('camvid')


class Noise:
    """Random truth; the image holds an answer that is right in most places."""

    rate_hz, label_space = 10.0, SPACE
    blind = (3,)    # frames without truth

    def __init__(self, count: int = 8) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.count):
            rng = np.random.default_rng(index)
            truth = np.repeat(rng.integers(0, 12, (9, 4), np.uint8), 4, axis=1)
            truth[truth == 11] = 255
            answer = np.where(rng.random(truth.shape) < 0.8, truth, 4).astype(np.uint8)
            image = np.dstack([answer, rng.integers(120, 136, truth.shape, np.uint8), truth * 0])
            yield Frame(image, index, truth=None if index in self.blind else truth)


class Single(Noise):
    """The same, but every frame can be read by itself."""

    read: list[int] = []

    def frame(self, index: int) -> Frame:
        self.read.append(index)
        return list(super().__iter__())[index]


class FakeSegmenter:
    """Answers with the first channel of the image, as sure as the second says."""

    label_space, size, scales, flip, chosen = SPACE, (64, 64), (1.0,), False, 'fake'
    backend = SimpleNamespace(name='fake', precision='float32')
    card = SimpleNamespace(name='fake model', sha256='ab' * 32, label_space='camvid', files={},
                           trained_on='nothing', command='none', licence='none')
    frames = 0

    def __call__(self, images: list[np.ndarray], confidence: bool = False) -> list[Prediction]:
        FakeSegmenter.frames += len(images)
        return [Prediction(np.ascontiguousarray(image[:, :, 0]),
                           np.ascontiguousarray(image[:, :, 1])) for image in images]

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, 'open_source', lambda text, *_: Noise(int(text.split(':')[1])))
    monkeypatch.setattr(module.Segmenter, 'open', lambda *args: FakeSegmenter())


def run_parts(folder: Path, count: int, source: str = 'noise:8') -> list[str]:
    paths = [str(folder / f'part{index}.json') for index in range(count)]
    for index, path in enumerate(paths):
        run_evaluation(source, 'any', shard=Shard(index, count), json_path=path)
    return paths


@pytest.mark.parametrize('count', [1, 3, 8, 11])     # 11: three parts have no frame
def test_the_parts_sum_up_to_the_whole(tmp_path: Path, count: int) -> None:
    whole = run_evaluation('noise:8', 'any')
    assert whole['frames'] == 7 and 0.2 < whole['miou'] < 0.8
    assert whole['unmatched'] == {'truth': 1, 'prediction': 0}
    assert whole['boundary']['f'] and whole['calibration']['error']
    assert 0 < whole['flicker']['changed_pixels'] < whole['flicker']['still_pixels']
    merged = merge_parts(run_parts(tmp_path, count)[::-1], str(tmp_path / 'sum.json'))
    assert merged == whole      # every key, every digit
    assert json.loads((tmp_path / 'sum.json').read_text()) == whole


@pytest.mark.parametrize('unlabelled', [(), (3,), (0, 2, 5)])
def test_frames_keep_their_order_where_stamps_tell_nothing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unlabelled: tuple[int, ...]) -> None:
    class Backwards(Noise):
        blind = unlabelled

        def __iter__(self) -> Iterator[Frame]:
            return (replace(frame, stamp_ns=-frame.stamp_ns) for frame in super().__iter__())

    monkeypatch.setattr(module, 'open_source', lambda *_: Backwards())
    whole = run_evaluation('noise:8', 'any')
    assert whole['per_frame']['stamp_ns'] == [-i for i in range(8) if i not in unlabelled]
    assert merge_parts(run_parts(tmp_path, 3)) == whole


@pytest.mark.parametrize('kind', [Noise, Single])
@pytest.mark.parametrize('index, stamps', [(0, [0, 1]), (1, [1, 2, 3, 4]), (2, [4, 5, 6, 7])])
def test_a_part_is_a_run_of_frames_and_the_one_before(kind: type[Noise], index: int,
                                                      stamps: list[int]) -> None:
    Single.read.clear()
    part = ShardSource(kind(8), Shard(index, 3))
    assert [frame.stamp_ns for frame in part] == stamps and len(part) == len(stamps)
    assert (part.first, part.lead) == (stamps[0] + part.lead, int(index > 0))
    assert Single.read == (stamps if kind is Single else [])
    assert (part.label_space, part.rate_hz) == (SPACE, 10.0)


def test_a_part_that_is_there_is_not_done_again(tmp_path: Path,
                                                caplog: pytest.LogCaptureFixture) -> None:
    paths = run_parts(tmp_path, 2)
    Path(paths[1]).unlink()
    before, FakeSegmenter.frames = json.loads(Path(paths[0]).read_text()), 0
    run_parts(tmp_path, 2)
    assert FakeSegmenter.frames == 4    # 4 to 7; 3, with which 4 is compared, has no truth
    assert json.loads(Path(paths[0]).read_text()) == before
    assert 'part0.json holds this part already' in caplog.text and len(caplog.records) == 1
    with pytest.raises(ConfigError, match='part0.json has the source "noise:8", this run "noise:9"'
                       ': name parts of one'):
        run_parts(tmp_path, 2, 'noise:9')
    with pytest.raises(ConfigError, match='part0.json has the shard .*"index": 0.*, this run .*1'):
        run_evaluation('noise:8', 'any', shard=Shard(1, 2), json_path=paths[0])


def change(path: str, **values: object) -> None:
    part = json.loads(Path(path).read_text())
    Path(path).write_text(json.dumps({**part, **values}))


@pytest.mark.parametrize('values, words', [
    ({'model_sha256': 'cd'}, r'part2.json has the model_sha256 "cd", .*part0.json "abab'),
    ({'source': 'other'}, 'part2.json has the source "other"'),
    ({'bag_options': {'stride': 2}}, 'part2.json has the bag_options'),
    ({'map': 'x-y'}, 'part2.json has the map "x-y"'),
    ({'scales': [0.5]}, 'part2.json has the scales'),
    ({'shard': {'index': 2, 'count': 4}}, 'part2.json has the count 4, .*part0.json 3'),
    ({'shard': None}, 'part2.json is no part of an evaluation'),
    ({'scored': None}, 'part2.json is no part of an evaluation'),
])
def test_parts_of_other_evaluations_are_refused(tmp_path: Path, values: dict[str, object],
                                                words: str) -> None:
    paths = run_parts(tmp_path, 3)
    change(paths[2], **values)
    with pytest.raises(ConfigError, match=words):
        merge_parts(paths)


def test_missing_double_and_broken_parts_are_refused(tmp_path: Path) -> None:
    paths = run_parts(tmp_path, 4)
    with pytest.raises(ConfigError, match='of 4 parts 1, 3 are missing: name every part'):
        merge_parts([paths[0], paths[2]])
    with pytest.raises(ConfigError, match='part0.json and .*part0.json are both part 0/4'):
        merge_parts([*paths, paths[0]])
    whole = tmp_path / 'whole.json'
    run_evaluation('noise:8', 'any', json_path=str(whole))
    with pytest.raises(ConfigError, match='whole.json is no part .* write it with eval --shard'):
        merge_parts([str(whole)])
    whole.write_text('[1]')
    with pytest.raises(ConfigError, match='whole.json is no part of an evaluation .TypeError'):
        merge_parts([str(whole)])
    whole.write_text('{')
    with pytest.raises(ConfigError, match='whole.json is no part of an evaluation .JSONDecodeEr'):
        merge_parts([str(whole)])


def test_parts_without_any_truth_cannot_be_merged(tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Noise, 'blind', range(8))
    with pytest.raises(ConfigError, match='nothing can be scored: 8 have no truth'):
        merge_parts(run_parts(tmp_path, 2))


@pytest.mark.parametrize('text, words', [
    ('4/4', 'there is no part 4/4: parts are counted from 0 on'), ('0/0', 'no part 0/0'),
    ('1', "'1' is no part INDEX/COUNT"), ('-1/4', 'is no part'), ('a/b', 'is no part')])
def test_shards_that_are_none(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Shard.parse(text)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [str(tmp_path / f'{index}.json') for index in range(2)]
    for index, part in enumerate(parts):
        assert main(['eval', 'noise:8', '--shard', f'{index}/2', '--json', part]) == 0
    capsys.readouterr()
    assert main(['eval', 'noise:8']) == 0
    whole = capsys.readouterr().out
    assert main(['eval', '--merge', *parts]) == 0
    assert capsys.readouterr().out == whole and 'run at scale 1' in whole


@pytest.mark.parametrize('arguments, words', [
    (['noise:8', '--shard', '0/2'], 'name the file with --json'),
    (['noise:8', '--shard', '0/2', '--json', 'x', '--report', 'y'], 'leave the others out'),
    (['noise:8', '--shard', '0/2', '--json', 'x', '--csv', 'y'], 'leave the others out'),
    (['noise:8', '--shard', '0/2', '--json', 'x', '--jobs', '2'], 'by one process'),
    (['noise:8', '--jobs', '0'], '0 processes cannot evaluate anything'),
    ([], 'name a SOURCE, or parts to --merge'),
    (['noise:8', '--merge', 'a.json'], 'and not both'),
    (['--merge', 'a.json', '--report', 'x'], 'merged have no pictures'),
    (['--merge', 'a.json', '--jobs', '2'], 'leave --report, --shard and --jobs out'),
    (['noise:8', '--json', 'x', '--csv', 'x'], 'x is named for two results'),
    (['noise:8', '--json', '/'], '/ is a folder: name a file'),
    (['--merge', 'nowhere.json'], 'nowhere.json is no part of an evaluation (FileNotFoundError'),
])
def test_commands_that_make_no_sense(arguments: list[str], words: str,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['eval', *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count('\n') == 1


@pytest.mark.parametrize('name', ['json', 'csv', 'report'])
def test_files_that_are_there_are_replaced_only_when_told(
        tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / 'mine'
    path.write_text('precious')
    FakeSegmenter.frames = 0
    assert main(['eval', 'noise:8', f'--{name}', str(path)]) == 2
    assert capsys.readouterr().err == (f'frm-seg eval: {path} is there already: name another '
                                       'file, or add --force to replace it\n')
    assert path.read_text() == 'precious' and FakeSegmenter.frames == 0
    assert main(['eval', 'noise:8', f'--{name}', str(path), '--force']) == 0
    assert 'precious' not in path.read_text()
