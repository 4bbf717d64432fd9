"""Bootstrap: equal to a slow, obvious twin on the same draws, and right where it is known."""
from __future__ import annotations

import math

import numpy as np
import pytest

from frm_seg_ros.core.bootstrap import (
    block_length,
    difference_interval,
    draw_frames,
    miou_interval,
    percentile_interval,
    resampled_miou,
)


def random_counts(seed: int, frames: int, classes: int) -> np.ndarray:
    """Draw unions of which many are 0, and intersections below them."""
    rng = np.random.default_rng(seed)
    union = rng.integers(0, 50, (frames, classes)) * (rng.random((frames, classes)) < 0.3)
    return np.stack([rng.integers(0, union + 1), union], 1)


def slow_miou(counts: np.ndarray, drawn: np.ndarray) -> float:
    values = []
    for index in range(counts.shape[2]):
        intersection = sum(int(counts[frame, 0, index]) for frame in drawn)
        union = sum(int(counts[frame, 1, index]) for frame in drawn)
        if union:
            values.append(intersection / union)
    return sum(values) / len(values) if values else math.nan


@pytest.mark.parametrize('frames, classes, block', [(1, 3, 1), (2, 1, 1), (7, 4, 2), (20, 3, 3)])
def test_equal_to_the_slow_twin_on_the_same_draws(frames: int, classes: int, block: int) -> None:
    counts = random_counts(frames, frames, classes)
    draws = list(draw_frames(frames, block, 30))
    np.testing.assert_allclose(resampled_miou(counts, draws),
                               [slow_miou(counts, drawn) for drawn in draws], rtol=1e-12)


def test_draws_are_blocks_of_neighbours_that_go_round() -> None:
    draws = list(draw_frames(10, 4, 200))
    assert all(len(drawn) == 10 for drawn in draws)
    for drawn in draws:
        for start, length in ((0, 4), (4, 4), (8, 2)):
            block = drawn[start:start + length]
            assert block.tolist() == [(block[0] + step) % 10 for step in range(length)]
    assert {int(drawn[0]) for drawn in draws} == set(range(10))


def test_equal_seeds_draw_equally_and_others_do_not() -> None:
    first, again, other = (np.array(list(draw_frames(9, 2, 5, seed))) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize('frames, wanted', [(1, 1), (2, 2), (8, 2), (9, 3), (101, 5), (233, 7),
                                            (1000, 10), (1001, 11)])
def test_block_length(frames: int, wanted: int) -> None:
    assert block_length(frames) == wanted


def test_the_interval_holds_95_percent() -> None:
    values = np.append(np.arange(1001.0), [np.nan] * 50)
    assert percentile_interval(np.random.default_rng(0).permutation(values)) == \
        pytest.approx((25, 975))
    assert all(map(math.isnan, percentile_interval(np.array([np.nan]))))


def hits(right: np.ndarray) -> np.ndarray:
    """Let one class have one pixel a frame, so that mIoU is the share of right frames."""
    return np.stack([right, np.ones_like(right)], 1)[:, :, None].astype(np.int64)


def test_independent_frames_have_the_interval_of_a_share() -> None:
    right = np.random.default_rng(0).random(400) < 0.5
    low, high = miou_interval(hits(right))
    # 1.96 standard errors of a share, sqrt(p (1 - p) / 400), and some room for the draws
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / 20, rel=0.15)
    assert (low + high) / 2 == pytest.approx(right.mean(), abs=0.01)


def test_frames_like_their_neighbours_have_a_wider_interval() -> None:
    right = np.repeat(np.random.default_rng(1).random(50) < 0.5, 8)
    low, high = miou_interval(hits(right))
    assert block_length(400) == 8
    # as if 50 frames were there, and not 400
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(50), rel=0.25)


def test_frames_all_alike_leave_no_doubt() -> None:
    counts = np.repeat(random_counts(5, 1, 6), 12, 0)
    low, high = miou_interval(counts)
    assert low == high == pytest.approx(slow_miou(counts, np.arange(12)))


def test_frames_are_drawn_alike_for_both_of_a_difference() -> None:
    right = np.random.default_rng(2).random(300) < 0.5
    first = hits(right)
    second = np.concatenate([first, first[:1]])[1:]  # as good, but on other frames
    first[:, 1] *= 2
    second[:, 1] *= 2
    better = first.copy()
    better[:, 0] += 1
    # on every frame a half more: the difference is certain, though each by itself is not
    assert difference_interval(first, better) == pytest.approx((0.5, 0.5))
    assert difference_interval(better, first) == pytest.approx((-0.5, -0.5))
    low, high = difference_interval(first, second)
    assert low < 0 < high


@pytest.mark.parametrize('frames', [0, 1])
def test_one_frame_tells_nothing(frames: int) -> None:
    counts = hits(np.ones(frames))
    assert all(map(math.isnan, (*miou_interval(counts), *difference_interval(counts, counts))))


def test_other_frames_have_no_difference() -> None:
    with pytest.raises(ValueError, match=r'\(3, 2, 1\) and \(4, 2, 1\)'):
        difference_interval(hits(np.ones(3)), hits(np.ones(4)))
