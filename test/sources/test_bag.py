"""Bags as sources: pixels, stamps and truth by value, and every way in which a bag can be bad."""
from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from bag_messages import IMAGE, compressed, image, string, write

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_message import label_space_fields
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.bag import open_bag
from frm_seg_ros.sources.bag_file import Bag, typestore
from frm_seg_ros.sources.bag_options import BagOptions
from frm_seg_ros.sources.bag_topics import LABEL_SPACE, find_image_topics, find_topics
from frm_seg_ros.sources.base import open_source

MS = 10**6
SUFFIX = {'mcap': 'mcap', 'sqlite3': 'db3'}


def pictures(count, size=(6, 8)):
    rng = np.random.default_rng(5)
    return [(rng.integers(0, 256, (*size, 3), np.uint8), rng.integers(0, 11, size, np.uint8))
            for _ in range(count)]


def stamp(index):
    return 10**9 + 50 * MS * index


def drive(count, late=0, size=(6, 8), truth='/seg/label_image'):
    """Make the messages of a labelled drive at 20 Hz; truth comes `late` frames later."""
    made = [('/cam/label_space', stamp(0), string('camvid'))]
    for index, (picture, labels) in enumerate(pictures(count, size)):
        made.append(('/cam/image', stamp(index), image(stamp(index), picture)))
        made.append((truth, stamp(index + late) + 1,
                     image(stamp(index), labels, 'mono8')))
    return sorted(made, key=lambda item: item[1])


def assert_drive(frames, count, size=(6, 8)):
    wanted = pictures(count, size)
    assert [frame.stamp_ns for frame in frames] == [stamp(index) for index in range(count)]
    for frame, (picture, labels) in zip(frames, wanted, strict=True):
        np.testing.assert_array_equal(frame.image, picture)
        np.testing.assert_array_equal(frame.truth, labels)
        assert frame.frame_id == 'front'


@pytest.mark.parametrize('single', [False, True])
@pytest.mark.parametrize('storage', SUFFIX)
def test_labelled_drive(tmp_path, storage, single, caplog):
    path = write(tmp_path / 'bag', drive(5), storage)
    path = path / f'bag.{SUFFIX[storage]}' if single else path
    source = open_source(f'bag:{path}')
    assert (len(source), source.label_space.name) == (5, 'camvid')
    assert source.rate_hz == pytest.approx(20)
    assert (source.image_topic, source.truth_topic) == ('/cam/image', '/seg/label_image')
    assert_drive(list(source), 5)
    assert_drive(list(source), 5)       # anew
    assert not caplog.records


@pytest.mark.parametrize('late', [-15, -3, 3, 39])
def test_truth_may_come_earlier_or_later(tmp_path, late):
    path = write(tmp_path / 'bag', drive(40, late))
    assert_drive(list(open_bag(str(path))), 40)


def test_no_messages_of_a_topic_that_is_not_there(tmp_path):
    bag = Bag(write(tmp_path / 'bag', drive(2)))
    assert not list(bag.messages({'/absent'}))
    assert [topic for topic, _, _ in bag.messages({'/cam/label_space'})] == ['/cam/label_space']


def test_frames_without_truth_stay_without(tmp_path):
    messages = [item for item in drive(6) if item[1] != stamp(2) + 1]
    frames = list(open_bag(str(write(tmp_path / 'bag', messages))))
    assert [frame.truth is None for frame in frames] == [False, False, True, False, False, False]
    np.testing.assert_array_equal(frames[3].truth, pictures(6)[3][1])


def test_compressed_images(tmp_path):
    made = pictures(3)
    path = write(tmp_path / 'bag', [('/cam/image/compressed', stamp(i), compressed(stamp(i), p))
                                    for i, (p, _) in enumerate(made)])
    source = open_bag(str(path))
    assert (source.label_space, source.truth_topic, len(source)) == (None, None, 3)
    for index, frame in enumerate(source):
        np.testing.assert_array_equal(frame.image, made[index][0])
        assert (frame.truth, frame.stamp_ns) == (None, stamp(index))


def test_truth_without_a_label_space(tmp_path):
    messages = [item for item in drive(2) if item[0] != '/cam/label_space']
    source = open_bag(str(write(tmp_path / 'bag', messages)))
    assert source.label_space is None
    assert_drive(list(source), 2)


