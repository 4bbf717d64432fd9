"""The pixel contrast against a slow twin written from its definition."""
import math
from collections import Counter

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

import torch.nn.functional as F  # noqa: E402

from frm_seg_ros.core.label_space import IGNORE  # noqa: E402
from frm_seg_ros.training import contrast  # noqa: E402
from frm_seg_ros.training.contrast import (  # noqa: E402
    PROJECTION_WIDTH,
    Projection,
    contrast_of,
    draw_anchors,
    pixel_contrast,
)


def slow_contrast(embeddings, truth, temperature):
    """Follow the definition, one anchor, one positive and one negative after the other."""
    def exp_s(i, j):
        dot = sum(a * b for a, b in zip(embeddings[i], embeddings[j], strict=True))
        return math.exp(dot / temperature)

    losses = []
    for i in range(len(truth)):
        negatives = sum(exp_s(i, n) for n in range(len(truth)) if truth[n] != truth[i])
        terms = [math.log(exp_s(i, p) / (exp_s(i, p) + negatives))
                 for p in range(len(truth)) if p != i and truth[p] == truth[i]]
        if terms:
            losses.append(-sum(terms) / len(terms))
    return sum(losses) / len(losses) if losses else 0.0


def slow_gradient(embeddings, truth, temperature, step=1e-6):
    """Take central differences of the slow twin: error (step / temperature)^2 / 6, relative."""
    gradient = []
    for row in range(len(embeddings)):
        for column in range(len(embeddings[row])):
            ends = []
            for sign in (1, -1):
                moved = [list(each) for each in embeddings]
                moved[row][column] += sign * step
                ends.append(slow_contrast(moved, truth, temperature))
            gradient.append((ends[0] - ends[1]) / (2 * step))
    return torch.tensor(gradient, dtype=torch.float64).reshape(len(embeddings), -1)


def on_sphere(count, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, width, generator=generator, dtype=torch.float64), dim=1)


RANDOM = [torch.randint(0, 4, (9,), generator=torch.Generator().manual_seed(seed)).tolist()
          for seed in range(4)]


@pytest.mark.parametrize('temperature', [0.1, 0.5])
@pytest.mark.parametrize('truth', [*RANDOM, [0, 0, 0, 1, 1], [2, 2, 2, 7], [5, 5], [0, 1, 1, 9]])
def test_values_and_gradients_equal_the_definition(truth, temperature):
    embeddings = on_sphere(len(truth), 3, seed=len(truth)).requires_grad_()
    loss = pixel_contrast(embeddings, torch.tensor(truth), temperature)
    loss.backward()
    plain = embeddings.tolist()
    # Sums of at most 9 float64 terms on both sides.
    assert loss.item() == pytest.approx(slow_contrast(plain, truth, temperature), rel=1e-12)
    # Central differences: rounding of a loss of about 10 by 1e-16, divided by the step of 1e-6.
    torch.testing.assert_close(embeddings.grad, slow_gradient(plain, truth, temperature),
                               rtol=1e-7, atol=1e-8)


def test_the_classes_of_the_random_cases_are_mixed():
    counts = [Counter(truth) for truth in RANDOM]
    assert all(len(each) > 1 and max(each.values()) > 1 for each in counts)
    assert any(1 in each.values() for each in counts)


@pytest.mark.parametrize('truth', [[], [4], [3] * 5, [0, 1, 2, 3]])
def test_without_positive_or_negative_the_loss_is_zero(truth):
    embeddings = on_sphere(len(truth), 3).requires_grad_()
    loss = pixel_contrast(embeddings, torch.tensor(truth, dtype=torch.int64), 0.1)
    loss.backward()
    assert loss.item() == 0 == slow_contrast(embeddings.tolist(), truth, 0.1)
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


def test_a_class_of_one_anchor_pushes_but_is_not_averaged_over():
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    loss = pixel_contrast(embeddings, torch.tensor([0, 0, 1]), 0.5)
    # s = 2 within the pair and 0 to the third: -log(e^2 / (e^2 + 1)) for both anchors. float32.
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-6)


@pytest.mark.parametrize('truth', [RANDOM[0], [0, 1] * 4])
def test_a_low_temperature_does_not_overflow(truth):
    embeddings = on_sphere(len(truth), 2)
    embeddings[1] = embeddings[0]    # s = 100, whose exp is beyond float32
    leaf = embeddings.float().requires_grad_()
    loss = pixel_contrast(leaf, torch.tensor(truth), 0.01)
    loss.backward()
    # Similarities up to 100 in float32: each is rounded by 1e-5, which their exp turns into 1e-5
    # of itself; the gradient has a product of several of these.
    assert loss.item() == pytest.approx(slow_contrast(leaf.tolist(), truth, 0.01), rel=1e-5)
    right = slow_gradient(leaf.tolist(), truth, 0.01)
    torch.testing.assert_close(leaf.grad.double(), right, rtol=1e-4,
                               atol=1e-5 * right.abs().max().item())


# 3 classes: 100 pixels of each, of which `hard` are labelled wrongly.
def pixels_with(hard):
    truth = torch.arange(3).repeat_interleave(100)
    labels = truth.clone()
    for train_id, count in enumerate(hard):
        labels[100 * train_id:100 * train_id + count] = (train_id + 1) % 3
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    return truth[order], labels[order]


@pytest.mark.parametrize(('hard', 'drawn'), [
    ((50, 50, 50), [(10, 10)] * 3),
    ((4, 97, 50), [(4, 16), (17, 3), (10, 10)]),
    ((0, 100, 10), [(0, 20), (20, 0), (10, 10)]),
])
def test_equal_shares_half_of_them_hard_where_there_are_enough(hard, drawn):
    truth, labels = pixels_with(hard)
    chosen = draw_anchors(truth, labels, 62)    # 20 a class and 2 too many
    for train_id, wanted in enumerate(drawn):
        of_class = chosen[truth[chosen] == train_id]
        wrong = int((labels[of_class] != train_id).sum())
        assert (wrong, len(of_class) - wrong) == wanted


