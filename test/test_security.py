"""What comes from others cannot run code, reach out of its folder or take the memory away."""
from __future__ import annotations

import ast
import json
import sqlite3
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import cv2
import lz4.frame
import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2 import reader as rosbags_reader
from tiny_model import write_tiny_model

from frm_seg_ros.backends.base import open_backend
from frm_seg_ros.core import bounds, onnx_locations
from frm_seg_ros.core.encodings import compressed_to_rgb, to_rgb
from frm_seg_ros.core.errors import ConfigError, FrameError
from frm_seg_ros.core.files import sha256
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.core.model_card import CARD, ONNX, ModelCard
from frm_seg_ros.sources import bag_bounds
from frm_seg_ros.sources.bag_file import Bag, typestore
from frm_seg_ros.sources.bag_salvage import recover_sqlite
from frm_seg_ros.sources.images import open_images
from frm_seg_ros.sources.truth import read_label_image

PACKAGE = Path(__file__).resolve().parent.parent / 'frm_seg_ros'
zstd = bag_bounds._zstd
STRING = 'std_msgs/msg/String'

# --- what the package's own code may call ------------------------------------------------------

PICKLES = {'pickle', 'cPickle', 'dill', 'cloudpickle', 'joblib', 'shelve', 'marshal', 'pandas'}
NETWORK = {'socket', 'ssl', 'http', 'urllib.request', 'urllib3', 'requests', 'httpx', 'ftplib',
           'smtplib', 'socketserver', 'xmlrpc', 'aiohttp', 'huggingface_hub'}


