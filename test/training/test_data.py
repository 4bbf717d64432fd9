"""Batches: which frames they show, whose share of them is whose, and what is refused."""
from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from data_trees import ROBOT_LABELS, write_picture, write_robot  # noqa: E402
from training_config import config_with  # noqa: E402

from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.core.frame import Frame  # noqa: E402
from frm_seg_ros.core.label_space import LabelSpace  # noqa: E402
from frm_seg_ros.sources.synthetic import TRAINING_SEED, render_scene  # noqa: E402
from frm_seg_ros.training.data import (  # noqa: E402
    Crops,
    Frames,
    batches,
    class_weights,
    open_frames,
    render_frames,
)


def frames_of(values):
    """Make frames whose every pixel has one value."""
    frames = Frames()
    for value in values:
        frames.keep(Frame(np.full((64, 64, 3), value, np.uint8), 0,
                          truth=np.zeros((64, 64), np.uint8)))
    return frames


def plain(**changes):
    """Give a configuration whose crops are the frames themselves."""
    return config_with(**{'crop': (64, 64), 'scale': (1.0, 1.0), 'color': 0.0, 'blur': 0.0,
                          'batch': 4, 'steps': 1000, 'synthetic_share': 0.5, **changes})


def shown(found):
    """Give the frames that batches show, by their value."""
    return [image[0, 0, 0].item() for images, _ in found for image in images]


def test_every_frame_is_shown_once_before_any_is_shown_again():
    crops = Crops(plain(), frames_of(range(10)), frames_of(range(100, 106)))
    images = shown(batches(crops, 0, 15, 0, 1))
    real, rendered = ([value for value in images if (value >= 100) == kind] for kind in (0, 1))
    assert len(real) == len(rendered) == 30
    for epoch in (real[:10], real[10:20], real[20:]):
        assert sorted(epoch) == list(range(10))
    assert real[:10] != real[10:20]
    assert sorted(rendered[:6]) == sorted(rendered[6:12]) == list(range(100, 106))


def test_batches_depend_on_seed_and_step_only():
    frames = frames_of(range(10))
    crops = Crops(plain(crop=(64, 64), scale=(0.5, 2.0), color=0.5), frames, Frames())
    whole = list(batches(crops, 0, 8, 0, 1))
    assert len(whole) == 8
    for step, (images, truths) in enumerate(batches(crops, 5, 8, 0, 1), 5):
        assert torch.equal(images, whole[step][0]) and torch.equal(truths, whole[step][1])
    other = Crops(plain(seed=2, scale=(0.5, 2.0), color=0.5), frames, Frames())
    assert not torch.equal(next(batches(other, 0, 1, 0, 1))[0], whole[0][0])
    assert list(batches(crops, 8, 8, 0, 1)) == []


def test_one_frame_is_cut_otherwise_each_time_and_with_each_seed():
    frames = Frames()
    image = np.random.default_rng(0).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    frames.keep(Frame(image, 0, truth=np.zeros((96, 96), np.uint8)))
    cuts = [next(batches(Crops(plain(seed=seed, batch=3), frames, Frames()), 0, 1, 0, 1))[0]
            for seed in (1, 2)]
    assert len({cut.numpy().tobytes() for cut in torch.cat(cuts)}) == 6


def test_processes_share_every_batch():
    crops = Crops(plain(), frames_of(range(10)), frames_of(range(100, 106)))
    whole = list(batches(crops, 0, 6, 0, 1))
    parts = [list(batches(crops, 0, 6, rank, 2)) for rank in (0, 1)]
    for step, (images, _) in enumerate(whole):
        shares = [part[step][0] for part in parts]
        assert [len(share) for share in shares] == [2, 2]
        assert Counter(shown([(images, None)])) == Counter(
            shown([(share, None) for share in shares]))
        # Each has its part of the rendered ones: norms of one process would see one kind only.
        assert all(sum(share[:, 0, 0, 0] >= 100) == 1 for share in shares)


def write_camvid(root, count, size=(40, 64)):
    rng = np.random.default_rng(0)
    for index in range(count):
        name = f'0001TP_{index:06}'
        write_picture(root / 'train' / 'images' / f'{name}.png',
                      rng.integers(0, 255, (*size, 3)).astype(np.uint8))
        write_picture(root / 'train' / 'labels' / f'{name}.png',
                      rng.integers(0, 11, size).astype(np.uint8))


@pytest.mark.parametrize('in_memory', [True, False])
def test_frames_come_in_order_with_their_counts(tmp_path, in_memory):
    write_camvid(tmp_path / 'a', 3)
    write_camvid(tmp_path / 'b', 2, (48, 80))
    config = config_with(in_memory=in_memory)
    frames = open_frames([f'camvid:{tmp_path}/{name}:train' for name in 'ab'], config)
    assert [frames[i].image.shape for i in range(len(frames))] == \
        3 * [(40, 64, 3)] + 2 * [(48, 80, 3)]
    truths = np.concatenate([frames[i].truth.ravel() for i in range(5)])
    np.testing.assert_array_equal(frames.counts, np.bincount(truths, minlength=256))
    for file in tmp_path.rglob('*.png'):
        file.unlink()
    if in_memory:
        assert frames[0].image.any()
    else:
        with pytest.raises(ConfigError):
            frames[0]


def test_wrong_frames_are_refused_before_training(tmp_path):
    write_camvid(tmp_path, 3)
    source = f'camvid:{tmp_path}:train'
    with pytest.raises(ConfigError, match='has camvid, wanted the label space cityscapes'):
        open_frames([source], config_with(label_space='cityscapes'))
    with pytest.raises(ConfigError, match='has no truth, wanted the label space camvid'):
        open_frames([f'images:{tmp_path}/train/images'], config_with())
    for index in (0, 2):
        write_picture(tmp_path / f'train/labels/0001TP_{index:06}.png',
                      np.full((40, 64), 77, np.uint8))
    with pytest.raises(ConfigError, match='2 of 3 frames cannot be used'):
        open_frames([source], config_with(in_memory=False))


def test_frames_fit_by_their_classes_whatever_the_name_of_the_space(tmp_path):
    write_robot(tmp_path)
    twin, other = tmp_path / 'twin.yaml', tmp_path / 'other.yaml'
    twin.write_text(ROBOT_LABELS.replace('name: robot', 'name: yard').replace('id: 7', 'id: 9'))
    other.write_text(ROBOT_LABELS.replace('person', 'dog'))
    source = f'labelled:{tmp_path}:train'
    frames = open_frames([source], config_with(label_space=str(twin)))
    assert len(frames) == 2 and frames.counts[2] > 0
    with pytest.raises(ConfigError, match='has robot, wanted the label space robot, the same cl'):
        open_frames([source], config_with(label_space=str(other)))


def test_rendered_frames_are_those_of_the_training_seeds():
    frames = render_frames(2)
    assert len(frames) == 2
    np.testing.assert_array_equal(frames[1].image, render_scene(TRAINING_SEED + 1).image)
    assert frames.counts.sum() == 2 * frames[0].truth.size
    assert len(render_frames(0)) == 0


def test_class_weights_are_the_root_of_median_frequency_balancing():
    space = LabelSpace.load('camvid')
    counts = np.zeros(256, np.int64)
    counts[:11] = [400, 100, 100, 100, 100, 100, 100, 100, 100, 100, 25]
    counts[255] = 10 ** 6   # ignored pixels have no say
    weights = class_weights(counts, space)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, [0.5, *9 * [1.0], 2.0], rtol=1e-6)