def test_a_small_class_gives_all_it_has():
    truth = torch.tensor([0] * 50 + [1] * 5)
    chosen = draw_anchors(truth, torch.zeros(55, dtype=torch.int64), 40)
    assert Counter(truth[chosen].tolist()) == {0: 20, 1: 5}


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('samples', [2, 16, 37, 1000])
def test_never_ignored_never_twice_never_too_many(seed, samples):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, 5, (200,), generator=generator)
    labels = torch.randint(0, 5, (200,), generator=generator)
    truth[torch.rand(200, generator=generator) < 0.3] = IGNORE
    labels[:20] = IGNORE    # even where the prediction would agree with the truth
    chosen = draw_anchors(truth, labels, samples)
    assert chosen.dtype == torch.int64
    assert (truth[chosen] != IGNORE).all()
    assert len(chosen.unique()) == len(chosen) <= samples
    assert (len(chosen) > 0) == (samples >= 5)
    if samples == 1000:
        assert len(chosen) == (truth != IGNORE).sum()


def test_nothing_is_drawn_where_all_is_ignored():
    truth = torch.full((7,), IGNORE)
    chosen = draw_anchors(truth, truth, 10)
    assert chosen.dtype == torch.int64 and len(chosen) == 0


def test_the_draw_follows_the_seed():
    truth, labels = pixels_with((50, 50, 50))
    draws = []
    for seed in (3, 3, *range(10, 50)):
        torch.manual_seed(seed)
        draws.append(draw_anchors(truth, labels, 60))
    assert torch.equal(draws[0], draws[1])
    # 42 draws of 20 out of 100: a pixel is in none with probability 0.8^41, 300 pixels: 3 %.
    assert len(torch.cat(draws).unique()) > 290


def slow_grid(truth, height, width):
    """Look up the pixel in which the centre of each cell of a height x width grid lies."""
    rows, columns = len(truth), len(truth[0])
    return [truth[(2 * i + 1) * rows // (2 * height)][(2 * j + 1) * columns // (2 * width)]
            for i in range(height) for j in range(width)]


def test_truth_is_taken_where_the_centres_of_the_cells_lie(monkeypatch):
    seen = []
    monkeypatch.setattr(contrast, 'draw_anchors',
                        lambda truth, *rest: seen.append(truth) or draw_anchors(truth, *rest))
    values = torch.arange(11 * 13, dtype=torch.uint8).reshape(11, 13)  # no centre on a border
    truth = torch.stack([values, values.flip(0, 1)])
    truth[0, 5] = IGNORE
    embeddings = on_sphere(2 * 3 * 4, 6).reshape(2, 3, 4, 6).permute(0, 3, 1, 2)
    contrast_of(embeddings, torch.zeros(2, 3, 3, 4), truth, 50, 0.1)
    wanted = [value for each in truth.tolist() for value in slow_grid(each, 3, 4)]
    assert seen[0].tolist() == wanted
    assert IGNORE in seen[0]


def test_the_whole_equals_the_definition_on_the_anchors_drawn():
    torch.manual_seed(8)
    truth = torch.randint(0, 3, (2, 11, 13), dtype=torch.uint8)
    truth[:, 4:6, :7] = IGNORE
    logits = torch.randn(2, 3, 3, 4)
    embeddings = on_sphere(24, 5).reshape(2, 3, 4, 5).permute(0, 3, 1, 2).requires_grad_()
    torch.manual_seed(9)
    loss = contrast_of(embeddings, logits, truth, 12, 0.2)
    loss.backward()

    coarse = [value for each in truth.tolist() for value in slow_grid(each, 3, 4)]
    labels = [logits[n, :, i, j].argmax() for n in range(2) for i in range(3) for j in range(4)]
    rows = [embeddings[n, :, i, j].tolist() for n in range(2) for i in range(3) for j in range(4)]
    torch.manual_seed(9)
    anchors = draw_anchors(torch.tensor(coarse), torch.tensor(labels), 12).tolist()
    assert 6 < len(anchors) <= 12
    chosen, ids = [rows[a] for a in anchors], [coarse[a] for a in anchors]
    assert loss.item() == pytest.approx(slow_contrast(chosen, ids, 0.2), rel=1e-12)
    right = torch.zeros(24, 5, dtype=torch.float64)
    right[anchors] = slow_gradient(chosen, ids, 0.2)
    # As above: of central differences.
    torch.testing.assert_close(embeddings.grad.permute(0, 2, 3, 1).reshape(24, 5), right,
                               rtol=1e-7, atol=1e-8)


def test_a_batch_without_any_truth_has_no_contrast():
    embeddings = on_sphere(12, 5).reshape(1, 3, 4, 5).permute(0, 3, 1, 2).requires_grad_()
    truth = torch.full((1, 12, 16), IGNORE, dtype=torch.uint8)
    loss = contrast_of(embeddings, torch.zeros(1, 3, 3, 4), truth, 50, 0.1)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


def test_projections_are_float32_of_length_one_also_under_autocast():
    torch.manual_seed(0)
    with torch.autocast('cpu', torch.bfloat16):
        embeddings = Projection(8)(torch.randn(2, 8, 5, 6))
    assert embeddings.shape == (2, PROJECTION_WIDTH, 5, 6)
    assert embeddings.dtype == torch.float32
    # A float32 root of 256 squares.
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2, 5, 6), rtol=1e-5, atol=0)