def test_label_space_that_nobody_knows(tmp_path):
    messages = [('/x/label_space', 1, string('mars')), *drive(2)[1:]]
    with pytest.raises(ConfigError, match='no label space is called mars'):
        open_bag(str(write(tmp_path / 'bag', messages)))


@pytest.mark.parametrize('labels, message', [
    (np.full((6, 8), 11, np.uint8), f'stamp {stamp(0)} .*48 pixels of value 11'),
    (np.zeros((6, 7), np.uint8), 'is 6x7, its image is 6x8')])
def test_wrong_truth(tmp_path, labels, message):
    messages = [*drive(1)[:2], ('/t/labels', stamp(1), image(stamp(0), labels, 'mono8'))]
    with pytest.raises(ConfigError, match=message):
        list(open_bag(str(write(tmp_path / 'bag', messages))))


def test_several_image_topics(tmp_path):
    first, second = (picture for picture, _ in pictures(2))
    labels = pictures(1)[0][1]
    messages = [('/left/image', 1, image(7, first)), ('/right/image', 1, image(7, second)),
                ('/a/labels', 1, image(7, labels, 'mono8')),
                ('/b/labels', 1, image(7, labels + 1, 'mono8'))]
    path = str(write(tmp_path / 'bag', messages))
    with pytest.raises(ConfigError, match='2 image topics: /left/image, /right/image; one'):
        open_bag(path)
    with pytest.raises(ConfigError, match='2 truth topics: /a/labels, /b/labels; one is wanted'):
        open_bag(f'{path}#/right/image')
    (frame,) = open_bag(f'{path}#/right/image#/b/labels')
    np.testing.assert_array_equal(frame.image, second)
    np.testing.assert_array_equal(frame.truth, labels + 1)
    with pytest.raises(ConfigError, match='names 3 topics'):
        open_bag(f'{path}#/a#/b#/c')


@pytest.mark.parametrize('topics, message', [
    ('#/nope', r'/nope in the bag .* is no such topic.*/cam/image \(sensor_msgs/msg/Image, 2\)'),
    ('#/cam/label_space', 'is std_msgs/msg/String, wanted sensor_msgs/msg/Image or'),
    ('#/cam/image#/cam/label_space', 'is std_msgs/msg/String, wanted sensor_msgs/msg/Image:')])
def test_unknown_topics(tmp_path, topics, message):
    path = write(tmp_path / 'bag', drive(2))
    with pytest.raises(ConfigError, match=message):
        open_bag(f'{path}{topics}')


@pytest.mark.parametrize('storage', SUFFIX)
@pytest.mark.parametrize('empty', [(), [('/cam/image', IMAGE)]])
def test_empty_bag(tmp_path, storage, empty):
    path = write(tmp_path / 'bag', [], storage, empty)
    with pytest.raises(ConfigError, match='bag is empty: it holds .*; record it again'):
        open_bag(str(path))
    assert Bag(path).duration_ns == 0


@pytest.mark.parametrize('make, message', [
    (lambda path: None, 'bag is not there'),
    (lambda path: path.mkdir(), 'is no bag: it holds no .mcap or .db3'),
    (lambda path: path.write_text('x'), 'is no bag that can be read'),
])
def test_no_bag(tmp_path, make, message):
    make(tmp_path / 'bag')
    with pytest.raises(ConfigError, match=message):
        open_bag(str(tmp_path / 'bag'))


def test_bag_of_ros_1(tmp_path):
    (tmp_path / 'a.bag').write_bytes(b'#ROSBAG V2.0\n')
    with pytest.raises(ConfigError, match='name a rosbag2 folder, or a .mcap or .db3 file'):
        open_bag(str(tmp_path / 'a.bag'))


@pytest.mark.parametrize('storage', SUFFIX)
@pytest.mark.parametrize('damage', [lambda path: path.unlink(), lambda path: path.write_text('{'),
                                    lambda path: path.write_text('a: 1')])
def test_without_sound_metadata(tmp_path, storage, damage, caplog):
    path = write(tmp_path / 'bag', drive(4), storage)
    damage(path / 'metadata.yaml')
    assert_drive(list(open_bag(str(path))), 4)
    assert len(caplog.records) == 1 and 'metadata' in caplog.text


