"""The command line: what it loads, its help, its exit codes and its one sentence."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_model import write_tiny_model

from frm_seg_ros import cli

COMMANDS = [['predict'], ['eval'], ['report'], ['bench'], ['export'], ['import'], ['train'],
            ['bag', 'make'], ['bag', 'annotate'], ['bag', 'info']]


def test_importing_the_command_line_loads_no_heavy_package() -> None:
    code = ('import sys, frm_seg_ros.cli; '
            'print([name for name in ("rclpy", "torch", "tensorrt", "cv2", "numpy") '
            'if name in sys.modules])')
    found = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                           timeout=60, check=True)
    assert found.stdout.strip() == '[]'


@pytest.mark.parametrize('command', COMMANDS, ids=' '.join)
def test_every_command_has_help_with_an_example(command: list[str],
                                                capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, '--help'])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    example = ' '.join(text.split()).partition('example: ')[2].split()
    assert example[:1 + len(command)] == ['frm-seg', *command]
    parsed = cli._parser().parse_args(example[1:])
    assert parsed.command == command[0]


@pytest.mark.parametrize('line, words', [
    ([], 'COMMAND'),
    (['fly'], "invalid choice: 'fly'"),
    (['eval', 'synthetic:1:1', '--size', '360'], 'HEIGHTxWIDTH'),
    (['export', 'x', '--to', 'paper'], 'paper'),
])
def test_a_wrong_command_line_gets_one_sentence(line: list[str], words: str,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(line)
    assert ended.value.code == 2
    _assert_sentence(capsys.readouterr().err, words)


@pytest.mark.parametrize('line, words', [
    (['eval'], 'name a SOURCE'),
    (['eval', 'nonsense'], "'nonsense' is not a source"),
    (['eval', 'nonsense:1'], "no source is called 'nonsense'"),
    (['predict', 'no/such/file', '--out', 'new'], 'there is no no/such/file'),
    (['predict', '.', '--out', 'full'], 'full is not empty'),
    (['predict', '.', '--out', 'full/file'], 'full/file is a file'),
    (['bag', 'make', 'synthetic:1:1', 'full'], 'full is there already'),
    (['bag', 'annotate', 'full', 'new'], 'full is no bag'),
    (['bag', 'annotate', 'no/bag', 'full'], 'full is there already'),
    (['bag', 'make', 'synthetic:1:1', 'full', '--force'], 'full is there already and is no bag'),
])
def test_wrong_input_gets_one_sentence_and_exit_code_2(
        line: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'file').write_text('kept')
    monkeypatch.chdir(tmp_path)
    assert cli.main(line) == 2
    _assert_sentence(capsys.readouterr().err, words)
    assert sorted(path.name for path in tmp_path.rglob('*')) == ['file', 'full']


def _assert_sentence(text: str, words: str) -> None:
    assert words in text
    assert text.startswith('frm-seg')
    assert text.count('\n') == 1 and text.endswith('\n')


def fail_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(args: object) -> None:
        raise error
    monkeypatch.setattr(cli, '_evaluate', run)


@pytest.mark.parametrize('error, code, words', [
    (ModuleNotFoundError("No module named 'torch'", name='torch'), 2,
     'torch is not installed: pip install frm-seg[torch]'),
    (ModuleNotFoundError("No module named 'rosbags'", name='rosbags.rosbag2'), 2,
     'rosbags.rosbag2 is not installed: pip install frm-seg[bag]'),
    (FileNotFoundError(2, 'No such file or directory', 'x.png'), 2, 'x.png'),
    (RuntimeError('one\ntwo'), 2, 'RuntimeError: one two: run it again with --debug'),
    (KeyboardInterrupt(), 130, 'interrupted'),
])
def test_errors_become_exit_codes(error: BaseException, code: int, words: str,
                                  monkeypatch: pytest.MonkeyPatch,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    fail_with(error, monkeypatch)
    assert cli.main(['eval', 'synthetic:1:1']) == code
    _assert_sentence(capsys.readouterr().err, words)


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    fail_with(RuntimeError('broken'), monkeypatch)
    assert cli.main(['eval', 'synthetic:1:1', '--debug']) == 2
    assert 'Traceback' in capsys.readouterr().err


def test_bag_make_and_info(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                           capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('rosbags', reason='rosbags is not installed: pip install frm-seg[bag]')
    (tmp_path / 'in').mkdir()
    for index in range(3):
        cv2.imwrite(str(tmp_path / 'in' / f'{index}.png'), np.zeros((24, 32, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    line = ['bag', 'make', 'images:in', 'drive', '--rate', '4', '--storage', 'sqlite3']
    assert cli.main(line) == 0
    assert cli.main(line) == 2
    assert cli.main([*line, '--force']) == 0
    capsys.readouterr()
    assert cli.main(['bag', 'info', 'drive']) == 0
    words = capsys.readouterr().out.split()
    assert {'sqlite3', '0.500', '/camera/image', '3'} <= set(words)


def test_ctrl_c_in_a_real_process_exits_130_without_traceback(tmp_path: Path) -> None:
    code = ('import time, frm_seg_ros.cli as cli\n'
            'def run(args):\n'
            '    print("busy", flush=True); time.sleep(30)\n'
            'cli._evaluate = run\n'
            'raise SystemExit(cli.main(["eval", "synthetic:1:1"]))')
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout.readline() == 'busy\n'
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == 'frm-seg eval: interrupted\n'


def test_bag_annotate_tells_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('rosbags', reason='rosbags is not installed: pip install frm-seg[bag]')
    pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    write_tiny_model(tmp_path / 'tiny')
    monkeypatch.chdir(tmp_path)
    assert cli.main(['bag', 'make', 'synthetic:1:2', 'drive']) == 0
    line = ['bag', 'annotate', 'drive', 'out', '--model', 'tiny', '--backend', 'onnxruntime',
            '--topic', '/camera/image', '--overlay', '--storage', 'sqlite3', '--prefix', '/seg']
    assert cli.main(line) == 0
    assert cli.main(line) == 2
    assert cli.main([*line, '--force']) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        '/camera/image: labels on /seg/label_image', '2 images labelled, 7 messages copied: out']
    assert cli.main(['bag', 'info', 'out']) == 0
    words = capsys.readouterr().out.split()
    assert {'sqlite3', '/seg/overlay', '/seg/label_space', '/camera/label_image'} <= set(words)
