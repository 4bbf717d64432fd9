"""Evaluations in several processes: the same result, one sentence for what fails, no orphans."""
from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from tiny_model import write_tiny_model

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.tools import evaluate as module
from frm_seg_ros.tools.evaluate import run_evaluation
from frm_seg_ros.tools.evaluation import Evaluation
from frm_seg_ros.tools.jobs import run_jobs
from frm_seg_ros.tools.make_bag import make_bag

SOURCE = 'synthetic:5:7'


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp('models') / 'tiny'))


def keep_evaluations(monkeypatch: pytest.MonkeyPatch) -> list[Evaluation]:
    kept: list[Evaluation] = []
    monkeypatch.setattr(module, 'write_report', lambda path, evaluation, *_: kept.append(
        evaluation))
    return kept


@pytest.mark.parametrize('kind', ['synthetic', 'bag'])
def test_the_result_is_that_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           model: str, kind: str) -> None:
    source = SOURCE
    if kind == 'bag':
        make_bag(SOURCE, tmp_path / 'bag')
        source = f'bag:{tmp_path / "bag"}'
    kept = keep_evaluations(monkeypatch)
    alone, together = (run_evaluation(
        source, model, backend='onnxruntime', jobs=jobs, json_path=str(tmp_path / f'{jobs}.json'),
        csv_path=str(tmp_path / f'{jobs}.csv'), report_path='r.html') for jobs in (1, 3))
    times = alone.pop('timing'), together.pop('timing')
    assert alone == together
    assert alone['frames'] == 7 and alone['flicker']['still_pixels'] > 0
    # a process's first frame is not timed; where another led up to it, it is none of these
    assert [[row is None for row in one['by_frame']] for one in times] == [
        [True, *[False] * 6], [True, *[False] * 6]]
    tables = [(tmp_path / f'{jobs}.csv').read_text().splitlines() for jobs in (1, 3)]
    assert len(tables[0]) == 8
    assert [[line.split(',')[:-3] for line in table] for table in tables][0] == \
        [line.split(',')[:-3] for line in tables[1]]
    assert kept[0].label_space == kept[1].label_space   # with its colours
    first, second = ([(sample.index, sample.score.miou, sample.labels.tobytes(),
                       sample.frame.image.tobytes()) for sample in [*one.worst, *one.even]]
                     for one in kept)
    assert first == second and len(first) == 8


def test_what_fails_in_a_part_is_one_sentence(tmp_path: Path, model: str) -> None:
    work = partial(run_evaluation, 'synthetic:5:7', str(tmp_path / 'nowhere'))
    with pytest.raises(ConfigError, match='nowhere'):
        run_jobs(work, 2, list)
    with pytest.raises(ConfigError, match=r'part [01]/2: TypeError: .*jobs 1 --debug'):
        run_jobs(partial(run_evaluation, 'synthetic:5:7', model, size='no size'), 2, list)


def test_a_part_that_is_killed(model: str) -> None:
    def kill_one() -> None:
        while not multiprocessing.active_children():
            time.sleep(0.01)
        multiprocessing.active_children()[0].kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(ConfigError, match=r'part [01]/2 ended with exit code -9'):
        run_jobs(partial(run_evaluation, 'synthetic:5:100000', model), 2, list)
    killer.join()
    assert not multiprocessing.active_children()


def _children(pid: int) -> list[int]:
    """List the processes below one, their own children too."""
    try:
        found = [int(word) for task in Path(f'/proc/{pid}/task').iterdir()
                 for word in (task / 'children').read_text().split()]
    except OSError:
        return []
    return [*found, *(grandchild for child in found for grandchild in _children(child))]


def _runs(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


@pytest.mark.skipif(not Path('/proc/self/task').is_dir(), reason='needs /proc')
@pytest.mark.parametrize('how, code', [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_all_processes_end_together(tmp_path: Path, model: str, how: int, code: int) -> None:
    out = tmp_path / 'whole.json'
    process = subprocess.Popen(
        [sys.executable, '-m', 'frm_seg_ros.cli', 'eval', 'synthetic:5:100000', '--model', model,
         '--backend', 'onnxruntime', '--jobs', '2', '--json', str(out)],
        stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        end = time.monotonic() + 120
        # two parts, and the tracker of resources that Python starts
        while len(below := _children(process.pid)) < 3:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        if how == signal.SIGINT:    # as a terminal does it
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)
        assert process.wait(60) == code
        while any(map(_runs, below)):
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        process.kill()
        said = process.communicate()[1]
    if how == signal.SIGINT:
        assert said == 'frm-seg eval: interrupted\n'
    assert not out.exists()


def test_json_is_that_of_the_returned_result(tmp_path: Path, model: str) -> None:
    path = tmp_path / 'a.json'
    result = run_evaluation('synthetic:5:2', model, backend='onnxruntime', jobs=2,
                            json_path=str(path))
    assert json.loads(path.read_text()) == result and 'shard' not in result
