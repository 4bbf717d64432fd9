"""The report: self-contained, escaped, with the right figures and pictures."""
from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from frm_seg_ros.core.bootstrap import miou_interval
from frm_seg_ros.core.draw import colorize
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import Label, LabelSpace
from frm_seg_ros.tools import report_charts
from frm_seg_ros.tools.evaluation import Evaluation
from frm_seg_ros.tools.report import error_picture, write_report

SPACE = LabelSpace('<space>', (Label('ro<ad', 0, 0, 'flat', (128, 64, 128)),
                               Label('car', 1, 1, 'vehicle', (0, 0, 142)),
                               Label('never', 2, 2, 'none', (9, 9, 9))))
TITLE, COMMAND = 'a <b> & "c"', "frm-seg eval 'x' <script>alert(1)</script>"


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags are closed in order."""

    VOID = {'meta', 'img', 'br', 'line', 'rect', 'path'}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def make_evaluation(frames: int = 6, size: tuple[int, int] = (30, 40),
                    sure: bool = True) -> Evaluation:
    """Frame n has 100 n wrong pixels of a half of road above a half of car.

    Even ones are sure, odd ones to 0.8.
    """
    evaluation = Evaluation(SPACE, frames)
    for index in range(frames):
        truth = np.zeros(size, np.uint8)
        truth[size[0] // 2:] = 1
        labels = truth.copy()
        labels.flat[:100 * index] = 1
        image = np.full((*size, 3), 20 * index, np.uint8)
        confidence = np.full(size, 255 - 51 * (index % 2), np.uint8) if sure else None
        evaluation.add(Frame(image, 10**9 + index * 10**8, 'camera', truth), labels, confidence)
    return evaluation


def read_report(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding='utf-8'))
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope='module')
def report(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    path = tmp_path_factory.mktemp('report') / 'r.html'
    write_report(path, make_evaluation(), TITLE, COMMAND, {'model': '<i>m</i>', 'source': 's:1'},
                 [10.0, 20.0, 30.0], {'sent': '7', 'dropped: too_old': '1'})
    assert [item.name for item in path.parent.iterdir()] == ['r.html']
    return read_report(path)


def test_nothing_comes_from_outside(report: Reader) -> None:
    places = [value for _, attributes in report.tags for name, value in attributes.items()
              if name in ('src', 'href', 'srcset', 'data', 'action')]
    assert places and all(place.startswith('data:image/') for place in places)
    style = ''.join(report.text)
    assert 'url(' not in style and '@import' not in style
    assert not {'script', 'link', 'iframe', 'b-', 'i'} & {
        tag for tag, attributes in report.tags if attributes.get('class') != 'swatch'}


def test_all_text_is_escaped(report: Reader) -> None:
    for text in (TITLE, COMMAND, '<i>m</i>', 'ro<ad'):
        assert text in report.text


def test_figures(report: Reader) -> None:
    scores = make_evaluation().confusion.scores()
    for value in (scores.miou, scores.pixel_accuracy, scores.iou['ro<ad'], scores.iou['car']):
        assert f'{value:.3f}' in report.text
    for text in ('20.0 ms', '28.0 ms', '29.8 ms', 'dropped: too_old', '7', 's:1', '–'):
        assert text in report.text


def after(report: Reader, heading: str, name: str) -> str:
    """Give the text that follows a name below a heading."""
    texts = report.text[report.text.index(heading):]
    return texts[texts.index(name) + 1]


def test_boundary_figures(report: Reader) -> None:
    boundary = make_evaluation().boundary.scores()
    assert report.text[report.text.index('boundary F') - 1] == f'{boundary.f:.3f}'
    assert after(report, 'Boundary F by class', 'car') == f'{boundary.by_class["car"]:.3f}'
    assert after(report, 'Boundary F by class', 'never') == '–'


def test_interval_of_miou(report: Reader, tmp_path: Path) -> None:
    low, high = miou_interval(make_evaluation().counts_array())
    text = report.text[report.text.index('mIoU, 95% interval over frames') + 1]
    assert text.startswith(f'{low:.3f} to {high:.3f} (bootstrap, 1000 draws in blocks of 2;')
    write_report(tmp_path / 'r.html', make_evaluation(1), 't', 'c', {})
    assert 'interval over frames' not in ' '.join(read_report(tmp_path / 'r.html').text)


def test_confused_figures(report: Reader, tmp_path: Path) -> None:
    texts = report.text[report.text.index('Most confused'):]
    assert texts[texts.index('ro<ad'):][:4] == ['ro<ad', 'car', '1,500', '41.7%']
    write_report(tmp_path / 'r.html', make_evaluation(1), 't', 'c', {})
    assert 'No pixel is wrong.' in read_report(tmp_path / 'r.html').text


def test_calibration_figures(report: Reader) -> None:
    # wrong of the sure 3600: 0 + 200 + 400; of those sure to 0.8: 100 + 300 + 500
    assert 'Expected calibration error 0.108.' in ' '.join(report.text)
    texts = report.text[report.text.index('Calibration'):]
    for name, figures in (('0.73 to 0.80', ['3,600', '50.0%', '0.750', '0.800']),
                          ('0.93 to 1.00', ['3,600', '50.0%', '0.833', '1.000'])):
        assert texts[texts.index(name) + 1:][:4] == figures
    assert '0.67 to 0.73' not in texts


def test_the_reliability_diagram() -> None:
    chart = report_charts.reliability(make_evaluation().calibration.scores())
    bars = re.findall(r'<rect x="([^"]*)" y="([^"]*)" width="([^"]*)" height="([^"]*)"', chart)
    # bins 11 and 14 of 592 / 15 pixels from 40 on; accuracy 0.75 and 0.8333 of 268 up from 276
    assert bars == [('475.1', '75.0', '37.5', '201.0'), ('593.5', '52.7', '37.5', '223.3')]


def test_without_confidence_there_is_no_calibration(tmp_path: Path) -> None:
    write_report(tmp_path / 'r.html', make_evaluation(sure=False), 't', 'c', {})
    assert 'Calibration' not in read_report(tmp_path / 'r.html').text


def test_worst_frames_come_first_with_their_pictures(report: Reader) -> None:
    shown = [int(number) for number in re.findall(r'frame (\d+), ', ' '.join(report.text))]
    assert shown == [5, 4, 3, 2, 0, 1, 3, 5]
    images = [attributes['src'] for tag, attributes in report.tags if tag == 'img']
    assert len(images) == 4 * len(shown)
    evaluation = make_evaluation()
    worst = evaluation.worst[0]
    for uri, wanted, tolerance in zip(images, (
            worst.frame.image, colorize(worst.frame.truth, SPACE), colorize(worst.labels, SPACE)),
            (2, 0, 0)):
        data = np.frombuffer(base64.b64decode(uri.partition(',')[2]), np.uint8)
        found = cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1]
        assert np.abs(found.astype(int) - wanted).max() <= tolerance


def test_error_picture() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    truth = np.array([[0, 0], [255, 1]], np.uint8)
    labels = np.array([[0, 1], [1, 255]], np.uint8)
    painted = error_picture(image, truth, labels)
    assert painted[0, 0].tolist() == [120, 120, 120]
    assert painted[1, 0].tolist() == [0, 0, 0]
    for red, green, blue in (painted[0, 1], painted[1, 1]):
        assert red > 200 and green < 80 and blue < 80


def test_confusion_is_in_percent_of_the_truth() -> None:
    table = report_charts.confusion_table(make_evaluation().confusion)
    cells = re.findall(r'<td style="[^"]*">([^<]*)</td>', table)
    # 1500 of 3600 pixels of road were called car; rows without truth are left out
    assert cells == ['58', '42', '', '', '', '100', '', '']


def test_the_curve_has_gaps_where_nothing_was_scored() -> None:
    curve = report_charts.curve([0.0, 1.0, 2.0, 3.0], [0.0, float('nan'), 1.0, 0.5], 's')
    assert re.search(r'd="M40\.0 276\.0 M\d+\.\d 8\.0 L632\.0 142\.0"', curve)


@pytest.mark.parametrize('frames', [1, 2])
def test_short_evaluations_without_latency(tmp_path: Path, frames: int) -> None:
    write_report(tmp_path / 'r.html', make_evaluation(frames), 't', 'c', {})
    text = ' '.join(read_report(tmp_path / 'r.html').text)
    assert 'Latency' not in text and 'became of' not in text


def test_large_frames_are_shown_small(tmp_path: Path) -> None:
    write_report(tmp_path / 'r.html', make_evaluation(2, (400, 1000)), 't', 'c', {})
    for tag, attributes in read_report(tmp_path / 'r.html').tags:
        if tag == 'img':
            data = np.frombuffer(base64.b64decode(attributes['src'].partition(',')[2]), np.uint8)
            assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == (192, 480, 3)


def test_a_report_that_fails_leaves_the_old_one(tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'r.html'
    path.write_text('old')

    def fail_half_way(file: Path, text: str, encoding: str) -> None:
        file.write_bytes(text[:100].encode())
        raise OSError('no space left')

    monkeypatch.setattr(Path, 'write_text', fail_half_way)
    with pytest.raises(OSError):
        write_report(path, make_evaluation(), 't', 'c', {})
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]
