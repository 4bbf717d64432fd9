"""Prediction to files: what is written under which name, and what is never overwritten."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_trees import write_city
from tiny_model import write_tiny_model

from frm_seg_ros import cli
from frm_seg_ros.core.draw import overlay
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Prediction
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.tools.predict import check_folder, open_input, predict
from frm_seg_ros.tools.video import count_frames, write_video

SPACE = LabelSpace.load('camvid')


class RedSegmenter:
    """Labels a pixel by its red part: 20 * train id."""

    label_space = SPACE

    def __call__(self, images: list[np.ndarray]) -> list[Prediction]:
        return [Prediction(image[:, :, 0] // 20) for image in images]

    def close(self) -> None:
        """Nothing is open."""


def write_image(path: Path, red: int) -> np.ndarray:
    """Write a PNG of 24x32 pixels with red over columns; give its RGB pixels."""
    image = np.zeros((24, 32, 3), np.uint8)
    image[:, :16, 0], image[..., 2] = red, 77
    cv2.imwrite(str(path), image[:, :, ::-1])
    return image


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


def test_a_folder_keeps_its_names_and_labels_are_exact(tmp_path: Path) -> None:
    (tmp_path / 'in').mkdir()
    images = {f'shot {n}': write_image(tmp_path / 'in' / f'shot {n}.png', 20 * n) for n in (3, 8)}
    out = tmp_path / 'out'
    assert predict(open_input(str(tmp_path / 'in')), RedSegmenter(), out) == 2
    assert names(out) == ['labels/shot 3.png', 'labels/shot 8.png', 'overlay/shot 3.jpg',
                          'overlay/shot 8.jpg']
    for name, image in images.items():
        labels = cv2.imread(str(out / 'labels' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(labels, image[:, :, 0] // 20)
        painted = cv2.imread(str(out / 'overlay' / f'{name}.jpg'))[:, :, ::-1]
        wanted = overlay(image, labels, SPACE, 0.5)
        assert np.abs(painted.astype(int) - wanted)[:, [5, 25]].max() < 8   # away from the edge


def test_names_that_are_not_unique_become_numbers(tmp_path: Path) -> None:
    (tmp_path / 'in').mkdir()
    write_image(tmp_path / 'in' / 'a.png', 20)
    cv2.imwrite(str(tmp_path / 'in' / 'a.jpg'), np.zeros((24, 32, 3), np.uint8))
    predict(open_input(str(tmp_path / 'in')), RedSegmenter(), tmp_path / 'out')
    assert names(tmp_path / 'out' / 'labels') == ['000000.png', '000001.png']


def test_a_video_that_ends_early_is_counted_as_it_is(tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / 'v.webm', [np.full((48, 64, 3), 90, np.uint8)] * 5, 10.0)
    source = open_input(str(tmp_path / 'v.webm'))
    monkeypatch.setattr(source, '_count', 8)    # as the container of a damaged file declares
    assert predict(source, RedSegmenter(), tmp_path / 'out') == 5
    assert len(names(tmp_path / 'out' / 'labels')) == 5


def test_a_bag_without_its_metadata_is_a_bag(tmp_path: Path) -> None:
    from frm_seg_ros.tools.make_bag import make_bag
    make_bag('synthetic:7:2', tmp_path / 'drive')
    (tmp_path / 'drive' / 'metadata.yaml').unlink()
    assert predict(open_input(str(tmp_path / 'drive')), RedSegmenter(), tmp_path / 'out') == 2


def test_a_single_image(tmp_path: Path) -> None:
    write_image(tmp_path / 'one.png', 40)
    assert predict(open_input(str(tmp_path / 'one.png')), RedSegmenter(), tmp_path / 'out') == 1
    assert names(tmp_path / 'out') == ['labels/one.png', 'overlay/one.jpg']


def test_a_video_is_numbered(tmp_path: Path) -> None:
    write_video(tmp_path / 'v.webm', [np.full((48, 64, 3), 40 * n, np.uint8) for n in range(5)],
                10.0)
    assert predict(open_input(str(tmp_path / 'v.webm')), RedSegmenter(), tmp_path / 'out') == 5
    assert names(tmp_path / 'out' / 'labels') == [f'00000{n}.png' for n in range(5)]


def test_a_bag_is_found_by_its_metadata(tmp_path: Path) -> None:
    make_bag = pytest.importorskip('frm_seg_ros.tools.make_bag', reason='rosbags is missing')
    (tmp_path / 'in').mkdir()
    image = write_image(tmp_path / 'in' / 'a.png', 60)
    make_bag.make_bag(f'images:{tmp_path / "in"}', tmp_path / 'bag')
    assert predict(open_input(str(tmp_path / 'bag')), RedSegmenter(), tmp_path / 'out') == 1
    labels = cv2.imread(str(tmp_path / 'out' / 'labels' / '000000.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(labels, image[:, :, 0] // 20)


@pytest.mark.parametrize('force', [False, True])
def test_only_force_writes_into_a_filled_folder(tmp_path: Path, force: bool,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Segmenter, 'open', lambda *args: RedSegmenter())
    write_image(tmp_path / 'one.png', 40)
    out = tmp_path / 'out'
    (out / 'labels').mkdir(parents=True)
    (out / 'labels' / 'other.txt').write_text('kept')
    line = ['predict', str(tmp_path / 'one.png'), '--out', str(out), *['--force'] * force]
    assert cli.main(line) == (0 if force else 2)
    assert (out / 'labels' / 'other.txt').read_text() == 'kept'
    assert (out / 'labels' / 'one.png').exists() == force


def test_images_that_cannot_be_read_are_told_of_at_the_end(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Segmenter, 'open', lambda *args: RedSegmenter())
    (tmp_path / 'in').mkdir()
    for index in range(8):
        write_image(tmp_path / 'in' / f'{index}.png', 20 * index)
    for index in (0, 3, 4, 7):
        (tmp_path / 'in' / f'{index}.png').write_bytes(b'no picture')
    assert cli.main(['predict', str(tmp_path / 'in'), '--out', str(tmp_path / 'out')]) == 2
    assert names(tmp_path / 'out' / 'labels') == ['1.png', '2.png', '5.png', '6.png']
    for index in (1, 2, 5, 6):      # the names still belong to their pictures
        labels = cv2.imread(str(tmp_path / 'out' / 'labels' / f'{index}.png'), -1)
        assert labels.max() == index
    text = capsys.readouterr().err
    assert '4 frames are labelled in ' in text and ', 4 could not be read: ' in text
    assert '0.png' in text and '3.png' in text and '4.png' in text and '; and 1 more' in text


def test_truth_is_not_read(tmp_path: Path) -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    for number in (1, 2):
        write_city(tmp_path, f'ulm_000000_00000{number}', image, labelIds=image[..., 0])
    for file in (tmp_path / 'gtFine').rglob('*.png'):
        file.write_bytes(b'no picture')
    assert predict(open_input(f'cityscapes:{tmp_path}:val'), RedSegmenter(), tmp_path / 'out') == 2


def test_an_interrupted_run_leaves_only_whole_files(tmp_path: Path) -> None:
    class Stops(RedSegmenter):
        def __call__(self, images: list[np.ndarray]) -> list[Prediction]:
            if images[0][0, 0, 0] == 40:
                raise KeyboardInterrupt
            return super().__call__(images)

    (tmp_path / 'in').mkdir()
    for index in (1, 2, 3):
        write_image(tmp_path / 'in' / f'{index}.png', 20 * index)
    with pytest.raises(KeyboardInterrupt):
        predict(open_input(str(tmp_path / 'in')), Stops(), tmp_path / 'out')
    assert names(tmp_path / 'out') == ['labels/1.png', 'overlay/1.jpg']


CITYSCAPES = LabelSpace.load('cityscapes')
CITY_NAMES = ['munster_000000_000019', 'munster_000001_000019', 'ulm_000000_000313']


def write_cities(root: Path, split: str = 'val') -> None:
    """Write pictures in colours of the classes, 8x8 pixels each, with a truth that partly agrees.

    Every id is in the truth of the first picture, ignored ones too.
    """
    rng = np.random.default_rng(0)
    for number, name in enumerate(CITY_NAMES):
        blocks = rng.integers(0, 19, (12, 16)).astype(np.uint8)
        ids = CITYSCAPES.to_id[blocks]
        other = rng.random(ids.shape) < 0.4
        ids[other] = rng.integers(0, 34, np.count_nonzero(other))
        if number == 0:
            ids.flat[:34] = range(34)
        grow = np.ones((8, 8), np.uint8)
        write_city(root, name, CITYSCAPES.palette[np.kron(blocks, grow)], split,
                   labelIds=np.kron(ids, grow))


def judge_cityscapes(results: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Let cityscapesscripts find and score the results for the validation split."""
    judge = pytest.importorskip(
        'cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling',
        reason='cityscapesscripts is not installed: pip install cityscapesscripts')
    monkeypatch.setenv('CITYSCAPES_RESULTS', str(results))
    for name, value in (('quiet', True), ('JSONOutput', False), ('evalInstLevelScore', False),
                        ('predictionPath', None), ('predictionWalk', None)):
        monkeypatch.setattr(judge.args, name, value)
    truths = sorted(str(file) for file in (root / 'gtFine').rglob('*_gtFine_labelIds.png'))
    found = [judge.getPrediction(judge.args, file) for file in truths]
    return judge.evaluateImgLists(found, truths, judge.args)