def test_split_recording_without_metadata(tmp_path):
    messages = drive(12)
    folder = tmp_path / 'all'
    folder.mkdir()
    for part in range(12):      # more than ten: name_10 comes after name_9
        some = [item for item in messages if stamp(part) <= item[1] < stamp(part + 1)]
        name = f'drive_{part}'
        write(tmp_path / name, some)
        shutil.copy(tmp_path / name / f'{name}.mcap', folder)
    assert_drive(list(open_bag(str(folder))), 12)


@pytest.mark.parametrize('single', [False, True])
@pytest.mark.parametrize('storage', SUFFIX)
@pytest.mark.parametrize('share', [0.35, 0.6, 0.999])
def test_cut_off_in_the_middle(tmp_path, storage, share, single, caplog):
    """12 frames of 300 KB: what came before the cut is there by value, with one warning."""
    size = (240, 320)
    path = write(tmp_path / 'bag', drive(12, size=size), storage)
    file = path / f'bag.{SUFFIX[storage]}'
    file.write_bytes(file.read_bytes()[:int(file.stat().st_size * share)])
    source = open_bag(str(file if single else path))
    frames = list(source)
    lost_ahead = 4      # a chunk of mcap is lost as a whole; SQLite keeps no order on the disk
    assert 12 * share - lost_ahead <= len(frames) == len(source) <= 12
    wanted = pictures(12, size)
    for index, (frame, (picture, labels)) in enumerate(zip(frames, wanted, strict=False)):
        assert frame.stamp_ns == stamp(index)
        np.testing.assert_array_equal(frame.image, picture)
        if index < len(frames) - 1:
            np.testing.assert_array_equal(frame.truth, labels)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert 'is damaged' in caplog.text and 'what can be read was used' in caplog.text


