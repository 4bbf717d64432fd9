"""The real node on real DDS, in a domain of its own."""
from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER))   # for rig.py
# Domains above 101 would use ports that Linux hands out to clients.
os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
os.environ.setdefault('FASTRTPS_DEFAULT_PROFILES_FILE',
                      str(FOLDER.parents[1] / 'config' / 'fastdds_shm.xml'))


@pytest.fixture(scope='session')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model that labels by the nearest colour of the CamVid palette."""
    pytest.importorskip('onnx', reason='onnx is not installed: no model can be made')
    pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    from tiny_model import write_tiny_model
    return write_tiny_model(tmp_path_factory.mktemp('models') / 'tiny')


@pytest.fixture
def make_rig(model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Make rigs with parameters of the node as keywords; all end with the test.

    What the node does every second it does ten times as often, so that no test waits for it.
    """
    from rig import Rig

    from frm_seg_ros.ros import camera, engine, node, subscription
    for module, name in ((camera, 'STATS_SECONDS'), (node, 'DIAGNOSTICS_SECONDS'),
                         (subscription, 'LOOK_SECONDS'), (engine, 'FIRST_DELAY_S')):
        monkeypatch.setattr(module, name, 0.1)
    rigs = []

    def make(**options: Any) -> Any:
        rigs.append(Rig(**{'model': str(model), 'backend': 'onnxruntime', 'qos': 'reliable',
                           **options}))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
    for rig in rigs:
        assert not rig.wrong_stats


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keep what a test found out for docs/reliability.md, in the folder $RELIABILITY names."""
    def write(**found: Any) -> None:
        folder = os.environ.get('RELIABILITY')
        if folder:
            path = Path(folder) / f'{request.node.name}.json'
            path.write_text(json.dumps({'what': request.function.__doc__, **found}))

    return write