def dangers(source: str) -> set[str]:
    """List what a text of Python does that unpickles, runs text, or talks to a network."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f'{node.module}.{alias.name}' for alias in node.names] + [node.module or '']
        found |= {name for name in names for bad in PICKLES | NETWORK
                  if f'{name}.'.startswith(f'{bad}.')}
        if isinstance(node, ast.Call):
            found |= dangerous_call(node)
    return found


def dangerous_call(node: ast.Call) -> set[str]:
    name = ast.unparse(node.func)
    keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
    last = name.split('.')[-1]
    wrong = (name in ('eval', 'exec', 'os.system', '__import__')
             or (name == 'torch.load' and keywords.get('weights_only') != 'True')
             or (last == 'load_state_dict_from_url' or last.startswith('urlopen'))
             or keywords.get('allow_pickle') == 'True' or keywords.get('shell') == 'True'
             or (last in ('load', 'load_all') and name.startswith('yaml.')
                 and '_Loader' not in [ast.unparse(one) for one in node.args])
             or name in ('yaml.unsafe_load', 'yaml.full_load', 'yaml.safe_load', 'torch.hub.load')
             or (name in ('np.load', 'numpy.load') and keywords.get('allow_pickle') != 'False'))
    return {name} if wrong else set()


@pytest.mark.parametrize('file', sorted(PACKAGE.rglob('*.py')),
                         ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_pickle_no_code_no_network(file: Path) -> None:
    assert not dangers(file.read_text(encoding='utf-8'))


@pytest.mark.parametrize('source', [
    'import pickle', 'from pickle import loads', 'def f():\n    import socket', 'eval("1")',
    'from urllib.request import urlopen', 'import urllib.request as u', 'import requests',
    'torch.load(path)', 'torch.load(path, weights_only=False)', 'np.load(path)',
    'np.load(path, allow_pickle=True)', 'yaml.load(text, yaml.Loader)', 'yaml.safe_load(text)',
    'subprocess.run(x, shell=True)', 'urllib.request.urlopen(x)'])
def test_the_walk_finds_every_danger(source: str) -> None:
    assert dangers(source)


def test_yaml_is_loaded_in_one_place_and_safely() -> None:
    users = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob('*.py')
             if 'yaml.load(' in path.read_text(encoding='utf-8')}
    assert users == {'core/bounds.py'}
    assert issubclass(bounds._Loader, yaml.SafeLoader)
    with pytest.raises(yaml.YAMLError):
        bounds.load_yaml('!!python/object/apply:os.system ["true"]')


@pytest.mark.parametrize('name', ['ros', 'build', 'demo', 'test', 'audit'])
def test_what_is_installed_is_pinned_by_hash(name: str) -> None:
    text = (PACKAGE.parent / 'requirements' / f'{name}.txt').read_text().replace('\\\n', '')
    lines = [line for line in text.splitlines() if line and not line.startswith('#')]
    assert lines and all('==' in line and '--hash=sha256:' in line for line in lines)


# --- YAML and JSON -----------------------------------------------------------------------------

LAUGHS = 'a: &a [x, x]\n' + ''.join(f'{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, '
                                    f'*{chr(97 + i)}]\n' for i in range(20))
BAD_YAML = [(LAUGHS, 'alias'), ('x: ' + '[' * 20000, 'nested'), ('x: ' + '1' * 5000, 'digits'),
            ('x: 2026-13-45', 'month'), ('x: ' + 'y' * bounds.MAX_YAML_BYTES, 'longer than')]


@pytest.mark.parametrize('text, why', BAD_YAML, ids=[why for _, why in BAD_YAML])
def test_yaml_bombs_are_one_sentence_in_every_reader(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(yaml.YAMLError, match=why):
        bounds.load_yaml(text)
    for name in (CARD, 'labels.yaml', 'train.yaml'):
        (tmp_path / name).write_text(text)
    readers = [lambda: ModelCard.load(tmp_path), lambda: LabelSpace.load(tmp_path / 'labels.yaml')]
    for read in readers:
        with pytest.raises(ConfigError, match=why) as caught:
            read()
        assert len(str(caught.value)) < 1000


def test_endless_files_are_not_read_to_their_end() -> None:
    with pytest.raises(yaml.YAMLError, match='longer than'):
        bounds.read_yaml('/dev/zero')


@pytest.mark.parametrize('text, why', [('[' * 10**6, 'nested'), ('{', 'Expecting')])
def test_json_bombs(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / 'x.json').write_text(text)
    with pytest.raises(ValueError, match=why):
        bounds.read_json(tmp_path / 'x.json')


def test_json_above_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'x.json').write_text('[1, 2, 3]')
    assert bounds.read_json(tmp_path / 'x.json') == [1, 2, 3]
    monkeypatch.setattr(bounds, 'MAX_JSON_BYTES', 8)
    with pytest.raises(ValueError, match='longer than'):
        bounds.read_json(tmp_path / 'x.json')


# --- pictures ----------------------------------------------------------------------------------

def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def png(*sizes: tuple[int, int], rows: int = 4) -> bytes:
    """Make a grey PNG with a header chunk for each size (height, width); data after the first."""
    heads = [chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0))
             for height, width in sizes]
    data = chunk(b'IDAT', zlib.compress(bytes(rows * (1 + sizes[-1][1]))))
    return b'\x89PNG\r\n\x1a\n' + heads[0] + data + b''.join(heads[1:]) + chunk(b'IEND', b'')


def tiff(height: int, width: int) -> bytes:
    """Make a TIFF whose directory declares a size."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (278, height),
            (279, 1)]
    entries = b''.join(struct.pack('<HHII', tag, 4, 1, value) for tag, value in tags)
    return b'II*\0' + struct.pack('<I', 8) + struct.pack('<H', len(tags)) + entries + bytes(4)


BOMBS = {'png': png((30000, 30000)), 'png of two sizes': png((30000, 30000), (4, 4)),
         'png wide': png((1, 2**31 - 1)), 'tiff': tiff(60000, 60000),
         'png of tiny chunks': png((4, 4))[:-12] + chunk(b'tEXt', b'') * 70000
         + chunk(b'IEND', b'')}


def test_a_sound_png_of_this_maker_is_decoded() -> None:
    assert compressed_to_rgb(SimpleNamespace(data=png((4, 4)), format='png')).shape == (4, 4, 3)


