"""Annotated bags: every original byte is kept, and the labels are those of the model."""
from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from rosbags.highlevel import AnyReader
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg
from tiny_model import write_tiny_model

from frm_seg_ros.core.draw import overlay
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.sources.bag_file import typestore
from frm_seg_ros.sources.bag_options import BagOptions
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.tools.annotate_bag import Annotator, camera_names
from frm_seg_ros.tools.evaluate import run_evaluation
from frm_seg_ros.tools.make_bag import make_bag

ROOT = Path(__file__).resolve().parents[2]
STORAGES = ['mcap', 'sqlite3']
IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
FRONT = '/front/image_raw'
WHEEL = 'robot_msgs/msg/Wheel'      # a type that rosbags does not know
WHEEL_TEXT = '# our wheels\nfloat64 speed\nuint8[] noise\n'
WHEEL_HASH = 'RIHS01_' + '7c' * 32
PALETTE = LabelSpace.load('camvid').palette
MS = 10**6
T0 = 1_700_000_000_123_456_789
BEST_EFFORT = Qos(QosHistory.KEEP_ALL, 7, QosReliability.BEST_EFFORT, QosDurability.VOLATILE,
                  QosTime(1, 2), QosTime(3, 4), QosLiveliness.MANUAL_BY_TOPIC, QosTime(5, 6), True)


@pytest.fixture(scope='module')
def segmenter(tmp_path_factory):
    made = Segmenter.open(write_tiny_model(tmp_path_factory.mktemp('models') / 'tiny'),
                          'onnxruntime', 'cpu')
    yield made
    made.close()


def picture(index):
    """Paint three rectangles in colours of the label space."""
    labels = np.zeros((96, 128), np.uint8)
    labels[40:] = 3
    labels[20:70, 10 + 5 * index:60 + 5 * index] = 8
    return PALETTE[labels]


