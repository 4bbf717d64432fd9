"""Install the Python part with pip; messages and nodes come with colcon (CMakeLists.txt)."""
from pathlib import Path

from setuptools import setup


def shared_files() -> list[tuple[str, list[str]]]:
    """List the files that go below `share` with the folder of the prefix that gets them."""
    tops = ('config', 'foxglove', 'models', 'msg')
    files = [file for top in tops for file in Path(top).rglob('*') if file.is_file()]
    return [(f'share/frm_seg_ros/{file.parent}', [str(file)]) for file in sorted(files)]


setup(data_files=shared_files())
