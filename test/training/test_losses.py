"""The hybrid loss against torch's own cross entropy and slow twins."""
import math

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

import torch.nn.functional as F  # noqa: E402
from training_config import config_with  # noqa: E402

from frm_seg_ros.core.label_space import IGNORE  # noqa: E402
from frm_seg_ros.training.contrast import contrast_of  # noqa: E402
from frm_seg_ros.training.losses import cross_entropy, hybrid_loss  # noqa: E402

WEIGHTS = torch.tensor([0.5, 1.0, 4.0, 2.5], dtype=torch.float64)


def random_case(seed):
    """Draw logits (2, 4, 5, 7) float64 and truth with about a quarter ignored."""
    torch.manual_seed(seed)
    logits = (2 * torch.randn(2, 4, 5, 7, dtype=torch.float64)).requires_grad_()
    truth = torch.randint(0, 4, (2, 5, 7), dtype=torch.uint8)
    truth[torch.rand(2, 5, 7) < 0.25] = IGNORE
    return logits, truth


def slow_ohem(logits, truth, weights, threshold):
    """Go through the pixels; count those of p <= threshold and the hardest tenth."""
    pixels = []
    for n, i, j in (truth != IGNORE).nonzero().tolist():
        train_id = int(truth[n, i, j])
        exponents = logits[n, :, i, j].exp()
        log_p = (exponents[train_id] / exponents.sum()).log()
        pixels.append((log_p, 1.0 if weights is None else weights[train_id]))
    pixels.sort(key=lambda pixel: pixel[0].item())
    tenth = max(1, round(len(pixels) / 10))
    kept = [pixel for place, pixel in enumerate(pixels)
            if place < tenth or math.exp(pixel[0].item()) <= threshold]
    return -sum(w * log_p for log_p, w in kept) / sum(w for _, w in kept), len(kept), tenth


@pytest.mark.parametrize('weights', [None, WEIGHTS])
@pytest.mark.parametrize('seed', range(3))
def test_without_mining_it_is_the_cross_entropy_of_torch(seed, weights):
    logits, truth = random_case(seed)
    loss = cross_entropy(logits, truth, weights, 0.0)
    right = F.cross_entropy(logits, truth.long(), weights, ignore_index=IGNORE)
    found = torch.autograd.grad(loss, logits)[0]
    wanted = torch.autograd.grad(right, logits)[0]
    # Both are sums of 70 float64 terms, in another order.
    torch.testing.assert_close(loss, right, rtol=1e-12, atol=0)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-15)
    assert wanted.abs().max() > 0.01


@pytest.mark.parametrize('weights', [None, WEIGHTS])
@pytest.mark.parametrize('threshold', [1e-9, 0.1, 0.7])
@pytest.mark.parametrize('seed', range(2))
def test_mining_counts_what_the_definition_counts(seed, threshold, weights):
    logits, truth = random_case(seed)
    with torch.no_grad():    # wherever ignored pixels might be taken for class 0, they are hard
        logits[:, 0] -= 20 * (truth == IGNORE)
    loss = cross_entropy(logits, truth, weights, threshold)
    right, kept, tenth = slow_ohem(logits, truth, weights, threshold)
    assert kept == tenth if threshold == 1e-9 else tenth < kept < (truth != IGNORE).sum()
    found = torch.autograd.grad(loss, logits)[0]
    wanted = torch.autograd.grad(right, logits)[0]
    # Sums of at most 70 float64 terms, in another order.
    torch.testing.assert_close(loss, right, rtol=1e-12, atol=0)
    torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-15)
    assert (found.abs().sum(1) > 0).sum() == kept
    assert not found.abs().sum(1)[truth == IGNORE].any()


def test_mining_with_threshold_one_counts_all():
    logits, truth = random_case(5)
    # Sums of 70 float64 terms.
    torch.testing.assert_close(cross_entropy(logits, truth, None, 1.0),
                               cross_entropy(logits, truth, None, 0.0), rtol=1e-12, atol=0)


@pytest.mark.parametrize('weights', [None, WEIGHTS])
@pytest.mark.parametrize('threshold', [0.0, 0.7])
def test_where_all_is_ignored_the_loss_is_zero(threshold, weights):
    logits, truth = random_case(0)
    loss = cross_entropy(logits, torch.full_like(truth, IGNORE), weights, threshold)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def hybrid_case():
    torch.manual_seed(2)
    logits = torch.randn(2, 4, 3, 4, requires_grad=True)
    embeddings = F.normalize(torch.randn(2, 6, 3, 4), dim=1).requires_grad_()
    truth = torch.randint(0, 4, (2, 11, 13), dtype=torch.uint8)
    truth[0, :4] = IGNORE
    return logits, embeddings, truth


@pytest.mark.parametrize('threshold', [0.0, 0.3])
def test_the_terms_are_cross_entropy_at_full_size_and_weighted_contrast(threshold):
    logits, embeddings, truth = hybrid_case()
    weights = WEIGHTS.float()
    config = config_with(ohem_threshold=threshold, contrast_weight=0.25, contrast_samples=16,
                         contrast_temperature=0.3, contrast_warm_up=5)
    torch.manual_seed(4)
    entropy, contrast = hybrid_loss(logits, embeddings, truth, weights, config, 5)
    full = F.interpolate(logits, size=(11, 13), mode='bilinear', align_corners=False)
    # The same operations on the same numbers.
    torch.testing.assert_close(entropy, cross_entropy(full, truth, weights, threshold))
    torch.manual_seed(4)
    torch.testing.assert_close(contrast, 0.25 * contrast_of(embeddings, logits, truth, 16, 0.3))
    assert contrast > 0.01
    (entropy + contrast).backward()
    assert logits.grad.abs().max() > 0 and embeddings.grad.abs().max() > 0


def test_the_contrast_grows_linearly_during_its_warm_up():
    logits, embeddings, truth = hybrid_case()

    def at(step, warm_up):
        config = config_with(contrast_weight=0.1, contrast_samples=1000, contrast_warm_up=warm_up)
        torch.manual_seed(0)
        return hybrid_loss(logits, embeddings, truth, None, config, step)[1].item()

    whole = at(0, 0)
    assert whole > 0.01
    # The same sum times a float32 factor.
    assert [at(step, 500) / whole for step in (0, 100, 250, 499, 500, 9000)] == pytest.approx(
        [0, 0.2, 0.5, 0.998, 1, 1], rel=1e-6)


def test_without_projection_there_is_no_contrast():
    logits, embeddings, truth = hybrid_case()
    config = config_with(contrast_weight=0.1, contrast_warm_up=0)
    entropy, contrast = hybrid_loss(logits, None, truth, None, config, 100)
    assert contrast.item() == 0
    assert entropy.item() == hybrid_loss(logits, embeddings, truth, None, config, 100)[0].item()


def test_half_precision_logits_lose_nothing_more():
    logits, embeddings, truth = hybrid_case()
    config = config_with(contrast_weight=0.1)
    half = logits.bfloat16()
    entropy, contrast = hybrid_loss(half, embeddings, truth, None, config, 100)
    assert entropy.dtype == contrast.dtype == torch.float32
    assert entropy.item() == hybrid_loss(half.float(), None, truth, None, config, 100)[0].item()