@pytest.mark.parametrize('storage', SUFFIX)
def test_cut_off_anywhere_gives_frames_or_one_sentence(tmp_path, storage):
    path = write(tmp_path / 'bag', drive(3), storage) / f'bag.{SUFFIX[storage]}'
    content, cut = path.read_bytes(), tmp_path / f'cut.{SUFFIX[storage]}'
    counts = set()
    for length in [*range(0, 60), *range(60, len(content), len(content) // 60)]:
        cut.write_bytes(content[:length])
        try:
            counts.add(len(list(open_bag(str(cut)))))
        except ConfigError as error:
            assert str(cut) in str(error)
    assert counts <= {0, 1, 2, 3}


@pytest.mark.parametrize('storage', SUFFIX)
def test_any_damage_gives_frames_or_one_sentence(tmp_path, storage):
    path = write(tmp_path / 'bag', drive(3), storage) / f'bag.{SUFFIX[storage]}'
    content, rng = path.read_bytes(), np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 8):
            damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            assert len(list(open_bag(str(path)))) <= 3
        except ConfigError:
            continue


def test_damaged_record_in_the_middle(tmp_path, caplog):
    """What came before the damage is there by value, with one warning."""
    size = (480, 640)       # every image fills a chunk of its own
    path = write(tmp_path / 'bag', drive(5, size=size))
    file = path / 'bag.mcap'
    content = bytearray(file.read_bytes())
    raw = typestore().serialize_cdr(image(stamp(2), pictures(5, size)[2][0]), IMAGE)
    content[content.index(raw) - 22 - 2] = 1    # in the record's length, before 22 bytes of head
    file.write_bytes(content)
    frames = list(open_bag(str(path)))
    wanted = pictures(5, size)
    assert len(frames) == 2 and len(caplog.records) == 1
    for frame, (picture, labels) in zip(frames, wanted, strict=False):
        np.testing.assert_array_equal(frame.image, picture)
        np.testing.assert_array_equal(frame.truth, labels)


def test_bad_messages_are_left_out(tmp_path, caplog):
    (good, _), (other, _) = pictures(2)
    short = image(stamp(1), good, data=good.reshape(-1)[:-1])
    messages = [('/i', stamp(0), image(stamp(0), good)), ('/i', stamp(1), short),
                ('/i', stamp(2), short), ('/i', stamp(3), image(stamp(3), good, '32FC1')),
                ('/i', stamp(4), b'\0\1\0\0 no message'),
                ('/i', stamp(5), image(stamp(5), other))]
    path = write(tmp_path / 'bag', messages)
    frames = list(open_bag(str(path)))
    assert [frame.stamp_ns for frame in frames] == [stamp(0), stamp(5)]
    np.testing.assert_array_equal(frames[1].image, other)
    text = caplog.text
    assert 'messages that cannot be decoded: 1' in text and len(caplog.records) == 3
    assert 'left out: 2 (bad_data)' in text and 'left out: 1 (bad_encoding)' in text


@pytest.mark.parametrize('stamps, rate', [
    ([0, 100, 200, 300], 10), ([0, 40, 80, 200, 240], 25), ([5], 10), ([5, 5, 5], 10)])
def test_rate_is_the_median_of_the_stamps(tmp_path, stamps, rate):
    picture = pictures(1)[0][0]
    path = write(tmp_path / 'bag', [('/i', 10**9 * i, image(s * MS, picture))
                                    for i, s in enumerate(stamps)])
    assert open_bag(str(path)).rate_hz == pytest.approx(rate)


def stamps(source):
    return [(frame.stamp_ns - stamp(0)) // (50 * MS) for frame in source]


@pytest.mark.parametrize('storage', SUFFIX)
@pytest.mark.parametrize('options, wanted', [
    ({'start_s': 0.1}, [2, 3, 4, 5, 6, 7, 8, 9]),
    ({'end_s': 0.1}, [0, 1]),                               # half-open
    ({'start_s': 0.1, 'end_s': 0.35}, [2, 3, 4, 5, 6]),
    ({'start_s': 0.11, 'end_s': 0.36}, [3, 4, 5, 6, 7]),
    ({'stride': 3}, [0, 3, 6, 9]),
    ({'stride': 3, 'start_s': 0.1}, [2, 5, 8]),             # from the first that is left
    ({'stride': 20}, [0])])
def test_part_of_a_bag(tmp_path, storage, options, wanted):
    source = open_bag(str(write(tmp_path / 'bag', drive(10, 3), storage)), BagOptions(**options))
    frames = list(source)
    assert stamps(frames) == wanted and len(source) == len(wanted)
    made = pictures(10)
    for frame, index in zip(frames, wanted, strict=True):
        np.testing.assert_array_equal(frame.image, made[index][0])
        np.testing.assert_array_equal(frame.truth, made[index][1])


def test_a_broken_image_keeps_its_place(tmp_path):
    """Strides and orders count images that cannot be decoded too."""
    messages = drive(6)
    broken = [index for index, item in enumerate(messages) if item[0] == '/cam/image'][2]
    messages[broken] = ('/cam/image', stamp(2), b'\0\1\0\0 no message')
    path = str(write(tmp_path / 'bag', messages))
    assert stamps(open_bag(path, BagOptions(stride=2))) == [0, 4]
    folder = truth_files(tmp_path / 'truth', [f'{index}' for index in range(6)])
    frames = list(open_bag(path, BagOptions(truth_dir=folder, truth_by='order')))
    assert stamps(frames) == [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(frames[2].truth, pictures(6)[3][1])


def truth_files(folder, names):
    """Write the truth of `pictures` as files of train ids."""
    folder.mkdir()
    for name, (_, labels) in zip(names, pictures(len(names)), strict=True):
        cv2.imwrite(str(folder / f'{name}.png'), labels)
    return str(folder)


@pytest.mark.parametrize('shift_ns, tolerance_s, found', [
    (0, 0, True), (7, 0, False), (7 * MS, 0.007, True), (-7 * MS, 0.006, False)])
def test_truth_of_a_folder_by_stamp(tmp_path, shift_ns, tolerance_s, found):
    path = str(write(tmp_path / 'bag', [m for m in drive(4) if m[0] == '/cam/image']))
    names = [f'{(stamp(i) + shift_ns) // 10**9}_{(stamp(i) + shift_ns) % 10**9:09}'
             for i in range(4)]
    folder = truth_files(tmp_path / 'truth', names)
    (tmp_path / 'truth' / f'{names[2]}.png').unlink()
    options = BagOptions(truth_dir=folder, tolerance_s=tolerance_s, truth_space='camvid')
    source = open_bag(path, options)
    assert (source.label_space.name, source.truth_topic) == ('camvid', None)
    for _ in range(2):
        frames = list(source)
        assert [frame.truth is not None for frame in frames] == [found, found, False, found]
        if found:
            np.testing.assert_array_equal(frames[3].truth, pictures(4)[3][1])


def test_truth_of_a_folder_comes_before_that_of_a_topic(tmp_path):
    path = str(write(tmp_path / 'bag', drive(3)))
    folder = truth_files(tmp_path / 'truth', ['a', 'b', 'c'])
    cv2.imwrite(f'{folder}/b.png', np.full((6, 8), 7, np.uint8))
    options = BagOptions(truth_dir=folder, truth_by='order', start_s=0.05)
    first, second = open_bag(path, options)
    assert (first.truth == 7).all()
    np.testing.assert_array_equal(second.truth, pictures(3)[2][1])


def test_truth_in_other_codings(tmp_path):
    space = LabelSpace.load('cityscapes')
    picture, labels = pictures(1)[0]
    path = str(write(tmp_path / 'bag', [
        ('/i', 1, image(5, picture)),
        ('/ids', 1, image(5, space.to_id[labels], 'mono8')),
        ('/colored', 1, image(5, space.palette[labels][:, :, ::-1], 'bgr8'))]))
    for topic, coding in (('/ids', 'ids'), ('/colored', 'colors')):
        (frame,) = open_bag(path, BagOptions('/i', topic, truth_coding=coding,
                                             truth_space='cityscapes'))
        np.testing.assert_array_equal(frame.truth, labels)
    with pytest.raises(ConfigError, match='of stamp 5 on /ids has .* wanted ids of the label sp'):
        list(open_bag(path, BagOptions('/i', '/ids', truth_space='cityscapes')))


def test_recorded_predictions(tmp_path):
    messages = drive(5, truth='/a/labels')
    made = pictures(5)
    messages += [('/b/label_image', stamp(9 + i), image(stamp(i), made[i][1] ^ 1, 'mono8'))
                 for i in (0, 1, 3, 4)]
    path = str(write(tmp_path / 'bag', messages))
    source = open_bag(path, BagOptions(predictions='/b/label_image',
                                       predictions_space='cityscapes'))
    assert (source.truth_topic, source.image_topic) == ('/a/labels', '/cam/image')
    assert (source.label_space.name, source.predictions_space.name) == ('camvid', 'cityscapes')
    find = source.recorded()
    for index, frame in enumerate(source):
        labels = find(frame)
        np.testing.assert_array_equal(frame.truth, made[index][1])
        if index == 2:
            assert labels is None
        else:
            np.testing.assert_array_equal(labels, made[index][1] ^ 1)
    assert open_bag(path, BagOptions(predictions='/b/label_image')).predictions_space.name == \
        'camvid'


@pytest.mark.parametrize('text, options, message', [
    ('', {'topic': '/nope'}, r'/nope in the bag .* no such topic.*/cam/image \(sensor_msgs'),
    ('', {'predictions': '/nope'}, r'/nope in the bag .* no such topic.*/cam/image \(sensor_msgs'),
    ('', {'predictions': '/cam/label_space'}, 'is std_msgs/msg/String, wanted sensor_msgs/msg/Im'),
    ('', {'truth_topic': '/nope'}, r'/nope in the bag .* no such topic.*/seg/label_image'),
    ('#/cam/image', {'topic': '/other'}, 'names the topic /cam/image, an option /other: name one'),
    ('', {'start_s': 7}, 'no image of /cam/image was recorded from 7 s to the end: .* lasts 0.15'),
    ('', {'truth_dir': 'nowhere', 'truth_by': 'order'}, 'nowhere is no folder'),
    ('', {'truth_space': 'mars'}, 'no label space is called mars'),
    ('', {'truth_coding': 'grey'}, "no coding of label images is called 'grey'")])
def test_options_that_do_not_fit_the_bag(tmp_path, text, options, message):
    path = write(tmp_path / 'bag', drive(4))
    with pytest.raises(ConfigError, match=message):
        open_bag(f'{path}{text}', BagOptions(**options))


@pytest.mark.parametrize('options, message', [
    ({'truth_by': 'order'}, 'holds 3 PNG files, /cam/image 4 images'),
    ({'tolerance_s': 0.025}, 'tolerance is 0.025 s, but the images are 0.05 s apart')])
def test_folders_that_do_not_fit_the_bag(tmp_path, options, message):
    path = write(tmp_path / 'bag', drive(4))
    folder = truth_files(tmp_path / 'truth', ['1', '2', '3'])
    with pytest.raises(ConfigError, match=message):
        open_bag(str(path), BagOptions(truth_dir=folder, **options))


@pytest.mark.parametrize('options, message', [
    ({'stride': 0}, 'stride is 0'),
    ({'start_s': -1}, 'from -1 s to None s is none'),
    ({'start_s': float('nan')}, 'is none'),
    ({'start_s': 3, 'end_s': 3}, 'from 3 s to 3 s is none'),
    ({'truth_by': 'name'}, "by 'name': take one of stamp, order"),
    ({'tolerance_s': 1}, 'a tolerance is for a folder'),
    ({'tolerance_s': -1, 'truth_dir': 'x'}, 'tolerance is -1 s'),
    ({'truth_dir': 'x', 'truth_topic': '/y'}, 'of the topic /y and of the folder x: name one')])
def test_options_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        BagOptions(**options)


def node_drive(count, space='camvid'):
    """Make a drive, with what a node of ours says of it."""
    fields = label_space_fields(SimpleNamespace(name='m', sha256=''), LabelSpace.load(space))
    fields |= {key: np.array(value, np.uint8) for key, value in fields.items()
               if value and isinstance(value[0], int)}
    made = [('/frm_seg/label_space', stamp(0), typestore().types[LABEL_SPACE](**fields))]
    for index, (_, labels) in enumerate(pictures(count)):
        for name in ('label_image', 'confidence'):
            made.append((f'/frm_seg/{name}', stamp(index), image(stamp(index), labels, 'mono8')))
    return made + drive(count)


def test_outputs_of_a_node_are_neither_images_nor_truth(tmp_path):
    bag = Bag(write(tmp_path / 'bag', node_drive(2)))
    assert find_topics(bag, BagOptions()) == ('/cam/image', '/seg/label_image')
    assert find_image_topics(bag) == ['/cam/image']
    told = ['/frm_seg/confidence', '/cam/image', '/frm_seg/confidence']
    assert find_image_topics(bag, told) == told[:2]
    with pytest.raises(ConfigError, match='/cam/label_space in the bag .* is std_msgs'):
        find_image_topics(bag, ['/cam/label_space'])


def test_recorded_predictions_tell_their_label_space(tmp_path):
    path = write(tmp_path / 'bag', node_drive(2, 'cityscapes'))
    node = BagOptions(predictions='/frm_seg/label_image')
    assert open_bag(str(path), node).predictions_space.name == 'cityscapes'
    told = BagOptions(predictions='/frm_seg/label_image', predictions_space='bdd100k')
    assert open_bag(str(path), told).predictions_space.name == 'bdd100k'
    other = BagOptions(predictions='/seg/label_image', truth_topic='/frm_seg/label_image')
    assert open_bag(str(path), other).predictions_space.name == 'camvid'


@pytest.mark.parametrize('storage, zstd', [('mcap', 'file'), ('mcap', 'message'),
                                           ('mcap', 'storage'), ('sqlite3', 'file'),
                                           ('sqlite3', 'message')])
def test_zstd(tmp_path, storage, zstd, caplog):
    path = write(tmp_path / 'bag', drive(4), storage, zstd=zstd)
    assert_drive(list(open_bag(str(path))), 4)
    assert not caplog.records
    metadata = path / 'metadata.yaml'
    if zstd != 'storage':   # of which the metadata do not tell
        metadata.write_text(metadata.read_text().replace('zstd', 'lz9'))
        with pytest.raises(ConfigError, match="is compressed as 'lz9', wanted zstd or none: conv"):
            open_bag(str(path))
    metadata.unlink()
    if zstd == 'file':
        with pytest.raises(ConfigError, match=r'bag\.\w+\.zstd is compressed, of which only meta'):
            open_bag(str(path))
        with pytest.raises(ConfigError, match='file that is not compressed as a whole'):
            open_bag(str(path / f'bag.{SUFFIX[storage]}.zstd'))
    if zstd == 'storage':
        assert_drive(list(open_bag(str(path / 'bag.mcap'))), 4)


def test_unknown_compression_inside_a_file(tmp_path, caplog):
    path = write(tmp_path / 'bag', drive(4), zstd='storage') / 'bag.mcap'
    path.write_bytes(path.read_bytes().replace(b'zstd', b'lz99'))
    assert not list(open_bag(str(path)))
    assert len(caplog.records) == 1 and "Unsupported chunk compression 'lz99'" in caplog.text


def test_compressed_images_of_an_unknown_format_are_counted(tmp_path, caplog):
    picture = pictures(1)[0][0]
    strange = compressed(stamp(1), picture)
    strange.format, strange.data = 'h264', np.arange(40, dtype=np.uint8)
    path = write(tmp_path / 'bag', [('/i', stamp(0), compressed(stamp(0), picture)),
                                    ('/i', stamp(1), strange)])
    assert stamps(open_bag(str(path))) == [0]
    assert len(caplog.records) == 1 and 'left out: 1 (bad_' in caplog.text


def test_stamps_that_go_back_are_counted(tmp_path, caplog):
    """A clock that was set back: the images keep their order and their truth."""
    made, order = pictures(8), [0, 1, 2, 3, 1, 2, 2, 9]
    messages = [('/cam/label_space', 0, string('camvid'))]
    for index, (number, (picture, labels)) in enumerate(zip(order, made, strict=True)):
        messages += [('/cam/image', 10 + index, image(stamp(number), picture)),
                     ('/seg/label_image', 20 + index, image(stamp(number), labels, 'mono8'))]
    frames = list(open_bag(str(write(tmp_path / 'bag', sorted(messages, key=lambda m: m[1])))))
    assert stamps(frames) == order
    for frame, (picture, labels) in zip(frames, made, strict=True):
        np.testing.assert_array_equal(frame.image, picture)
        np.testing.assert_array_equal(frame.truth, labels)
    assert len(caplog.records) == 1
    assert f'do not increase at 2 images, the first at {stamp(1)} ns' in caplog.text


@pytest.mark.parametrize('coding', ['train-ids', 'colors'])
def test_labels_of_another_size_are_resized_only_when_told(tmp_path, coding):
    space = LabelSpace.load('camvid')
    picture, small = pictures(1)[0][0], pictures(1, (3, 4))[0][1]
    stored = space.palette[small] if coding == 'colors' else small
    path = str(write(tmp_path / 'bag', [
        ('/i', 1, image(5, picture)),
        ('/labels', 1, image(5, stored, 'rgb8' if coding == 'colors' else 'mono8'))]))
    told = {'truth_topic': '/labels', 'truth_coding': coding, 'truth_space': 'camvid',
            'topic': '/i'}
    with pytest.raises(ConfigError, match='stamp 5 on /labels is 3x4, its image is 6x8: both must '
                       'have one size, or .* by --resize-labels'):
        list(open_bag(path, BagOptions(**told)))
    (frame,) = open_bag(path, BagOptions(**told, resize_labels=True))
    np.testing.assert_array_equal(frame.truth, small.repeat(2, 0).repeat(2, 1))


def test_recorded_predictions_are_resized_only_when_told(tmp_path):
    picture, labels = pictures(1)[0]
    path = str(write(tmp_path / 'bag', [
        ('/i', 1, image(5, picture)), ('/labels', 1, image(5, labels, 'mono8')),
        ('/out', 1, image(5, labels[1::2, 1::2], 'mono8'))]))
    told = BagOptions(topic='/i', truth_space='camvid', predictions='/out')
    source = open_bag(path, told)
    with pytest.raises(ConfigError, match='on /out is 3x4, its image is 6x8'):
        source.recorded()(next(iter(source)))
    source = open_bag(path, replace(told, resize_labels=True))
    np.testing.assert_array_equal(source.recorded()(next(iter(source))),
                                  labels[1::2, 1::2].repeat(2, 0).repeat(2, 1))


def test_confidence_beside_recorded_predictions(tmp_path):
    made = node_drive(3)
    sure = [index for index, (topic, _, _) in enumerate(made) if topic == '/frm_seg/confidence']
    made[sure[1]] = ('/frm_seg/confidence', stamp(1), image(stamp(1), np.zeros((3, 4), np.uint8),
                                                            'mono8'))
    source = open_bag(str(write(tmp_path / 'bag', made)),
                      BagOptions(predictions='/frm_seg/label_image'))
    find = source.recorded_confidence()
    found = [find(frame) for frame in source]
    np.testing.assert_array_equal(found[0], pictures(3)[0][1])
    assert found[1] is None         # of another size
    np.testing.assert_array_equal(found[2], pictures(3)[2][1])


def test_no_confidence_beside_predictions_of_others(tmp_path):
    messages = drive(2, truth='/other/label_image') + [
        ('/other/confidence', stamp(0), image(stamp(0), pictures(1)[0][1], 'mono8'))]
    source = open_bag(str(write(tmp_path / 'bag', messages)),
                      BagOptions(topic='/cam/image', predictions='/other/label_image'))
    find = source.recorded_confidence()
    assert [find(frame) for frame in source] == [None, None]
