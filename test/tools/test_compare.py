"""Runs side by side: known differences, verdicts, refusals and the page."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frm_seg_ros.cli import main
from frm_seg_ros.core.bootstrap import difference_interval
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import Label, LabelSpace
from frm_seg_ros.tools.compare import comparison_text, differences, read_runs
from frm_seg_ros.tools.compare_page import write_comparison
from frm_seg_ros.tools.details import details
from frm_seg_ros.tools.evaluate import score_dict, write_json
from frm_seg_ros.tools.evaluation import Evaluation

SPACE = LabelSpace('space', (Label('<b>road', 0, 0, 'flat', (128, 64, 128)),
                             Label('car', 1, 1, 'vehicle', (0, 0, 142)),
                             Label('never', 2, 2, 'none', (9, 9, 9))))


def write_run(path: Path, wrong: list[int], **changes: Any) -> str:
    """Write a run whose n-th frame has so many wrong of 100 pixels, a half of them road."""
    evaluation = Evaluation(SPACE, len(wrong))
    for index, count in enumerate(wrong):
        truth = np.repeat(np.uint8([0, 1]), 50).reshape(10, 10)
        labels = truth.copy()
        labels.flat[:count] = 1
        evaluation.add(Frame(np.zeros((10, 10, 3), np.uint8), index, 'camera', truth), labels)
    write_json(path, {
        **score_dict(evaluation.confusion.scores()), **details(evaluation),
        'confusion': evaluation.confusion.counts.tolist(), 'frames': len(wrong),
        'source': 'synthetic:1:9', 'bag_options': {}, 'label_space': 'space',
        'classes': SPACE.names, 'model': '<i>m', 'backend': 'torch', **changes})
    return str(path)


def hard_and_easy(extra: int) -> list[int]:
    return [index % 7 * 5 + extra for index in range(30)]


def test_a_better_run_is_called_better(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / 'a.json', hard_and_easy(6)),
             write_run(tmp_path / 'b.json', hard_and_easy(4)),
             write_run(tmp_path / 'c.json', hard_and_easy(9))]
    runs = read_runs(paths)
    better, worse = differences(runs)
    low, high = difference_interval(runs[0].counts, runs[1].counts)
    assert (better.low, better.high) == (low, high) and 0 < low < better.value < high
    assert better.value == runs[1].result['miou'] - runs[0].result['miou']
    assert better.words == (f'mIoU, B less A: {better.value:+.4f}, 95% interval {low:+.4f} to '
                            f'{high:+.4f}: B is better than A')
    assert worse.high < 0 and worse.words.endswith(': A is better than C')


def test_chance_is_called_chance(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paths = [write_run(tmp_path / f'{name}.json', rng.integers(0, 40, 30).tolist())
             for name in 'ab']
    found = differences(read_runs(paths))[0]
    assert found.low < 0 < found.high and found.value != 0
    assert found.words.endswith(': the difference means nothing')


@pytest.mark.parametrize('wrong, words', [
    ([3, 4, 5], 'mIoU, B less A: +0.0000, 95% interval +0.0000 to +0.0000'),
    ([3], 'mIoU, B less A: +0.0000, too few frames for an interval')])
def test_a_run_beside_itself(tmp_path: Path, wrong: list[int], words: str) -> None:
    path = write_run(tmp_path / 'a.json', wrong)
    assert differences(read_runs([path, path]))[0].words == \
        f'{words}: the difference means nothing'


def test_the_table(tmp_path: Path) -> None:
    # of 200 pixels 20 of the 100 of road are called car in A, none in B
    paths = [write_run(tmp_path / 'a.json', [10, 10]), write_run(tmp_path / 'b.json', [0, 0])]
    lines = comparison_text(read_runs(paths)).splitlines()
    assert lines[:2] == [f'A: <i>m ({paths[0]})', f'B: <i>m ({paths[1]})']
    assert lines[2].split() == ['A', 'B', 'B', '-', 'A']
    cells = {line[:30].strip(): line[30:].split() for line in lines[3:-1]}
    assert cells['IoU <b>road'] == ['0.800', '1.000', '+0.200']
    assert cells['IoU car'] == ['0.833', '1.000', '+0.167']
    assert cells['IoU never'] == cells['calibration error (0 is best)'] == ['–', '–', '–']
    assert cells['mIoU'] == ['0.817', '1.000', '+0.183']
    assert cells['boundary F'] == ['0.667', '1.000', '+0.333']
    assert cells['pixel accuracy'] == ['0.900', '1.000', '+0.100']
    assert len({len(line) for line in lines[2:-1]}) == 1


@pytest.mark.parametrize('wrong, changes, words', [
    ([1, 2], {'source': 'camvid:X:val'}, 'b.json has the source "camvid:X:val" and .*a.jso'),
    ([1, 2], {'label_space': 'other'}, 'has the label_space "other"'),
    ([1, 2], {'classes': ['car']}, 'has the classes'),
    ([1, 2], {'bag_options': {'stride': 2}}, 'has the bag_options'),
    ([1, 2], {'shard': {'index': 0}}, 'has the shard'),
    ([1, 2, 3], {}, 'b.json scored 3 frames and .*a.json 2, not all of the same stamps'),
    ([1, 2], {'confusion': [[1], [2], [3]]}, 'different numbers of true pixels'),
    ([1, 2], {'per_frame': None}, 'b.json holds no counts by frame .*eval --json'),
    ([1, 2], {'per_frame': {'stamp_ns': [0, 1], 'intersection': [[1, 2, 3]], 'union': [[1, 2, 3]]
                            }}, 'b.json holds no counts by frame'),
    ([], {}, 'b.json holds no counts by frame'),
])
def test_runs_that_cannot_be_compared(tmp_path: Path, wrong: list[int], changes: dict[str, Any],
                                      words: str) -> None:
    paths = [write_run(tmp_path / 'a.json', [1, 2]), write_run(tmp_path / 'b.json', wrong,
                                                               **changes)]
    with pytest.raises(ConfigError, match=words):
        read_runs(paths)


def test_other_stamps_of_as_many_frames_are_refused(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / f'{name}.json', [1, 2]) for name in 'ab']
    text = Path(paths[1]).read_text()
    Path(paths[1]).write_text(text.replace('"stamp_ns": [0, 1]', '"stamp_ns": [0, 2]'))
    with pytest.raises(ConfigError, match='not all of the same stamps'):
        read_runs(paths)


def test_the_page_is_escaped_and_whole(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / 'a.json', [10, 10]), write_run(tmp_path / 'b.json', [0, 0])]
    runs = read_runs(paths)
    write_comparison(tmp_path / 'r.html', runs, 'frm-seg report <u>')
    html = (tmp_path / 'r.html').read_text()
    for text in ('&lt;b&gt;road', '&lt;i&gt;m', 'report &lt;u&gt;', '+0.183', '0.833',
                 differences(runs)[0].words):
        assert text in html
    assert not re.search(r'<[biu]>(road|m|<)', html)
    assert 'src=' not in html and 'href' not in html and 'url(' not in html
    assert 'What the runs do not have alike' not in html


def cells_of(html: str, name: str) -> list[tuple[str, str]]:
    row = html.partition(f'<span>{name}</span></th><td')[2].partition('</tr>')[0]
    return re.findall(r'class="(\w*)">([^<]*)</td>', f'<td{row}')


def test_more_than_two_runs_on_a_page(tmp_path: Path) -> None:
    timing = {'latency_ms': {'p50': 7.0}}
    paths = [write_run(tmp_path / f'{name}.json', [wrong, wrong], backend=backend, timing=timing)
             for name, wrong, backend in (('a', 10, 'torch'), ('b', 0, 'torch'),
                                          ('c', 20, 'openvino'))]
    runs = read_runs(paths)
    write_comparison(tmp_path / 'r.html', runs, 'x')
    html = (tmp_path / 'r.html').read_text()
    assert cells_of(html, 'mIoU') == [('', '0.817'), ('best', '1.000'), ('', '0.657'),
                                      ('better', '+0.183'), ('worse', '-0.160')]
    assert cells_of(html, 'ms a frame, p50') == [('', '7.000')] * 3 + [('', '+0.000')] * 2
    assert [cell for cell in re.findall(r'<td>([^<]*)</td>', html)] == [
        'torch', 'torch', 'openvino']
    assert html.count('<path ') == 3 and html.count('class="verdict"') == 2
    for found in differences(runs):
        assert found.words in html
    assert '3 runs on synthetic:1:9' in html


def test_low_flicker_is_better(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / f'{name}.json', [1, 2], flicker={'share': share})
             for name, share in (('a', .5), ('b', .25), ('c', None))]
    write_comparison(tmp_path / 'r.html', read_runs(paths), 'x')
    assert cells_of((tmp_path / 'r.html').read_text(), r'flicker (0 is best)') == [
        ('', '0.500'), ('best', '0.250'), ('', '–'), ('better', '-0.250'), ('', '–')]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [write_run(tmp_path / f'{name}.json', hard_and_easy(2)) for name in 'ab']
    out = tmp_path / 'r.html'
    assert main(['report', *paths, '--out', str(out)]) == 0
    said = capsys.readouterr().out
    assert said == f'{comparison_text(read_runs(paths))}\nwritten: {out}\n'
    assert 'frm-seg report ' in out.read_text()
    assert main(['report', *paths]) == 0
    assert 'written' not in capsys.readouterr().out
    out.write_text('precious')
    assert main(['report', *paths, '--out', str(out)]) == 2
    assert 'is there already' in capsys.readouterr().err and out.read_text() == 'precious'
    assert main(['report', *paths, '--out', str(out), '--force']) == 0
    assert 'precious' not in out.read_text()


@pytest.mark.parametrize('names, words', [
    (['a.json'], '1 files were named, wanted 2 to 26'),
    (['a.json', 'nowhere.json'], 'nowhere.json holds no counts by frame (FileNotFoundError'),
])
def test_a_wrong_command_gets_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                           names: list[str], words: str) -> None:
    write_run(tmp_path / 'a.json', [1, 2])
    assert main(['report', *(str(tmp_path / name) for name in names)]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count('\n') == 1


def test_broken_json_is_refused(tmp_path: Path) -> None:
    for text in ('{', '[]', '3', '"x"'):
        (tmp_path / 'x.json').write_text(text)
        with pytest.raises(ConfigError, match='x.json holds no counts by frame'):
            read_runs([tmp_path / 'x.json'] * 2)
