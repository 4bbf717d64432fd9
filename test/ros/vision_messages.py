"""vision_msgs for tests: the installed one, or one built of the two messages that we publish."""
from __future__ import annotations

import ctypes
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Of vision_msgs 4, as docs.ros.org shows them.
MESSAGES = {'VisionClass': 'uint16 class_id\nstring class_name\n',
            'LabelInfo': 'std_msgs/Header header\nvision_msgs/VisionClass[] class_map\n'
                         'float32 threshold\n'}
CMAKE = """cmake_minimum_required(VERSION 3.20)
project(vision_msgs)
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
find_package(std_msgs REQUIRED)
rosidl_generate_interfaces(vision_msgs "msg/VisionClass.msg" "msg/LabelInfo.msg"
  DEPENDENCIES std_msgs)
ament_package()
"""
PACKAGE = """<package format="3">
  <name>vision_msgs</name> <version>0.0.0</version> <description>for tests</description>
  <maintainer email="nobody@example.com">nobody</maintainer> <license>as the package</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  <depend>std_msgs</depend> <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export> <build_type>ament_cmake</build_type> </export>
</package>
"""


def build(folder: Path) -> Path:
    """Build the package in a folder, once; give what it installed."""
    install = folder / 'install' / 'vision_msgs'
    if (install / 'share/vision_msgs/package.xml').is_file():
        return install
    if not shutil.which('colcon'):
        pytest.skip('neither vision_msgs nor colcon, to build it, is installed')
    source = folder / 'src' / 'vision_msgs'
    (source / 'msg').mkdir(parents=True, exist_ok=True)
    for name, text in MESSAGES.items():
        (source / 'msg' / f'{name}.msg').write_text(text)
    (source / 'CMakeLists.txt').write_text(CMAKE)
    (source / 'package.xml').write_text(PACKAGE)
    done = subprocess.run(
        ['colcon', 'build', '--cmake-args', '-DBUILD_TESTING=OFF',
         f'-DPython3_EXECUTABLE={sys.executable}'], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=400)
    assert done.returncode == 0, done.stdout
    return install


def load(install: Path) -> None:
    """Make what was built importable in this very process."""
    # The loader finds libraries of these names when they are asked for: LD_LIBRARY_PATH is read
    # at the start of a process only.
    left = sorted((install / 'lib').glob('lib*.so'))
    for _ in range(len(left)):   # those that need others come after them
        for library in left[:]:
            try:
                ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
            except OSError:
                continue
            left.remove(library)
    assert not left
    (packages,) = install.glob('lib/python3*/site-packages')
    sys.path.append(str(packages))
    importlib.invalidate_caches()
