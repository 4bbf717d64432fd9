"""The layers of the package: who may import whom, function-level imports included."""
from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / 'frm_seg_ros'
# What each layer may see of the package besides itself.
MAY_SEE = {
    'core': set(),
    'network': {'core'},
    'backends': {'core', 'network'},
    'segmenter': {'core', 'backends'},
    'sources': {'core'},
    'training': {'core', 'network', 'backends', 'segmenter', 'sources'},
    'tools': {'core', 'network', 'backends', 'segmenter', 'sources'},
    'cli': {'core', 'backends', 'segmenter', 'sources', 'tools', 'training'},
    'ros': {'core', 'backends', 'segmenter', 'sources', 'tools'},
}
SEE_NETWORK = ('network/', 'training/', 'backends/torch_', 'tools/export.py',
               'tools/random_model.py')
SEE_TORCH = (*SEE_NETWORK, 'backends/base.py')  # base: its probe for CUDA
ROS_PACKAGES = {'rclpy', 'cv_bridge', 'launch', 'launch_ros', 'builtin_interfaces',
                'rcl_interfaces'}


def imports_of(tree: ast.AST, module: str) -> Iterator[str]:
    """Yield the dotted names that a module imports, `from a import b` as `a.b`."""
    parts = module.split('.')
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = '.'.join([*parts[:-node.level], *filter(None, [node.module])]
                            if node.level else [node.module])
            yield from (f'{base}.{alias.name}' for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
            if name in ('import_module', '__import__'):
                yield str(node.args[0].value)


def read_package() -> dict[str, set[str]]:
    """Give what each file of the package imports, by its path below the package."""
    files = {}
    for path in PACKAGE.rglob('*.py'):
        module = '.'.join(path.relative_to(ROOT).with_suffix('').parts)
        files[path.relative_to(PACKAGE).as_posix()] = set(
            imports_of(ast.parse(path.read_text()), module))
    return files


FILES = read_package()


def layer_of(file: str) -> str:
    return file.removesuffix('.py').split('/')[0]


def seen_layers(imports: set[str]) -> set[str]:
    return {name.split('.')[1] for name in imports if name.startswith('frm_seg_ros.')}


def is_ros(name: str) -> bool:
    top = name.split('.')[0]
    return top in ROS_PACKAGES or top.endswith(('_msgs', '_srvs')) or \
        f'{name}.'.startswith('frm_seg_ros.msg.')


def importers(package: str) -> set[str]:
    return {file for file, imports in FILES.items()
            if any(f'{name}.'.startswith(f'{package}.') for name in imports)}


def test_every_file_belongs_to_a_layer() -> None:
    assert {layer_of(file) for file in FILES} == {*MAY_SEE, '__init__'}
    assert not FILES['__init__.py'] - {'pkgutil.extend_path'}


@pytest.mark.parametrize('file', sorted(FILES))
def test_imports_go_downwards_only(file: str) -> None:
    if file == '__init__.py':
        return
    layer = layer_of(file)
    seen = seen_layers(FILES[file]) - {'msg'}
    assert seen <= MAY_SEE[layer] | {layer}


def test_backends_never_see_one_another() -> None:
    for file in FILES:
        if layer_of(file) == 'backends' and file != 'backends/base.py':
            others = {name for name in FILES[file] if name.startswith('frm_seg_ros.backends.')}
            # A backend of several files: torch_backend.py sees torch_graphs.py.
            own = f'frm_seg_ros.backends.{file.split("/")[1].split("_")[0]}_'
            assert all(name.startswith(('frm_seg_ros.backends.base.', own))
                       for name in others), file


def test_only_torch_backend_training_and_export_see_the_network() -> None:
    wrong = {file for file in importers('frm_seg_ros.network') if not file.startswith(SEE_NETWORK)}
    assert not wrong


def test_only_they_and_the_cuda_probe_see_torch() -> None:
    found = importers('torch')
    assert found, 'nobody imports torch: this test looks in the wrong place'
    assert not {file for file in found if not file.startswith(SEE_TORCH)}


def test_base_imports_torch_in_functions_only() -> None:
    tree = ast.parse((PACKAGE / 'backends/base.py').read_text())
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom, ast.Try))]
    names = {name for node in top for name in imports_of(node, 'frm_seg_ros.backends.base')}
    assert not {name for name in names if name.split('.')[0] == 'torch'}


def test_ros_is_seen_in_the_ros_folder_only() -> None:
    found = {file for file, imports in FILES.items() if any(map(is_ros, imports))}
    assert found, 'nobody imports ROS: this test looks in the wrong place'
    assert {layer_of(file) for file in found} == {'ros'}


def test_exactly_one_module_imports_the_generated_messages() -> None:
    assert importers('frm_seg_ros.msg') == {'ros/messages.py'}


@pytest.mark.parametrize('source, name', [
    ('import torch.nn as nn', 'torch.nn'),
    ('def f():\n    from frm_seg_ros.ros import node', 'frm_seg_ros.ros.node'),
    ('from . import node', 'frm_seg_ros.ros.node'),
    ('from ..core import frame', 'frm_seg_ros.core.frame'),
    ("importlib.import_module('torch')", 'torch'),
])
def test_the_reader_finds_every_form_of_import(source: str, name: str) -> None:
    assert name in set(imports_of(ast.parse(source), 'frm_seg_ros.ros.camera'))


@pytest.mark.parametrize('module', ['segmenter', 'sources.base', 'cli'])
def test_importing_the_library_loads_nothing_heavy(module: str) -> None:
    code = (f'import sys, frm_seg_ros.{module}\n'
            'print(*sorted({name.split(".")[0] for name in sys.modules}))')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, text=True, check=True,
                          stdout=subprocess.PIPE)
    loaded = set(done.stdout.split())
    assert 'frm_seg_ros' in loaded
    assert not loaded & {'rclpy', 'torch', 'tensorrt', 'openvino', 'onnxruntime'}
