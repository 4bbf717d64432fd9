"""What colcon and pip install, used from outside the source tree."""
from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IN_SHARE = ('config/labels/camvid.yaml', 'config/fastdds_shm.xml', 'config/segment.yaml',
            'foxglove/frm_seg_layout.json', 'launch/segment.launch.py',
            'launch/multi_camera.launch.py', 'rviz/segment.rviz')

SHARED = ('config', 'foxglove', 'models', 'msg')      # what pip installs of it


def console_scripts() -> set[str]:
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    lines = config['options.entry_points']['console_scripts'].split('\n')
    return {line.split('=')[0].strip() for line in lines if line}


def run(command: list[str], folder: Path) -> str:
    """Run in a folder with nothing sourced and no path to the source tree; return the output."""
    env = {'HOME': os.environ.get('HOME', '/'), 'PATH': '/usr/local/bin:/usr/bin:/bin'}
    done = subprocess.run(command, cwd=folder, env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope='module')
def prefix() -> Path:
    """Give the folder into which colcon installed the package."""
    for folder in os.environ.get('AMENT_PREFIX_PATH', '').split(':'):
        if (Path(folder) / 'share/frm_seg_ros/package.xml').is_file():
            return Path(folder)
    pytest.skip('the package is not built and sourced: make build, . install/setup.bash')


@pytest.fixture(scope='module')
def setup_file(prefix: Path) -> Path:
    isolated, merged = prefix.parent / 'setup.bash', prefix / 'setup.bash'
    return merged if merged.is_file() else isolated


def test_messages_and_library_import_after_sourcing(setup_file: Path, tmp_path: Path) -> None:
    code = ('from frm_seg_ros.msg import SegmentationStats\n'
            'from frm_seg_ros.segmenter import Segmenter\n'
            'import frm_seg_ros\n'
            'print(SegmentationStats(received=7).received, frm_seg_ros.__file__)')
    output = run(['bash', '-c', f'. {setup_file}; python3 -c "$0"', code], tmp_path)
    received, file = output.splitlines()[-1].split(' ', 1)
    assert received == '7'
    assert setup_file.parent in Path(file).parents


def test_every_console_script_is_an_executable_of_ros2_run(prefix: Path) -> None:
    scripts = console_scripts()
    assert {'frm-seg', 'segmentation_node'} <= scripts
    files = list((prefix / 'lib/frm_seg_ros').iterdir())
    assert {file.name for file in files} == scripts
    for file in files:
        interpreter = file.read_text().splitlines()[0].removeprefix('#!')
        assert os.access(file, os.X_OK) and os.access(interpreter, os.X_OK)


def test_an_executable_runs(prefix: Path, setup_file: Path, tmp_path: Path) -> None:
    script = prefix / 'lib/frm_seg_ros/frm-seg'
    assert 'predict' in run(['bash', '-c', f'. {setup_file}; {script} --help'], tmp_path)


def test_shared_files_are_installed_as_they_are_in_the_source(prefix: Path) -> None:
    for name in IN_SHARE:
        assert (prefix / 'share/frm_seg_ros' / name).read_bytes() == (ROOT / name).read_bytes()


def test_package_xml_and_setup_cfg_have_one_version() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    versions = re.findall('<version>(.+)</version>', (ROOT / 'package.xml').read_text())
    assert versions == [config['metadata']['version']]


@pytest.fixture(scope='module')
def pip_venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package alone with pip into a new environment that has no ROS."""
    pytest.importorskip('setuptools')
    source = tmp_path_factory.mktemp('source')
    # A copy: setuptools builds inside the tree that it is given.
    for name in ('frm_seg_ros', *SHARED):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name)
    for name in ('setup.py', 'setup.cfg', 'pyproject.toml', 'README.md', 'LICENSE'):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, source / name)
    place = tmp_path_factory.mktemp('venv')
    venv.create(place, symlinks=True)
    site = next(place.glob('lib/python*/site-packages'))
    # numpy, OpenCV and setuptools are borrowed from here; ROS is not.
    (site / 'borrowed.pth').write_text('\n'.join(path for path in sys.path if 'site-' in path
                                                 or 'dist-' in path))
    (site / 'rclpy.py').write_text("raise ModuleNotFoundError('no ROS here', name='rclpy')")
    run([str(place / 'bin/python'), '-m', 'pip', 'install', '-q', '--no-deps', '--no-index',
         '--no-build-isolation', str(source)], place)
    return place


def test_pip_alone_gives_the_command(pip_venv: Path, tmp_path: Path) -> None:
    output = run([str(pip_venv / 'bin/frm-seg'), '--help'], tmp_path)
    assert 'predict' in output and 'eval' in output


def test_pip_alone_gives_label_spaces_and_models(pip_venv: Path, tmp_path: Path) -> None:
    code = ('from frm_seg_ros.core.files import share_dir\n'
            'from frm_seg_ros.core.label_space import LabelSpace\n'
            'print(len(LabelSpace.load("camvid").classes), share_dir())')
    count, share = run([str(pip_venv / 'bin/python'), '-c', code], tmp_path).split()
    assert int(count) == 11
    assert Path(share) == pip_venv / 'share/frm_seg_ros'
    for top in SHARED:
        wanted = {file.relative_to(ROOT) for file in (ROOT / top).rglob('*') if file.is_file()}
        assert {name for name in wanted if not (Path(share) / name).is_file()} == set()


def test_pip_alone_installs_every_console_script(pip_venv: Path) -> None:
    assert console_scripts() <= {file.name for file in (pip_venv / 'bin').iterdir()}


@pytest.mark.parametrize('script', ['segmentation_node', 'play', 'record', 'replay'])
def test_without_ros_a_node_ends_with_one_sentence(
        script: str, pip_venv: Path, tmp_path: Path) -> None:
    done = subprocess.run([pip_venv / 'bin' / script], cwd=tmp_path, text=True, env={},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode != 0
    assert len(done.stdout.splitlines()) == 1 and 'ROS' in done.stdout
