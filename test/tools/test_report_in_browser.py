"""The pages that people look at, in a real browser: nothing breaks, loads or runs over the edge.

FRM_SEG_SCREENSHOTS names a folder in which the pictures of the pages are kept.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import browser
import numpy as np
import pytest

from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import Label, LabelSpace
from frm_seg_ros.tools.compare import read_runs
from frm_seg_ros.tools.compare_page import write_comparison
from frm_seg_ros.tools.details import details
from frm_seg_ros.tools.evaluate import score_dict, write_json
from frm_seg_ros.tools.evaluation import Evaluation
from frm_seg_ros.tools.report import write_report

pytestmark = pytest.mark.skipif(not browser.PROGRAM, reason='no Chromium is installed')

ATTACK = '<img src=x onerror=alert(1)>'
SPACE = LabelSpace(f'space {ATTACK}', (
    Label(ATTACK, 0, 0, f'flat {ATTACK}', (128, 64, 128)),
    Label('<script>alert(2)</script>', 1, 1, 'vehicle', (0, 0, 142)),
    Label('a_name_that_is_' + 'very_' * 12 + 'long', 2, 2, 'none', (90, 9, 9)),
    *(Label(f'class {index}', index, index, 'other', (9 * index, 99, 9))
      for index in range(3, 19))))
FACTS = {'source': f'bag:{ATTACK}', f'name {ATTACK}': 'x' * 200, 'trained by': ATTACK,
         'SHA-256 of model.onnx': 'ab' * 32}
TITLE = f'{ATTACK} on bag:/{"long_" * 30}drive'
BROKEN = ('Runtime.consoleAPICalled', 'Runtime.exceptionThrown', 'Log.entryAdded',
          'Page.javascriptDialogOpening')


def make_evaluation(shift: int) -> Evaluation:
    """Frames of two cameras with malicious names; labels are shifted by some pixels."""
    rng, evaluation = np.random.default_rng(0), Evaluation(SPACE, 24)
    truth = np.kron(rng.integers(0, 19, (9, 12)), np.ones((10, 10))).astype(np.uint8)
    image = rng.integers(0, 256, (90, 120, 3), np.uint8)
    for index in range(24):
        camera = f'/{"left" if index < 12 else "right"}/{ATTACK}'
        labels = np.roll(truth, shift + index % 5, axis=1)
        evaluation.add(Frame(image, 1_700_000_000_123_456_789 + index % 12 * 10**8, camera, truth),
                       labels, rng.integers(0, 256, truth.shape, np.uint8),
                       {'pre': 1.0, 'inference': 1200.0 + 7 * index, 'decode': 0.5})
    return evaluation


def report(folder: Path) -> Path:
    path = folder / 'report.html'
    write_report(path, make_evaluation(2), TITLE, f'frm-seg eval {ATTACK} {"x" * 150}', FACTS,
                 [10.0, 2000.5], {f'dropped: {ATTACK}': '3'})
    return path


def comparison(folder: Path) -> Path:
    paths = []
    for shift in range(4):
        evaluation = make_evaluation(shift)
        paths.append(folder / f'{shift}.json')
        write_json(paths[-1], {
            **score_dict(evaluation.confusion.scores()), **details(evaluation),
            'confusion': evaluation.confusion.counts.tolist(), 'frames': 24,
            'source': f'bag:{ATTACK}', 'bag_options': {}, 'label_space': 'space',
            'classes': SPACE.names, 'model': f'model {shift} {ATTACK}', 'backend': 'torch',
            'model_sha256': 'ab' * 32, 'command': f'frm-seg eval {ATTACK}', 'map': None})
    path = folder / 'comparison.html'
    write_comparison(path, read_runs(paths), f'frm-seg report {ATTACK}')
    return path


@pytest.fixture(scope='module')
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    with browser.Browser(tmp_path_factory.mktemp('profile')) as opened:
        yield opened


@pytest.fixture(scope='module')
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(os.environ.get('FRM_SEG_SCREENSHOTS') or tmp_path_factory.mktemp('screenshots'))


@pytest.mark.parametrize('dark', [False, True])
@pytest.mark.parametrize('width', [360, 1200])
@pytest.mark.parametrize('make', [report, comparison])
def test_pages(tmp_path: Path, window: browser.Browser, screenshots: Path, make: object,
               width: int, dark: bool) -> None:
    path = make(tmp_path)
    window.show(path, width, dark=dark)
    picture = screenshots / f'{path.stem}_{width}_{"dark" if dark else "light"}.png'
    window.screenshot(picture)
    assert picture.stat().st_size > 10_000
    assert [event for event in window.events if event[0] in BROKEN] == []
    asked = {params['request']['url'] for method, params in window.events
             if method == 'Network.requestWillBeSent'}
    assert {url for url in asked if not url.startswith('data:')} == {path.as_uri()}
    # pictures of the report are data; what an attacker named as one would be another
    assert window.evaluate('[...document.images].filter(i => !i.src.startsWith("data:image/")'
                           ' || !i.complete || !i.naturalWidth).length') == 0
    assert window.evaluate('document.scripts.length') == 0
    assert ATTACK in window.evaluate('document.body.innerText')
    assert ATTACK in window.evaluate('document.title')
    assert window.evaluate('document.documentElement.scrollWidth') <= width
    # what is wider than the window lies in a box that scrolls by itself
    assert window.evaluate(
        f'[...document.querySelectorAll("main *")].filter(e => !e.closest(".scroll, svg")'
        f' && e.getBoundingClientRect().right > {width}).map(e => e.outerHTML.slice(0, 80))') == []
    light = window.evaluate('getComputedStyle(document.body).backgroundColor')
    assert light == ('rgb(18, 21, 26)' if dark else 'rgb(246, 247, 249)')


def test_a_link_with_a_stamp_leads_to_its_frame(tmp_path: Path, window: browser.Browser) -> None:
    window.show(report(tmp_path), 1200)
    anchors = window.evaluate('[...document.querySelectorAll(".frame")].map(e => e.id)')
    assert len(anchors) == len(set(anchors)) >= 4
    assert all(anchor.startswith('stamp-17000000') for anchor in anchors)
    assert window.evaluate('[...document.querySelectorAll("a")].every(a => '
                           'document.getElementById(a.getAttribute("href").slice(1)))')
    window.evaluate(f'location.hash = "{anchors[2]}"')
    assert window.evaluate('document.querySelector(":target").id') == anchors[2]
    assert abs(window.evaluate('document.querySelector(":target").getBoundingClientRect().top')
               ) < 400
