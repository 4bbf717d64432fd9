"""Make the virtual environment that holds ROS wheels a ROS prefix that colcon can build against.

Run by the environment's own python after pip. The wheels leave two things undone: some CMake files
name include folders of the machine the wheels were made on, and the setup files that one sources
are missing. Running it again changes nothing.
"""
from __future__ import annotations

import os
import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILDER = r'/opt/python/cp\d+-cp\d+t?'
INCLUDES = (
    (re.compile(BUILDER + r'/include/python[\d.]+'), sysconfig.get_path('include')),
    (re.compile(BUILDER + r'/lib/python[\d.]+/site-packages/numpy/(?:_core|core)/include'),
     numpy.get_include()),
)
SETUP = """\
# Sourced: puts the virtual environment on the paths of ROS, once.
_frm_seg_prepend() {{
  eval "_frm_seg_old=\\"\\${{$1:-}}\\""
  case ":$_frm_seg_old:" in
    *":$2:"*) ;;
    *) export "$1=$2${{_frm_seg_old:+:$_frm_seg_old}}" ;;
  esac
  unset _frm_seg_old
}}
_frm_seg_prepend AMENT_PREFIX_PATH '{prefix}'
_frm_seg_prepend CMAKE_PREFIX_PATH '{prefix}'
_frm_seg_prepend PATH '{prefix}/bin'
unset -f _frm_seg_prepend
"""


def replace(path: Path, text: str) -> None:
    """Write beside and rename: the file may be a hard link into an installer's cache."""
    temporary = path.with_name(f'{path.name}.new')
    temporary.write_text(text)
    os.replace(temporary, path)


def correct_includes(prefix: Path) -> int:
    """Put this environment's include folders into the CMake files; return how many changed."""
    changed = 0
    for path in prefix.glob('share/*/cmake/*.cmake'):
        old = new = path.read_text()
        for pattern, folder in INCLUDES:
            new = pattern.sub(lambda _, folder=folder: folder, new)
        if new != old:
            replace(path, new)
            changed += 1
    return changed


def main() -> None:
    """Correct the CMake files and write the setup files."""
    prefix = Path(sys.prefix)
    print(f'{correct_includes(prefix)} CMake files corrected')
    for stem in ('local_setup', 'setup'):
        for shell in ('sh', 'bash', 'zsh'):
            replace(prefix / f'{stem}.{shell}', SETUP.format(prefix=prefix))


if __name__ == '__main__':
    main()