def test_cityscapesscripts_takes_the_results_and_agrees_with_eval(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, model = tmp_path / 'cityscapes', tmp_path / 'nearest_color'
    write_cities(root)
    write_tiny_model(model, label_space='cityscapes')
    options = ['--model', str(model), '--backend', 'onnxruntime']
    assert cli.main(['predict', f'cityscapes:{root}:val', '--ids', '--out', str(tmp_path / 'out'),
                     *options]) == 0
    assert names(tmp_path / 'out' / 'labels') == [f'{name}_leftImg8bit.png' for name in CITY_NAMES]
    assert cli.main(['eval', f'cityscapes:{root}:val', '--json', str(tmp_path / 'ours.json'),
                     *options]) == 0
    ours = json.loads((tmp_path / 'ours.json').read_text())
    theirs = judge_cityscapes(tmp_path / 'out', root, monkeypatch)
    assert 0.3 < ours['miou'] < 0.9 and len(set(ours['iou'].values())) == 19
    for name, value in ours['iou'].items():
        assert value == theirs['classScores'][name.replace('_', ' ')]
    for name, value in ours['category_iou'].items():
        assert value == theirs['categoryScores'][name]
    assert ours['miou'] == pytest.approx(theirs['averageScoreClasses'], rel=1e-14)


def test_ids_of_a_split_without_truth(tmp_path: Path) -> None:
    class Road(RedSegmenter):
        label_space = CITYSCAPES

    image = np.zeros((2, 4, 3), np.uint8)
    image[:, 2:, 0] = 20 * 7
    write_city(tmp_path, 'berlin_000000_000019', image, 'test')
    source = open_input(f'cityscapes:{tmp_path}:test')
    assert predict(source, Road(), tmp_path / 'ids', ids=True) == 1
    assert predict(source, Road(), tmp_path / 'train_ids') == 1
    for out, values in (('ids', [7, 7, 20, 20]), ('train_ids', [0, 0, 7, 7])):
        file = tmp_path / out / 'labels' / 'berlin_000000_000019_leftImg8bit.png'
        labels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert labels.tolist() == [values, values]


@pytest.mark.parametrize('text, words', [
    ('no/such/folder', 'there is no no/such/folder'),
    ('images:no/such/folder', 'no/such/folder'),
])
def test_input_that_is_not_there(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_input(text)


def test_a_file_is_no_folder_for_results(tmp_path: Path) -> None:
    (tmp_path / 'f').write_text('')
    with pytest.raises(ConfigError, match='is a file'):
        check_folder(tmp_path / 'f', force=True)


def test_video_has_every_frame_at_its_rate_and_colour(tmp_path: Path) -> None:
    frames = [np.full((301, 720, 3), (200, 30, 10 * n), np.uint8) for n in range(12)]
    assert write_video(tmp_path / 'v.webm', iter(frames), 12.5) == 12
    assert count_frames(tmp_path / 'v.webm') == 12
    capture = cv2.VideoCapture(str(tmp_path / 'v.webm'))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    assert int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, 'little') == b'VP90'
    _, first = capture.read()
    assert first.shape == (150, 360, 3)
    assert np.abs(first[:, :, ::-1].mean((0, 1)) - (200, 30, 0)).max() < 6
    assert [path.name for path in tmp_path.iterdir()] == ['v.webm']


@pytest.mark.parametrize('frames, words', [
    ([], 'no image'),
    ([np.zeros((48, 64, 3), np.uint8), np.zeros((48, 32, 3), np.uint8)], 'image 2 .*one size'),
])
def test_videos_that_cannot_be(tmp_path: Path, frames: list[np.ndarray], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        write_video(tmp_path / 'v.webm', frames, 10.0)
    assert not list(tmp_path.iterdir())
