"""The report: self-contained, escaped, with the right figures and pictures."""
from __future__ import annotations

import base64
import re
from dataclasses import replace
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
from frm_seg_ros.tools.report import write_report
from frm_seg_ros.tools.report_frames import error_picture

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
    outside = [place for place in places if not place.startswith('data:image/')]
    targets = {attributes['id'] for _, attributes in report.tags if 'id' in attributes}
    assert len(outside) < len(places) and {place[1:] for place in outside} <= targets
    assert all(place.startswith('#') for place in outside)
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
    assert report.text[report.text.index('mIoU, 95% interval') - 1] == f'{low:.3f}–{high:.3f}'
    text = report.text[report.text.index('interval of mIoU') + 1]
    assert text.startswith('over frames, by bootstrap: 1000 draws in blocks of 2;')
    write_report(tmp_path / 'r.html', make_evaluation(1), 't', 'c', {})
    texts = read_report(tmp_path / 'r.html').text
    assert texts[texts.index('mIoU, 95% interval') - 1] == '–' and 'interval of mIoU' not in texts


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
    # bins 11 and 14 of 576 / 15 pixels from 56 on; accuracy 0.75 and 0.8333 of 276 up from 286
    assert bars == [('479.4', '79.0', '36.4', '207.0'), ('594.6', '56.0', '36.4', '230.0')]


def test_without_confidence_there_is_no_calibration(tmp_path: Path) -> None:
    write_report(tmp_path / 'r.html', make_evaluation(sure=False), 't', 'c', {})
    assert 'Calibration' not in read_report(tmp_path / 'r.html').text


def test_worst_frames_come_first_with_their_pictures(report: Reader) -> None:
    shown = [int(number) for number in re.findall(r', frame (\d+), ', ' '.join(report.text))]
    assert shown == [5, 4, 3, 2, 0, 1]      # 3 and 5 along the way are shown already
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
    curve = report_charts.curves({'': ([0.0, 1.0, 2.0, 3.0], [0.0, float('nan'), 2.0, 1.0])},
                                 's', 2.0)
    assert 'd="M56.0 286.0h0M440.0 10.0h0L632.0 148.0"' in curve


def test_curves_of_several_cameras_share_their_axis() -> None:
    chart = report_charts.curves({'<a>': ([0.0, 1.0], [0.0, 1.0]), 'b': ([2.0, 3.0], [1.0, 0.0])},
                                 's', links=[(3.0, 0.0, 'stamp-7', '<t>')])
    assert re.findall(r'<path d="([^"]*)"', chart) == ['M56.0 286.0h0L248.0 10.0',
                                                       'M440.0 10.0h0L632.0 286.0']
    assert '<a href="#stamp-7"><title>&lt;t&gt;</title><circle cx="632.0" cy="286.0"' in chart
    assert '&lt;a&gt;</span>' in chart and '<a>' not in chart


@pytest.mark.parametrize('value, top', [(0.9, 1), (1, 1), (1.1, 2), (23, 40), (81, 100), (4, 4)])
def test_tops_of_axes(value: float, top: float) -> None:
    assert report_charts.nice_top(value) == pytest.approx(top)


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


def timed_evaluation(backwards: bool = False) -> Evaluation:
    """Six frames of two cameras; the n-th took 10 n + 2 ms, but for the first of all."""
    evaluation = Evaluation(SPACE, 6)
    for index in range(6):
        truth = np.zeros((10, 10), np.uint8)
        labels = truth.copy()
        labels.flat[:10 * index] = 1
        stamp = 10**9 * (-index if backwards else 5 + index % 3)
        image = np.zeros((10, 10, 3), np.uint8)
        evaluation.add(Frame(image, stamp, f'/cam{index // 3}<b>', truth),
                       labels, None, {'pre': 2.0, 'inference': 10.0 * index, 'decode': 1.0}
                       if index else None)
    return evaluation


def test_times_of_frames(tmp_path: Path) -> None:
    write_report(tmp_path / 'r.html', timed_evaluation(), 't', 'c', {})
    report = read_report(tmp_path / 'r.html')
    # 12, 22, 32, 42, 52 ms
    for name, text in (('p50', '32.0 ms'), ('p90', '48.0 ms'), ('max', '52.0 ms')):
        texts = report.text[report.text.index('Time of a frame'):]
        assert texts[texts.index(name) - 1] == text
    assert after(report, 'Time along the recording', 'inference with decoding') == '30.0'
    html = (tmp_path / 'r.html').read_text()
    # of 0..80 ms; the first frame of the first camera was not timed
    assert 'd="M344.0 244.6h0L632.0 210.1"' in html.partition('Time along the recording')[2]


def test_every_camera_has_its_row_line_and_anchors(tmp_path: Path) -> None:
    write_report(tmp_path / 'r.html', timed_evaluation(), 't', 'c', {})
    report = read_report(tmp_path / 'r.html')
    cells = report.text[report.text.index('Cameras'):]
    assert cells[cells.index('/cam1<b>') + 1:][:2] == ['3', '0.300']    # 60 % / 2
    targets = [attributes['id'] for tag, attributes in report.tags
               if attributes.get('class') == 'frame']
    # the worst come first; stamps are alike in both cameras
    assert targets == ['stamp-7000000000-1', 'stamp-6000000000-1', 'stamp-5000000000-1',
                       'stamp-7000000000-0', 'stamp-5000000000-0', 'stamp-6000000000-0']
    assert 'mIoU along the recording' in report.text


def test_where_stamps_go_back_frames_are_counted(tmp_path: Path) -> None:
    write_report(tmp_path / 'r.html', timed_evaluation(backwards=True), 't', 'c', {})
    assert '2 frames' in read_report(tmp_path / 'r.html').text


def test_flicker_is_on_top(tmp_path: Path) -> None:
    evaluation = make_evaluation(2)
    evaluation.counts[1] = replace(evaluation.counts[1], still=400, changed=5)
    write_report(tmp_path / 'r.html', evaluation, 't', 'c', {})
    texts = read_report(tmp_path / 'r.html').text
    assert texts[texts.index('flicker') - 1] == '1.25%'
    assert '(400 pixels)' in ' '.join(texts)


def test_long_recordings_are_drawn_with_fewer_points(tmp_path: Path) -> None:
    evaluation = make_evaluation(2)
    evaluation.counts[:] = [replace(evaluation.counts[index % 2], stamp_ns=index)
                            for index in range(4000)]
    write_report(tmp_path / 'r.html', evaluation, 't', 'c', {})
    html = (tmp_path / 'r.html').read_text()
    assert 'A point of the line is the mean of 3 frames.' in html
    assert re.search(r'<path d="([^"]*)"', html)[1].count('L') == 1333
