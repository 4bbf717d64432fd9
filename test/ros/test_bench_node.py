"""The node against its bare engine: figures by hand, and one short run for real."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed: no ROS 2 is sourced')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.ros.bench_node import compare, cores, output_hz  # noqa: E402
from frm_seg_ros.tools.latency import STAGES, Run  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
MS = 1_000_000


def every(gap_ms: int, latency_ms: int, count: int = 11) -> Run:
    """Send every `gap_ms`; each comes back after `latency_ms`, of which 5 ms are in the node."""
    sent = {stamp: stamp * gap_ms * MS for stamp in range(count)}
    return Run(sent, {stamp: at + latency_ms * MS for stamp, at in sent.items()},
               stages=[dict.fromkeys(STAGES, 1.0)] * count)


def test_ratios_are_of_medians_and_of_rates() -> None:
    rounds = [{'engine': [10.0] * 4, 'lockstep': every(20, 12), 'flood': every(20, 99)},
              {'engine': [10.0] * 4, 'lockstep': every(20, 11), 'flood': every(10, 99)}]
    found = compare(rounds)
    assert found['latency_ratio'] == pytest.approx(1.15)      # of 11 times 11 and 11 times 12 ms
    assert found['latency_ratio_by_round'] == pytest.approx([1.2, 1.1])
    assert found['in_node_ratio'] == pytest.approx(0.5)
    assert found['flood_hz'] == pytest.approx(75) and found['engine_hz'] == pytest.approx(100)
    assert found['throughput_ratio'] == pytest.approx(0.75) and not found['reached']
    assert found['throughput_ratio_by_round'] == pytest.approx([0.5, 1.0])
    assert compare([{**rounds[1], 'engine': [10.0] * 4}])['reached']
    with pytest.raises(ConfigError, match='only 1 outputs'):
        output_hz(every(1, 1, 1))


def test_the_cores_of_others_are_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, 'cpu_count', lambda: 4)
    used = {name: {'cpu_cores': value} for name, value in
            (('node', 1.0), ('player', 0.25), ('monitor', 0.25))}
    machine = {'ResourceMetrics.MEAN_OVERALL_CPU_UTILIZATION': 50.0}
    assert cores([{**used, 'machine': machine}]) == {
        'node': 1.0, 'player': 0.25, 'monitor': 0.25, 'others': 0.5}


def test_a_short_run_with_the_real_node(model: Path, tmp_path: Path) -> None:
    if not any((Path(prefix) / 'lib/frm_seg_ros/segmentation_node').is_file()
               for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)):
        pytest.skip('the node is not built and sourced')
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    done = subprocess.run(
        [sys.executable, '-m', 'frm_seg_ros.ros.bench_node', '--model', str(model), '--backend',
         'onnxruntime', '--camera', '48x64', '--rounds', '2', '--frames', '5', '--seconds', '0.5',
         '--json', str(tmp_path / 'b.json')], env={**os.environ, 'PYTHONPATH': path}, text=True,
        capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / 'b.json').read_text())
    lockstep = found['lockstep']
    for told in lockstep['accounts']:     # best effort, as cameras send
        assert told['sent'] == 5 == told['came_back'] + told['missed'] and told['came_back'] >= 3
    assert found['latency_ratio'] == pytest.approx(
        lockstep['latency_ms']['p50'] / found['engine_ms']['p50'])
    assert found['threads'] == 1 and found['backend'] == 'onnxruntime'
    # The node does what the engine does and more; under flood it drops what it cannot take.
    assert lockstep['latency_ms']['p50'] > lockstep['stages_ms']['inference']['p50'] > 0
    for told in found['flood']['accounts']:
        assert told['node']['received'] == told['node']['processed'] + sum(
            told['node']['dropped'].values())
    assert np.mean(found['latency_ratio_by_round']) > 0
    assert 'throughput' in done.stdout and 'cores busy: node' in done.stdout