def header(stamp_ns, frame_id='front_optical'):
    types = typestore().types
    stamp = types['builtin_interfaces/msg/Time'](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return types['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)


def image(stamp_ns, array, encoding='bgr8', **changes):
    fields = {'header': header(stamp_ns), 'height': array.shape[0], 'width': array.shape[1],
              'encoding': encoding, 'is_bigendian': 0, 'step': array[0].size,
              'data': np.ascontiguousarray(array[:, :, ::-1]).reshape(-1), **changes}
    return serialize(typestore().types[IMAGE](**fields), IMAGE)


def compressed(stamp_ns, array):
    data = cv2.imencode('.png', array[:, :, ::-1])[1].reshape(-1)
    return serialize(typestore().types[COMPRESSED](header=header(stamp_ns), format='png',
                                                   data=data), COMPRESSED)


def serialize(message, msgtype):
    return bytes(typestore().serialize_cdr(message, msgtype))


def messages():
    """Three images 50 ms apart, each recorded 7 ms late, between messages of a wheel."""
    made = []
    for index in range(3):
        time_ns = T0 + 50 * MS * index
        made.append(('/wheel', time_ns, bytes([0, 1, 0, 0, *range(20 + index)])))
        made.append((FRONT, time_ns + 7 * MS, image(time_ns, picture(index))))
    return made


TYPES = {'/wheel': WHEEL, FRONT: IMAGE, '/left/image_raw': IMAGE, '/left/image': IMAGE,
         '/rear/image/compressed': COMPRESSED}


def write(path, made, storage='mcap', mode=None):
    writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    if mode:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        topics = {}
        for topic in dict.fromkeys(item[0] for item in made):
            told = {'typestore': typestore()} if TYPES[topic] != WHEEL else {
                'msgdef': WHEEL_TEXT, 'rihs01': WHEEL_HASH}
            topics[topic] = writer.add_connection(
                topic, TYPES[topic], offered_qos_profiles=[BEST_EFFORT], **told)
        topics['/silent'] = writer.add_connection('/silent', 'std_msgs/msg/Empty',
                                                  typestore=typestore())
        for topic, time_ns, raw in made:
            writer.write(topics[topic], time_ns, raw)
    return path


def read(path):
    """Read (time, bytes) by topic and the connections by topic."""
    found = {}
    with Reader(path) as reader:
        connections = {item.topic: item for item in reader.connections}
        for connection, time_ns, raw in reader.messages():
            found.setdefault(connection.topic, []).append((time_ns, bytes(raw)))
    return found, connections


def images_of(found, topic):
    return [(time_ns, typestore().deserialize_cdr(raw, IMAGE)) for time_ns, raw in found[topic]]


def annotate(path, out, segmenter, *args, **kwargs):
    return Annotator(path, out, *args, **kwargs).run(segmenter)


def assert_copied(path, out):
    """Compare all that the first bag holds with the second, byte by byte."""
    (before, told), (after, again) = read(path), read(out)
    assert {topic: after[topic] for topic in before} == before
    assert set(told) <= set(again)
    for topic, connection in told.items():
        copy = again[topic]
        assert (copy.msgtype, copy.digest, copy.msgdef) == (
            connection.msgtype, connection.digest, connection.msgdef)
        assert copy.ext == connection.ext
        assert copy.msgcount == connection.msgcount
    return after, again


def assert_labels(after, topic, prefix, segmenter, count=3):
    """Compare labels and confidence with those of the model, called for the picture alone."""
    for name, field in (('label_image', 'labels'), ('confidence', 'confidence')):
        made = images_of(after, f'{prefix}/{name}')
        assert len(made) == count
        for index, (time_ns, message) in enumerate(made):
            wanted = getattr(segmenter([picture(index)], confidence=True)[0], field)
            assert time_ns == after[topic][index][0]
            assert message.header == header(T0 + 50 * MS * index)
            assert (message.encoding, message.step, message.is_bigendian) == ('mono8', 128, 0)
            np.testing.assert_array_equal(message.data.reshape(96, 128), wanted)


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('mode', [None, CompressionMode.FILE, CompressionMode.MESSAGE,
                                  CompressionMode.STORAGE], ids=str)
@pytest.mark.parametrize('source', STORAGES)
def test_every_byte_is_kept_and_every_image_labelled(tmp_path, segmenter, source, mode, storage):
    if (source, mode) == ('sqlite3', CompressionMode.STORAGE):
        pytest.skip('sqlite3 has no compression within its file')
    path = write(tmp_path / 'in', messages(), source, mode)
    done = annotate(path, tmp_path / 'out', segmenter, storage=storage)
    assert (done.labelled, done.left_out, done.copied) == (3, [], 6)
    after, again = assert_copied(path, tmp_path / 'out')
    assert (again['/wheel'].digest, again['/wheel'].msgdef.data) == (WHEEL_HASH, WHEEL_TEXT)
    assert_labels(after, FRONT, '/frm_seg', segmenter)
    assert set(after) == {'/wheel', FRONT, '/frm_seg/label_image', '/frm_seg/confidence',
                          '/frm_seg/label_space'}
    assert len({labels.data.tobytes() for _, labels in images_of(after, '/frm_seg/label_image')}
               ) == 3
    assert sorted(item.name for item in tmp_path.iterdir()) == ['in', 'out']


@pytest.mark.parametrize('storage', STORAGES)
def test_label_space_comes_first_and_is_latched(tmp_path, segmenter, storage):
    annotate(write(tmp_path / 'in', messages()), tmp_path / 'out', segmenter, storage=storage)
    with Reader(tmp_path / 'out') as reader:
        connection, time_ns, raw = next(reader.messages())
    assert (connection.topic, time_ns) == ('/frm_seg/label_space', T0)
    (qos,) = connection.ext.offered_qos_profiles
    assert (qos.durability, qos.reliability, qos.depth) == (
        QosDurability.TRANSIENT_LOCAL, QosReliability.RELIABLE, 1)
    message = typestore().deserialize_cdr(raw, 'frm_seg_ros/msg/LabelSpace')
    assert (message.name, message.model) == ('camvid', 'tiny')
    assert message.model_sha256 == segmenter.card.sha256
    assert message.names == segmenter.label_space.names
    assert message.colors.tolist() == PALETTE[:11].ravel().tolist()


@pytest.mark.parametrize('storage', STORAGES)
def test_qos_and_counts_in_the_metadata(tmp_path, segmenter, storage):
    annotate(write(tmp_path / 'in', messages()), tmp_path / 'out', segmenter, storage=storage)
    text = (tmp_path / 'out' / 'metadata.yaml').read_text()
    facts = yaml.safe_load(text)['rosbag2_bagfile_information']
    assert facts['message_count'] == 6 + 1 + 2 * 3
    assert facts['starting_time'] == {'nanoseconds_since_epoch': T0}
    assert facts['duration'] == {'nanoseconds': 107 * MS}
    topics = {item['topic_metadata']['name']: item for item in facts['topics_with_message_count']}
    assert topics['/silent']['message_count'] == 0
    (qos,) = yaml.safe_load(topics[FRONT]['topic_metadata']['offered_qos_profiles'])
    assert (qos['reliability'], qos['history'], qos['depth']) == (2, 2, 7)
    (qos,) = yaml.safe_load(
        topics['/frm_seg/label_image']['topic_metadata']['offered_qos_profiles'])
    assert (qos['reliability'], qos['durability'], qos['depth']) == (1, 2, 2)


@pytest.mark.parametrize('single', [True, False])
@pytest.mark.parametrize('source', STORAGES)
def test_single_files_and_bags_without_metadata(tmp_path, segmenter, source, single):
    folder = write(tmp_path / 'in', messages(), source)
    (folder / 'metadata.yaml').unlink()
    path = next(folder.iterdir()) if single else folder
    annotate(path, tmp_path / 'out', segmenter)
    assert_labels(read(tmp_path / 'out')[0], FRONT, '/frm_seg', segmenter)
    assert {topic: found for topic, found in read(tmp_path / 'out')[0].items()
            if not topic.startswith('/frm_seg')} == read(next(folder.iterdir()))[0]


@pytest.mark.parametrize('source', STORAGES)
def test_split_bags_become_one(tmp_path, segmenter, source):
    made, folder = messages(), tmp_path / 'in'
    folder.mkdir()
    for index, part in enumerate((made[:3], made[3:])):
        one = write(tmp_path / f'part_{index}', part, source)
        (file,) = one.glob('part_*')
        file.rename(folder / file.name)
    done = annotate(folder, tmp_path / 'out', segmenter)
    assert (done.labelled, done.copied) == (3, 6)
    after, again = read(tmp_path / 'out')
    assert [(time_ns, raw) for topic, time_ns, raw in made if topic == FRONT] == after[FRONT]
    assert [(time_ns, raw) for topic, time_ns, raw in made if topic == '/wheel'] == after['/wheel']
    assert_labels(after, FRONT, '/frm_seg', segmenter)
    assert again['/silent'].msgcount == 0


def test_an_old_sqlite_bag_without_definitions(tmp_path, segmenter):
    """Humble wrote neither definitions nor hashes: both of unknown types stay empty."""
    path = write(tmp_path / 'in', messages(), 'sqlite3')
    with sqlite3.connect(path / 'in.db3') as database:
        database.executescript('DROP TABLE message_definitions; DROP TABLE schema;'
                               'ALTER TABLE topics DROP COLUMN type_description_hash')
    text = (path / 'metadata.yaml').read_text()
    facts = yaml.safe_load(text)
    facts['rosbag2_bagfile_information']['version'] = 5
    for topic in facts['rosbag2_bagfile_information']['topics_with_message_count']:
        del topic['topic_metadata']['type_description_hash']
    (path / 'metadata.yaml').write_text(yaml.safe_dump(facts))
    for storage in STORAGES:
        annotate(path, tmp_path / storage, segmenter, storage=storage)
        after, again = read(tmp_path / storage)
        assert {topic: after[topic] for topic in ('/wheel', FRONT)} == read(path)[0]
        assert_labels(after, FRONT, '/frm_seg', segmenter)
        assert (again['/wheel'].msgdef.data, again['/wheel'].digest) == ('', '')
        assert again[FRONT].digest == typestore().hash_rihs01(IMAGE)
        assert again[FRONT].msgdef.data == typestore().generate_msgdef(IMAGE, ros_version=2)[0]
        with AnyReader([tmp_path / storage]) as reader:     # opens though one type is unknown
            assert reader.message_count == 13


def test_hash_of_a_definition_that_the_bag_holds(tmp_path, segmenter):
    """A single mcap file tells definitions, but no hashes."""
    path = write(tmp_path / 'in', messages()) / 'in.mcap'
    annotate(path, tmp_path / 'out', segmenter)
    own = typestore().__class__()
    own.register(get_types_from_msg(WHEEL_TEXT, WHEEL))
    found = read(tmp_path / 'out')[1]
    assert found['/wheel'].digest == own.hash_rihs01(WHEEL)
    assert found[FRONT].digest == typestore().hash_rihs01(IMAGE)


def test_several_cameras_compressed_ones_too(tmp_path, segmenter):
    made = []
    for index in range(3):
        time_ns = T0 + 50 * MS * index
        made += [(FRONT, time_ns, image(time_ns, picture(index))),
                 ('/rear/image/compressed', time_ns, compressed(time_ns, picture(index))),
                 ('/left/image', time_ns, image(time_ns, picture(index)))]
    path = write(tmp_path / 'in', made)
    with pytest.raises(ConfigError, match='3 image topics: /front/image_raw, /left/image, /rear'):
        Annotator(path, tmp_path / 'out')
    done = annotate(path, tmp_path / 'out', segmenter, ['/rear/image/compressed', FRONT])
    assert done.labelled == 6
    after, _ = assert_copied(path, tmp_path / 'out')
    assert_labels(after, FRONT, '/frm_seg/front', segmenter)
    assert_labels(after, '/rear/image/compressed', '/frm_seg/rear', segmenter)
    assert [name for name in after if name.startswith('/frm_seg')] == [
        '/frm_seg/label_space', '/frm_seg/front/label_image', '/frm_seg/front/confidence',
        '/frm_seg/rear/label_image', '/frm_seg/rear/confidence']


@pytest.mark.parametrize('topics, names', [
    (['/camera/image'], ['']),
    (['/image'], ['']),
    (['/front/image_raw', '/rear/image_raw/compressed'], ['/front', '/rear']),
    (['/cameras/front/image', '/cameras/rear/image'], ['/front', '/rear']),
    (['/a/cam/image', '/b/cam/image'], ['/a/cam/image', '/b/cam/image']),
    (['/cam/color', '/cam/infra/compressed'], ['/cam/color', '/cam/infra']),
    (['/image', '/rear/image'], ['/image', '/rear/image']),
])
def test_names_of_cameras(topics, names):
    assert camera_names(topics) == names


def test_twins_are_refused():
    with pytest.raises(ConfigError, match='/a/image and /a/image/compressed show the same'):
        camera_names(['/a/image/compressed', '/b/image', '/a/image'])


def test_overlay(tmp_path, segmenter):
    path = write(tmp_path / 'in', messages())
    annotate(path, tmp_path / 'out', segmenter, with_overlay=True)
    after, _ = assert_copied(path, tmp_path / 'out')
    for index, (time_ns, message) in enumerate(images_of(after, '/frm_seg/overlay')):
        labels = segmenter([picture(index)])[0].labels
        wanted = overlay(picture(index), labels, segmenter.label_space, 0.5)
        assert (message.encoding, message.step, time_ns) == ('rgb8', 384, after[FRONT][index][0])
        np.testing.assert_array_equal(message.data.reshape(96, 128, 3), wanted)
    assert index == 2


def test_bad_images_are_copied_counted_and_not_labelled(tmp_path, segmenter):
    made = messages()
    made[1:1] = [(FRONT, T0 + 1, b'\0\1\0\0 no message'),
                 (FRONT, T0 + 2, image(T0, picture(0), data=np.zeros(5, np.uint8))),
                 (FRONT, T0 + 3, image(T0, picture(0), '32FC1')),
                 (FRONT, T0 + 4, image(T0, picture(0), '32FC1'))]
    path = write(tmp_path / 'in', made)
    done = annotate(path, tmp_path / 'out', segmenter)
    assert (done.labelled, done.copied) == (3, 10)
    assert [line.partition(',')[0] for line in done.left_out] == [
        '1 (bad_message)', '1 (bad_data)', '2 (bad_encoding)']
    assert "image has the encoding '32FC1'" in done.left_out[2]
    after, _ = assert_copied(path, tmp_path / 'out')
    assert len(after['/frm_seg/label_image']) == 3


@pytest.mark.parametrize('made, words', [
    ([(FRONT, T0, image(T0, picture(0), '32FC1'))],
     r'no image of /front/image_raw in the bag .* could be labelled: 1 \(bad_encoding\)'),
    ([('/wheel', T0, b'\0\1\0\0')], '0 image topics'),
    ([], 'is empty'),
])
def test_nothing_to_label_leaves_nothing(tmp_path, segmenter, made, words):
    path = write(tmp_path / 'in', made)
    with pytest.raises(ConfigError, match=words):
        annotate(path, tmp_path / 'out', segmenter)
    assert [item.name for item in tmp_path.iterdir()] == ['in']


def test_a_bag_cut_off_gives_what_can_be_read(tmp_path, segmenter, caplog):
    path = write(tmp_path / 'in', messages()) / 'in.mcap'
    path.write_bytes(path.read_bytes()[:-40])
    done = annotate(path, tmp_path / 'out', segmenter)
    assert (done.labelled, done.copied) == (3, 6)
    assert 'is damaged' in caplog.text


def test_topics_of_the_same_name_need_force(tmp_path, segmenter):
    path = write(tmp_path / 'in', messages())
    annotate(path, tmp_path / 'one', segmenter)
    with pytest.raises(ConfigError, match='has /frm_seg/confidence, /frm_seg/label_image, '
                                          '/frm_seg/label_space already: name another --prefix'):
        Annotator(tmp_path / 'one', tmp_path / 'two')
    annotate(tmp_path / 'one', tmp_path / 'two', segmenter, prefix='/other')
    after, _ = assert_copied(tmp_path / 'one', tmp_path / 'two')
    assert after['/other/label_image'] == after['/frm_seg/label_image']
    done = annotate(tmp_path / 'one', tmp_path / 'three', segmenter, force=True)
    assert done.copied == 6
    assert read(tmp_path / 'three')[0] == read(tmp_path / 'one')[0]


def test_no_overwriting_but_by_force(tmp_path, segmenter):
    path = write(tmp_path / 'in', messages())
    write(tmp_path / 'out', messages()[:2])
    before = read(tmp_path / 'out')
    with pytest.raises(ConfigError, match='out is there already: name another folder, or'):
        Annotator(path, tmp_path / 'out')
    assert read(tmp_path / 'out')[0] == before[0]
    for same in (path, path / 'in.mcap'):
        with pytest.raises(ConfigError, match='in is the bag that is read: name another folder'):
            Annotator(same, path, force=True)
    annotate(path, tmp_path / 'out', segmenter, force=True)
    assert_copied(path, tmp_path / 'out')


@pytest.mark.parametrize('told, words', [
    ({'storage': 'rosbag'}, "no storage is called 'rosbag'"),
    ({'topics': ['/absent']}, '/absent in the bag .* is no such topic'),
    ({'topics': ['/wheel']}, '/wheel in the bag .* is robot_msgs/msg/Wheel'),
    ({'prefix': 'frm_seg'}, "the prefix 'frm_seg' is no name of ROS"),
    ({'prefix': '/'}, "the prefix '/' is no name"),
    ({'prefix': '/my node'}, "the prefix '/my node' is no name"),
    ({'prefix': '/front'}, 'the prefix /front is that of /front/image_raw'),
])
def test_wrong_arguments(tmp_path, told, words):
    path = write(tmp_path / 'in', messages())
    with pytest.raises(ConfigError, match=words):
        Annotator(path, tmp_path / 'out', **told)
    assert [item.name for item in tmp_path.iterdir()] == ['in']


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError('disk full')])
def test_interrupted_work_leaves_nothing(tmp_path, segmenter, storage, error):
    path = write(tmp_path / 'in', messages())

    def stop(done, total):
        if (done, total) == (2, 3):
            raise error
    with pytest.raises((KeyboardInterrupt, OSError)):
        Annotator(path, tmp_path / 'out', storage=storage).run(segmenter, stop)
    assert [item.name for item in tmp_path.iterdir()] == ['in']


