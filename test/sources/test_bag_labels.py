"""Label images of a bag: their matching, by value and within bounded memory."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.bag_labels import (
    WINDOW,
    StampedFiles,
    StampedMessages,
    decode_file,
    list_label_files,
    stamp_ns,
)
from frm_seg_ros.sources.label_coding import LabelCoding

CITYSCAPES = LabelSpace.load('cityscapes')
CAMVID = LabelSpace.load('camvid')


def message(stamp: int) -> SimpleNamespace:
    return SimpleNamespace(header=SimpleNamespace(
        stamp=SimpleNamespace(sec=stamp // 10**9, nanosec=stamp % 10**9)))


def found(recorded: list[int], asked: list[int]) -> list[int]:
    """Give those of the stamps asked for that are found."""
    messages = StampedMessages(map(message, recorded))
    return [stamp for stamp in asked if (hit := messages.find(stamp)) and stamp_ns(hit) == stamp]


ALL = list(range(5, 105))


@pytest.mark.parametrize('recorded, asked, wanted', [
    (ALL, ALL, ALL),
    (ALL[::3], ALL, ALL[::3]),                  # many images without labels
    (ALL, ALL[::30], ALL[::30]),                # many labels without images
    ([*ALL[WINDOW - 1:0:-1], 5, *ALL[WINDOW:]], ALL, ALL),  # the first ones in another order
    ([*ALL[1:WINDOW + 1], 5], [5], []),         # too many others came before
    ([], ALL, []),
    ([7], [7, 7], [7]),
])
def test_messages_are_found_by_stamp(recorded: list[int], asked: list[int],
                                     wanted: list[int]) -> None:
    assert found(recorded, asked) == wanted


def test_messages_are_read_no_further_than_needed() -> None:
    read = []

    def messages() -> Iterator[SimpleNamespace]:
        for stamp in ALL:
            read.append(stamp)
            yield message(stamp)

    stream = StampedMessages(messages())
    assert stream.find(6) and read == [5, 6]
    assert stream.find(1) is None       # in vain, but only the window is read for it
    assert len(read) == WINDOW + 1


def files(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for value, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((2, 3), value, np.uint8))
    return folder


@pytest.mark.parametrize('tolerance_s, wanted', [
    (0, [None, 'a', None, 'b', None]), (2e-8, ['a', None, None, 'b', None]),
    (3e-8, ['a', None, 'b', None, None])])
def test_files_are_found_by_stamp(tmp_path: Path, tolerance_s: float,
                                  wanted: list[str | None]) -> None:
    files(tmp_path, '1_000000100.png', '1000000200.png')
    (tmp_path / 'notes.txt').touch()
    names = {'a': '1_000000100.png', 'b': '1000000200.png', None: None}
    stamped = StampedFiles(str(tmp_path), tolerance_s)
    hits = [stamped.find(10**9 + stamp) for stamp in (90, 100, 170, 200, 231)]
    assert [hit.name if hit else None for hit in hits] == [names[name] for name in wanted]


@pytest.mark.parametrize('names, words', [
    (['frame_1.png'], 'frame_1.png tells no stamp: call it NANOSECONDS.png or'),
    (['1_0000000001.png'], 'tells no stamp'),
    (['1_5.png', '1000000005.png'], 'have one stamp: remove one'),
    ([], 'holds no PNG file'),
])
def test_folders_that_cannot_be_matched_by_stamp(tmp_path: Path, names: list[str],
                                                 words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        StampedFiles(str(files(tmp_path, *names)), 0)


def test_files_in_natural_order(tmp_path: Path) -> None:
    folder = files(tmp_path / 'x', 'f10.png', 'f9.PNG', 'f1.png')
    assert [file.name for file in list_label_files(str(folder))] == ['f1.png', 'f9.PNG', 'f10.png']
    with pytest.raises(ConfigError, match='nowhere is no folder: name the folder'):
        list_label_files('nowhere')


@pytest.mark.parametrize('coding, space, stored, labels', [
    ('train-ids', CITYSCAPES, [0, 18, 255], [0, 18, 255]),
    ('train-ids', None, [200, 18, 255], [200, 18, 255]),
    ('ids', CITYSCAPES, [7, 33, 4], [0, 18, 255]),
    # pole, which polegroup has too: the class wins; unlabeled
    ('colors', CITYSCAPES, [[128, 64, 128], [153, 153, 153], [0, 0, 0]], [0, 5, 255]),
    ('colors', CAMVID, [[128, 128, 128], [0, 128, 192], [0, 0, 0]], [0, 10, 255]),
])
def test_codings_by_value(tmp_path: Path, coding: str, space: LabelSpace | None, stored: list,
                          labels: list[int]) -> None:
    picture = np.array([stored], np.uint8)
    told = LabelCoding(coding, space)
    assert told.decode(picture, (1, 3), 'it').tolist() == [labels]
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), picture[:, :, ::-1] if told.in_color else picture)
    decoded = decode_file(path, told, (1, 3))
    assert decoded.tolist() == [labels] and decoded.dtype == np.uint8


@pytest.mark.parametrize('coding, stored, words', [
    ('train-ids', [[0, 19]], 'it has 1 pixels of value 19'),
    ('ids', [[34, 7]], 'it has 1 pixels of value 34'),
    ('ids', [[7, 7, 7]], 'it is 1x3, its image is 1x2'),
    ('colors', [[0, 7]], r'it is uint8 \(1, 2\), wanted three channels'),
    ('colors', [[[128, 64, 128], [1, 2, 3]]], 'row 0, column 1 with RGB 1 2 3'),
    ('colors', [[[128, 64, 128]]], 'it is 1x1, its image is 1x2'),
    ('ids', [[[7, 7, 7], [7, 7, 7]]], 'wanted one channel'),
])
def test_wrong_label_images(coding: str, stored: list, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LabelCoding(coding, CITYSCAPES).decode(np.array(stored, np.uint8), (1, 2), 'it')


@pytest.mark.parametrize('coding, space, words', [
    ('grey', CITYSCAPES, "called 'grey': take one of train-ids, ids, colors"),
    ('ids', None, 'coded as ids need a label space'),
    ('colors', LabelSpace('twins', tuple(
        CITYSCAPES.classes[0].__class__(name, i, i, 'x', (1, 1, 1))
        for i, name in enumerate('ab'))), 'twins has classes of one colour'),
])
def test_wrong_codings(coding: str, space: LabelSpace | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LabelCoding(coding, space)
