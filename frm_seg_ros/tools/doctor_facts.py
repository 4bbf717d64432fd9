"""What `frm-seg doctor` looks at: versions, models, backends, GPU, shared memory and ROS."""
from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from frm_seg_ros.backends.base import BACKENDS
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import share_dir
from frm_seg_ros.core.model_card import CARD, ModelCard, find_model

# What Fast DDS looks at, newest name first.
PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
_ROS_VARIABLES = ('ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_LOCALHOST_ONLY',
                  'ROS_STATIC_PEERS', 'ROS_SECURITY_ENABLE', 'ROS_SECURITY_STRATEGY',
                  'ROS_SECURITY_KEYSTORE')
_PACKAGES = ('numpy', 'opencv-python-headless', 'opencv-python', 'opencv-contrib-python', 'numba',
             'PyYAML', 'rosbags', 'openvino', 'onnxruntime', 'onnxruntime-gpu', 'torch',
             'tensorrt')
_CHILD_SECONDS = 60.0
_SHM = Path('/dev/shm')


def collect(model: str, seconds: float) -> dict[str, Any]:
    """Gather all facts, as plain values for JSON.

    Args:
        model: the one whose backends are tried.
        seconds: how long cameras are listened to.
    """
    return {
        'python': {'version': platform.python_version(), 'machine': platform.machine()},
        'packages': packages(), 'cv2': _cv2_version(), 'models': models(model),
        'backends': {name: _child(['frm_seg_ros.tools.doctor_backend', name, model],
                                  _CHILD_SECONDS) for name in BACKENDS},
        'gpu': gpu(), 'shared_memory': shared_memory(), 'profile': profile(),
        'environment': {name: os.environ[name] for name in _ROS_VARIABLES if name in os.environ},
        'ros': _child(['frm_seg_ros.ros.doctor', '--seconds', str(seconds)],
                      _CHILD_SECONDS + seconds),
    }


def packages() -> dict[str, str]:
    """Give the version of each package that bears on us, where it is installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cv2_version() -> str:
    """Ask OpenCV itself, for that of a system is no package of Python; '' if it does not load."""
    try:
        import cv2
    except ImportError:
        return ''
    return cv2.__version__


def models(model: str) -> dict[str, str]:
    """Check card and hashes of the shipped models and of `model`.

    Returns:
        By folder '' or what is wrong; one that is not there at all stands under its own name.
    """
    shipped = sorted(card.parent for card in (share_dir() / 'models').glob(f'*/{CARD}'))
    found = {str(folder): _model_problem(folder) for folder in shipped}
    try:
        folder = find_model(model)
    except ConfigError as error:
        return {**found, model: str(error)}
    return {**found, str(folder): _model_problem(folder)}


def _model_problem(folder: Path) -> str:
    try:
        ModelCard.load(folder).check_files()
    except ConfigError as error:
        return str(error)
    return ''


def gpu() -> dict[str, Any]:
    """Tell of NVIDIA devices as nvidia-smi names them, and of a Jetson, '' where it is none."""
    release = Path('/etc/nv_tegra_release')
    return {'devices': _lines(['nvidia-smi', '--query-gpu=name,driver_version,memory.total',
                               '--format=csv,noheader']),
            'jetson': release.read_text(errors='replace').split('\n')[0]
            if release.is_file() else '',
            'power_mode': ' '.join(_lines(['nvpmodel', '-q'])) if release.is_file() else ''}


def _lines(command: list[str]) -> list[str]:
    if shutil.which(command[0]) is None:
        return []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def shared_memory() -> dict[str, int] | None:
    """Tell of /dev/shm in bytes, and of the segments that Fast DDS has there; None without it."""
    if not _SHM.is_dir():
        return None
    usage = shutil.disk_usage(_SHM)
    return {'total': usage.total, 'free': usage.free,
            'fastdds_segments': sum(1 for _ in _SHM.glob('fastrtps_*[!el]'))}


def profile() -> dict[str, Any]:
    """Tell which profile Fast DDS is given: `file`, `problem`, and `segment_bytes`, 0 for none."""
    name = next((name for name in PROFILE_VARIABLES if os.environ.get(name)), None)
    found: dict[str, Any] = {'variable': name, 'file': os.environ.get(name or '', ''),
                             'problem': '', 'segment_bytes': 0}
    if name is None:
        return found
    try:
        root = ElementTree.parse(found['file']).getroot()
        for one in root.iter():
            one.tag = one.tag.rpartition('}')[2]
        sizes = [int(size.text or 0) for transport in root.iter('transport_descriptor')
                 if (transport.findtext('type') or '').strip() == 'SHM'
                 for size in transport.iter('segment_size')]
        found['segment_bytes'] = max(sizes, default=0)
    except (OSError, ElementTree.ParseError, ValueError) as error:
        found['problem'] = f'{found["file"]} cannot be read: {error}'
    return found


def _child(arguments: list[str], seconds: float) -> dict[str, Any]:
    """Run a module that prints a line of JSON; `problem` says what went wrong, '' for nothing."""
    environment = os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run([sys.executable, '-m', *arguments], capture_output=True, text=True,
                              timeout=seconds, check=False, stdin=subprocess.DEVNULL,
                              env=environment, errors='replace')
    except subprocess.TimeoutExpired:
        return {'problem': f'it hung for {seconds:g} s'}
    if done.returncode < 0:
        return {'problem': f'it crashed ({signal.Signals(-done.returncode).name})'}
    said = done.stderr.strip().splitlines() or ['nothing']
    if done.returncode:
        return {'problem': said[-1][:300]}
    try:
        return {'problem': '', **json.loads(done.stdout.strip().splitlines()[-1])}
    except (IndexError, ValueError):
        return {'problem': f'it printed no facts, and said: {said[-1][:300]}'}