def test_ctrl_c_in_a_real_process_leaves_nothing(tmp_path, segmenter):
    """The bag holds images for far longer than it takes to press the keys."""
    made = [(FRONT, T0 + index, image(T0, picture(0))) for index in range(3000)]
    write(tmp_path / 'in', made)
    process = subprocess.Popen(
        [sys.executable, '-m', 'frm_seg_ros.cli', 'bag', 'annotate', str(tmp_path / 'in'),
         str(tmp_path / 'out'), '--model', str(segmenter.card.folder), '--backend',
         'onnxruntime', '--device', 'cpu'],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    until = time.monotonic() + 60

    def written():
        return sum(path.stat().st_size for path in tmp_path.glob('.out.*/out/*'))
    # Not sooner: Python ends by the signal itself where that came while it made code of a text.
    while written() < 4 << 20 and time.monotonic() < until:
        time.sleep(0.02)
    assert written() >= 4 << 20
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ''), errors
    assert errors.splitlines()[-1] == 'frm-seg bag: interrupted'
    assert [item.name for item in tmp_path.iterdir()] == ['in']


def test_progress_counts_images(tmp_path, segmenter):
    seen = []
    Annotator(write(tmp_path / 'in', messages()), tmp_path / 'out').run(
        segmenter, lambda *args: seen.append(args))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize('storage', STORAGES)