@pytest.mark.parametrize('bomb', BOMBS)
def test_picture_bombs_are_refused_before_they_are_decoded(
        bomb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('it was decoded'))
    with pytest.raises(FrameError) as caught:
        compressed_to_rgb(SimpleNamespace(data=BOMBS[bomb], format='png'))
    assert caught.value.reason == 'bad_compressed'
    (tmp_path / 'truth.png').write_bytes(BOMBS[bomb])
    with pytest.raises(ConfigError, match='truth.png'):
        read_label_image(tmp_path / 'truth.png')
    with pytest.raises(ConfigError, match='truth.png'):
        open_images(str(tmp_path)).frame(0)


def test_a_jpeg_that_goes_over_its_picture_a_thousand_times(
        monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = cv2.imencode('.jpg', noise, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert compressed_to_rgb(SimpleNamespace(data=data, format='jpeg')).shape == (64, 64, 3)
    place = data.index(b'\xff\xc2') + 5
    big = data[:place] + struct.pack('>HH', 8000, 8000) + data[place + 4:]
    scan = data[data.rindex(b'\xff\xda'):-2]
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('it was decoded'))
    with pytest.raises(FrameError, match='goes over its 64000000 pixels'):
        compressed_to_rgb(SimpleNamespace(data=big[:-2] + 1000 * scan + big[-2:], format='jpeg'))


def test_a_gigabyte_declared_in_a_hundred_bytes() -> None:
    small = {'height': 2, 'width': 2, 'step': 6, 'encoding': 'rgb8', 'is_bigendian': 0,
             'data': bytes(100)}
    for change, reason in (({'height': 18000, 'width': 18000, 'step': 54000}, 'bad_size'),
                           ({'height': 8000, 'width': 8000, 'step': 24000}, 'bad_data'),
                           ({'step': 2**31}, 'bad_data')):
        with pytest.raises(FrameError) as caught:
            to_rgb(SimpleNamespace(**{**small, **change}))
        assert caught.value.reason == reason


def test_a_video_that_declares_huge_frames(tmp_path: Path) -> None:
    path = tmp_path / 'x.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    assert len(open_images(str(path))) == 3
    # The frames of this kind of video are JPEGs, whose frame headers FFmpeg goes by.
    head = b'\xff\xc0\0\x11\x08'
    content = path.read_bytes().replace(head + struct.pack('>HH', 48, 64),
                                        head + struct.pack('>HH', 10000, 10000))
    place = content.index(b'strf') + 12     # a BITMAPINFOHEADER: its size, width, height
    path.write_bytes(content[:place] + struct.pack('<ii', 10000, 10000) + content[place + 8:])
    with pytest.raises(ConfigError, match='declares frames of 10000x10000'):
        open_images(str(path))


# --- models ------------------------------------------------------------------------------------

def point_outside(model: Path, location: str, where: str = 'initializer') -> None:
    """Let a tiny model's bias lie in a file, and bring the card's hash up to date."""
    network = onnx.load(model / ONNX)
    bias = network.graph.initializer[1]
    (model.parent / 'outside.bin').write_bytes(bias.raw_data or np.array(
        bias.float_data, np.float32).tobytes())
    (model / 'inside.bin').write_bytes((model.parent / 'outside.bin').read_bytes())
    bias.ClearField('raw_data')
    bias.ClearField('float_data')
    bias.data_location = TensorProto.EXTERNAL
    bias.external_data.add(key='location', value=location)
    if where == 'constant':
        node = helper.make_node('Constant', [], ['bias'], value=bias)
        network.graph.node.insert(0, node)
        del network.graph.initializer[1]
    (model / ONNX).write_bytes(network.SerializeToString())
    card = ModelCard.load(model)
    card.files[ONNX] = sha256(model / ONNX)
    card.save()


@pytest.mark.parametrize('where', ['initializer', 'constant'])
@pytest.mark.parametrize('location', ['../outside.bin', 'inside.bin', 'x/../../outside.bin',
                                      '/etc/passwd', ''])
@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_onnx_takes_weights_of_the_card_only(tmp_path: Path, backend: str, location: str,
                                             where: str) -> None:
    """`inside.bin` is in the model's folder, but the card has no hash of it."""
    pytest.importorskip(backend)
    model = write_tiny_model(tmp_path / 'tiny')
    open_backend(backend, ModelCard.load(model), 'cpu')[0].close()
    point_outside(model, location, where)
    with pytest.raises(ConfigError, match='which its card does not list'):
        open_backend(backend, ModelCard.load(model), 'cpu')


def test_onnx_may_take_weights_that_the_card_lists(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / 'tiny')
    point_outside(model, 'inside.bin')
    card = ModelCard.load(model)
    card.files['inside.bin'] = sha256(model / 'inside.bin')
    card.save()
    open_backend('onnxruntime', ModelCard.load(model), 'cpu')[0].close()
    (model / 'inside.bin').write_bytes(bytes(44))
    with pytest.raises(ConfigError, match='SHA-256'):
        open_backend('onnxruntime', ModelCard.load(model), 'cpu')


def test_the_fields_of_onnx_are_those_of_its_schema() -> None:
    """The table against the descriptors of the onnx package: every way to a tensor's location."""
    ours = {'ModelProto': 'Model', 'TrainingInfoProto': 'Training', 'FunctionProto': 'Function',
            'GraphProto': 'Graph', 'NodeProto': 'Node', 'AttributeProto': 'Attribute',
            'SparseTensorProto': 'Sparse', 'TensorProto': 'Tensor'}
    for name, known in ours.items():
        descriptor = getattr(onnx, name, None) or getattr(onnx.onnx_ml_pb2, name)
        wanted = {field.number: ours[field.message_type.name]
                  for field in descriptor.DESCRIPTOR.fields
                  if field.message_type and field.message_type.name in ours}
        if known == 'Tensor':
            wanted = {TensorProto.DESCRIPTOR.fields_by_name['external_data'].number: 'Entry'}
        assert onnx_locations._FIELDS[known] == wanted, name


@pytest.mark.parametrize('content', [b'\xff' * 40, b'\x3a\xff\xff\xff\xff\x0f', b'\x3b', b'\x3a'])
def test_broken_onnx_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    model = write_tiny_model(tmp_path / 'tiny')
    (model / ONNX).write_bytes(content)
    card = ModelCard.load(model)
    card.files[ONNX] = sha256(model / ONNX)
    card.save()
    with pytest.raises(ConfigError, match='no sound ONNX file'):
        card.check_files()


@pytest.mark.parametrize('name', ['../card.yaml', '/etc/passwd', '..', 'sub/model.onnx', ''])
def test_a_card_cannot_name_files_elsewhere(tmp_path: Path, name: str) -> None:
    model = write_tiny_model(tmp_path / 'tiny')
    facts = yaml.safe_load((model / CARD).read_text())
    facts['files'][name] = 64 * '0'
    (model / CARD).write_text(yaml.safe_dump(facts))
    with pytest.raises(ConfigError, match='plain file name'):
        ModelCard.load(model)


def test_hashes_of_the_card_are_enforced(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / 'tiny')
    content = (model / ONNX).read_bytes()
    (model / ONNX).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for backend in ('onnxruntime', 'openvino'):
        with pytest.raises(ConfigError, match='SHA-256'):
            open_backend(backend, ModelCard.load(model), 'cpu')


def test_a_workspace_of_symlinks_is_no_escape(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / 'real')
    (tmp_path / 'linked').mkdir()
    for file in model.iterdir():
        (tmp_path / 'linked' / file.name).symlink_to(file)
    open_backend('onnxruntime', ModelCard.load(tmp_path / 'linked'), 'cpu')[0].close()


@pytest.mark.parametrize('header', [struct.pack('<Q', 2**63), struct.pack('<Q', 10**12) + b'{}',
                                    struct.pack('<Q', 70) + json.dumps({'x': {
                                        'dtype': 'F32', 'shape': [2**40],
                                        'data_offsets': [0, 2**42]}}).encode().ljust(70)])
def test_absurd_lengths_in_safetensors(tmp_path: Path, header: bytes) -> None:
    pytest.importorskip('torch')
    from frm_seg_ros.core.model_card import WEIGHTS
    from frm_seg_ros.network.segmentation import VARIANTS
    from frm_seg_ros.network.weights import load_network
    model = write_tiny_model(tmp_path / 'tiny')
    (model / WEIGHTS).write_bytes(header)
    card = ModelCard.load(model)
    card.files[WEIGHTS] = sha256(model / WEIGHTS)
    card.architecture.update(VARIANTS['frm_b0_fast'], classes=11)
    with pytest.raises(ConfigError, match='does not hold the weights'):
        load_network(card)


# --- bags --------------------------------------------------------------------------------------

LIMITED = """
import resource, sys, logging
sys.path[:0] = sys.argv[2:]
from frm_seg_ros.sources.bag_file import Bag
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (600 << 20),) * 2)
bag = Bag(sys.argv[1])
for topic, _, message in bag.messages(list(bag.topics)):
    print(topic, len(message.data))
"""


def read_limited(path: Path) -> subprocess.CompletedProcess[str]:
    """Read a bag in a process that gets 600 MB more than it needs; its words are the outcome."""
    return subprocess.run([sys.executable, '-c', LIMITED, str(path), str(PACKAGE.parent)],
                          capture_output=True, text=True, timeout=120)


def text_bag(path: Path, sizes: list[int], storage: str, mode: str = '') -> Path:
    writer = Writer(path, version=8, storage_plugin=StoragePlugin[storage.upper()])
    if mode:
        writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection('/text', STRING, typestore=typestore())
        for index, size in enumerate(sizes):
            raw = typestore().serialize_cdr(typestore().types[STRING](data='x' * size), STRING)
            writer.write(connection, index + 1, raw)
    return path


@pytest.mark.parametrize('storage, mode', [('sqlite3', ''), ('sqlite3', 'MESSAGE'),
                                           ('mcap', ''), ('mcap', 'MESSAGE')])
def test_a_message_above_the_bound_is_left_out(tmp_path: Path, storage: str, mode: str,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound made small: what comes before it is read, and the damage is told."""
    path = text_bag(tmp_path / 'bag', [10, 5000, 20], storage, mode)
    bag = Bag(path)
    assert [len(one.data) for *_, one in bag.messages(['/text'])] == [10, 5000, 20]
    if storage == 'mcap' and not mode:
        return      # lies in its file at full size: bounded by that
    monkeypatch.setattr(bag_bounds, 'MAX_MESSAGE_BYTES', 4096)
    assert [len(one.data) for *_, one in bag.messages(['/text'])] == [10]


def test_a_zstd_bomb_of_a_message(tmp_path: Path) -> None:
    path = text_bag(tmp_path / 'bag', [10], 'sqlite3', 'MESSAGE')
    (file,) = path.glob('*.db3')
    with sqlite3.connect(file) as database:
        database.execute('UPDATE messages SET data = ?', (zstd.compress(bytes(1 << 30)),))
    database.close()
    done = read_limited(path)
    assert done.returncode == 0 and 'unpacks to more than 256 MB' in done.stderr


def test_a_zstd_bomb_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = text_bag(tmp_path / 'bag', [1 << 20], 'sqlite3', 'FILE')
    assert [len(one.data) for *_, one in Bag(path).messages(['/text'])] == [1 << 20]
    monkeypatch.setattr(bag_bounds.shutil, 'disk_usage', lambda _: SimpleNamespace(free=1 << 20))
    with pytest.raises(ConfigError, match='unpacks to more than 0 MB, half of what is free'):
        Bag(path)


@pytest.mark.parametrize('name, compress', [('zstd', zstd.compress),
                                            ('lz4', lz4.frame.compress)])
@pytest.mark.parametrize('declared, unpacked', [(4096, 1 << 30), (1 << 40, 4096)])
def test_a_bomb_of_an_mcap_chunk(name: str, compress, declared: int, unpacked: int) -> None:
    unpack = bag_bounds.storage_mcap.DECOMPRESSORS[name]
    assert unpack(compress(b'x' * 99), 99) == b'x' * 99
    bomb = compress(bytes(min(unpacked, 64 << 20)))
    with pytest.raises(bag_bounds.BagBoundError):
        unpack(bomb, declared)


def test_several_frames_of_zstd_are_bounded_together() -> None:
    frame = zstd.compress(bytes(1000))
    assert bag_bounds._unpack(zstd.ZstdDecompressor, frame * 3, 3000) == bytes(3000)
    with pytest.raises(bag_bounds.BagBoundError):
        bag_bounds._unpack(zstd.ZstdDecompressor, frame * 3, 2999)
    with pytest.raises(ValueError, match='cut off'):
        bag_bounds._unpack(zstd.ZstdDecompressor, frame[:-3], 3000)


def test_the_bounds_are_where_rosbags_looks() -> None:
    assert rosbags_reader.zstd is bag_bounds._Zstd
    assert rosbags_reader.Reader.STORAGE_PLUGINS['.db3'] is bag_bounds._Sqlite
    assert rosbags_reader.DirectoryReader.STORAGE_PLUGINS['sqlite3'] is bag_bounds._Sqlite
    assert rosbags_reader.McapReader.__module__ == bag_bounds.storage_mcap.__name__


@pytest.mark.parametrize('length', [2**63, 2**40, 2**64 - 1])
def test_absurd_lengths_in_mcap(tmp_path: Path, length: int) -> None:
    path = text_bag(tmp_path / 'bag', [10, 20, 30], 'mcap')
    (file,) = path.glob('*.mcap')
    content = bytearray(file.read_bytes())
    place = content.index(b'\x05' + struct.pack('<Q', 22 + 4 + 4 + 20 + 1))   # the second message
    content[place + 1:place + 9] = struct.pack('<Q', length)
    file.write_bytes(content)
    done = read_limited(path)
    assert done.returncode == 0 and 'is damaged' in done.stderr


def test_a_row_of_a_gigabyte(tmp_path: Path) -> None:
    path = text_bag(tmp_path / 'bag', [10], 'sqlite3')
    (file,) = path.glob('*.db3')
    database = sqlite3.connect(file)
    database.execute('INSERT INTO messages (topic_id, timestamp, data) '
                     'SELECT topic_id, 2, zeroblob(900000000) FROM messages')
    database.commit()
    database.close()
    done = read_limited(path)
    assert (done.returncode, done.stdout) == (0, '/text 10\n')
    assert 'too big' in done.stderr


@pytest.mark.parametrize('changed, sql', [
    ('evil', "VACUUM INTO 'written'"),
    ('messages', 'CREATE TABLE messages (id, data, x DEFAULT (zeroblob(900000000)))')])
def test_a_damaged_bag_cannot_run_its_own_sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              changed: str, sql: str) -> None:
    monkeypatch.chdir(tmp_path)
    database = sqlite3.connect('x.db3')
    database.execute('CREATE TABLE evil (x)')
    database.execute('CREATE TABLE messages (id, data)')
    database.execute('INSERT INTO messages VALUES (1, ?)', (b'abc',))
    database.execute('PRAGMA writable_schema=ON')
    database.execute('UPDATE sqlite_master SET sql = ? WHERE name = ?', (sql, changed))
    database.commit()
    database.close()
    copy = recover_sqlite(Path('x.db3'), Path('copy.db3'))
    assert not Path('written').exists()
    found = sqlite3.connect(copy)
    assert found.execute('SELECT id, data FROM messages').fetchall() == [(1, b'abc')]
    assert 'zeroblob' not in str(found.execute('SELECT sql FROM sqlite_master').fetchall())
    found.close()