def test_scores_of_the_recorded_labels_are_those_of_the_model(tmp_path, segmenter, storage):
    make_bag('synthetic:3:3', tmp_path / 'in', storage=storage)
    annotate(tmp_path / 'in', tmp_path / 'out', segmenter, storage=storage, with_overlay=True)
    direct = run_evaluation(f'bag:{tmp_path}/in', str(segmenter.card.folder),
                            backend='onnxruntime', device='cpu')
    recorded = run_evaluation(f'bag:{tmp_path}/out', 'unused',
                              bag_options=BagOptions(predictions='/frm_seg/label_image'))
    scores = ('miou', 'iou', 'category_iou', 'frequency_weighted_iou', 'pixel_accuracy',
              'confusion', 'frames', 'unmatched', 'classes', 'label_space', 'map')
    assert {key: recorded[key] for key in scores} == {key: direct[key] for key in scores}
    assert direct['calibration']['error'] > 0
    assert 0 < direct['miou'] < 1 and direct['frames'] == 3
    # All else is alike too, but for the times.
    differing = {key for key in direct if json.dumps(direct[key]) != json.dumps(recorded[key])}
    assert differing <= {'source', 'model', 'model_sha256', 'backend', 'precision', 'size',
                         'scales', 'flip', 'predictions', 'bag_options', 'timing'}
    assert open_source(f'bag:{tmp_path}/out').truth_topic == '/camera/label_image'


def test_memory_does_not_grow_with_the_bag(tmp_path, segmenter):
    """32 messages of 2 MiB: far less than their 64 MiB is held at once."""
    big = bytes([0, 1, 0, 0]) + bytes(2 << 20)
    path = write(tmp_path / 'in', [('/wheel', T0 + index, big) for index in range(32)]
                 + messages())
    del big
    annotator = Annotator(path, tmp_path / 'out')
    tracemalloc.start()
    try:
        annotator.run(segmenter)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20      # a chunk of mcap as it is read, taken apart and written again
