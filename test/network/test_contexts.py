"""The alternatives to the refinement module against slow twins; the module itself unchanged."""
import math

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from safetensors.torch import load_file  # noqa: E402

from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.core.model_card import WEIGHTS, ModelCard, find_model  # noqa: E402
from frm_seg_ros.network import refinement  # noqa: E402
from frm_seg_ros.network.contexts import CONTEXTS, NonLocal, PyramidPooling  # noqa: E402
from frm_seg_ros.network.segmentation import VARIANTS, build_network, count_macs  # noqa: E402
from frm_seg_ros.network.weights import load_network  # noqa: E402

WIDTHS = (4, 4, 4, 8)
SIZES = [(45, 60), (23, 30), (12, 15), (6, 8)]  # of a 180x240 image
# What each adds to frm_b0_fast without any: parameters, and MACs at 360x480, where stride 32 has
# 180 positions; by hand. The last stage is 256 wide, all four 512, output 256, attention 128.
BLOCK = 4 * 256 * 128 + 2 * 256 * 512                   # matrices of attention and feed-forward
VECTORS = 3 * 2 * 256 + 3 * 128 + 512 + 256             # 3 norms, biases of both
ATTENDING = 2 * 180 * 180 * 128
COUNTS = {
    'frm': (512 * 256 + 512 + BLOCK + VECTORS + 257, 180 * (512 * 256 + BLOCK + 256) + ATTENDING),
    'frm_nonlocal': (512 * 256 + 512 + BLOCK + VECTORS, 180 * (512 * 256 + BLOCK) + ATTENDING),
    'frm_f4': (256 * 256 + 512 + BLOCK + VECTORS + 257,
               180 * (256 * 256 + BLOCK + 256) + ATTENDING),
    'ppm': (4 * (256 * 64 + 128) + 9 * 512 * 256 + 512, 50 * 256 * 64 + 180 * 9 * 512 * 256),
    'none': (0, 0),
}


def stages():
    return [torch.randn(2, width, *size) for width, size in zip(WIDTHS, SIZES, strict=True)]


def scrambled(module):
    """Draw all weights and statistics, so that no norm or bias is idle."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            torch.nn.init.uniform_(tensor, 0.2, 0.8)
    return module.eval()


def normed(norm, y):
    y = (y - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps)
    return y * norm.weight + norm.bias


def slow_non_local(module, x):
    """Compute y_i = sum_j softmax_j(q_i . k_j / sqrt(inner)) v_j position by position."""
    positions = [x[:, i, j] for i in range(x.shape[1]) for j in range(x.shape[2])]
    q, k, v = ([layer.weight[:, :, 0, 0] @ p + layer.bias for p in positions]
               for layer in (module.query, module.key, module.value))
    result = []
    for each in q:
        exponents = [math.exp(float(each @ other) / math.sqrt(len(each))) for other in k]
        y = sum(e * value for e, value in zip(exponents, v, strict=True)) / sum(exponents)
        result.append(normed(module.norm, module.out.weight[:, :, 0, 0] @ y))
    return torch.stack(result, 1).reshape(-1, *x.shape[1:])


def test_non_local_equals_the_formula():
    torch.manual_seed(0)
    module = scrambled(NonLocal(6, 4))
    x = torch.randn(2, 6, 3, 5)
    with torch.no_grad():
        y = module(x)
        assert y.std() > 0.1
        for n in range(2):
            # float32 sums of about 15 terms of size 1.
            torch.testing.assert_close(y[n], slow_non_local(module, x[n]), rtol=1e-4, atol=1e-5)


def test_frm_nonlocal_differs_from_the_frm_in_the_attention_only():
    torch.manual_seed(0)
    args = (WIDTHS, 6, 4, 2)
    plain, frm = (scrambled(CONTEXTS[name](*args)) for name in ('frm_nonlocal', 'frm'))
    assert isinstance(plain.attention, NonLocal)
    assert isinstance(frm.attention, refinement.DisentangledNonLocal)
    frm.load_state_dict(plain.state_dict(), strict=False)
    frm.attention = plain.attention
    features = stages()
    assert torch.equal(plain(features), frm(features))


def slow_means(x, count):
    """Average (N, C, H, W) over count x count parts, which overlap where sizes do not divide."""
    height, width = x.shape[2:]
    return torch.stack([torch.stack([
        x[:, :, i * height // count:-(-(i + 1) * height // count),
          j * width // count:-(-(j + 1) * width // count)].mean((2, 3))
        for j in range(count)], 2) for i in range(count)], 2)


@pytest.mark.parametrize('size', [(12, 15), (6, 8), (2, 2)])
def test_pyramid_pooling_equals_explicit_means(size):
    torch.manual_seed(0)
    module = scrambled(PyramidPooling(WIDTHS, 5))
    x = torch.randn(2, 8, *size)
    joined = [x]
    with torch.no_grad():
        for count, part in zip((1, 2, 3, 6), module.parts, strict=True):
            y = torch.einsum('oc,nchw->nhwo', part[1].weight[:, :, 0, 0], slow_means(x, count))
            y = normed(part[2], y).clamp(min=0).permute(0, 3, 1, 2)
            joined.append(torch.nn.functional.interpolate(y, size, mode='bilinear'))
        y = torch.nn.functional.conv2d(torch.cat(joined, 1), module.join[0].weight, padding=1)
        y = normed(module.join[1], y.permute(0, 2, 3, 1)).clamp(min=0).permute(0, 3, 1, 2)
        # float32 sums of about 150 terms of size 1.
        torch.testing.assert_close(module([None, None, None, x]), y, rtol=1e-4, atol=1e-4)
    assert y.std() > 0.1


@pytest.mark.parametrize(('name', 'entering'), [
    ('frm', [0, 1, 2, 3]), ('frm_nonlocal', [0, 1, 2, 3]), ('frm_f4', [3]), ('ppm', [3]),
    ('none', [3])])
def test_only_its_stages_enter(name, entering):
    torch.manual_seed(0)
    module = CONTEXTS[name](WIDTHS, 6, 4, 2).eval()
    features = stages()
    with torch.no_grad():
        y = module(features)
        for stage in range(4):
            moved = [x + (index == stage) * torch.randn_like(x)
                     for index, x in enumerate(features)]
            assert torch.equal(module(moved), y) == (stage not in entering), stage


@pytest.mark.parametrize('width', [None, 6])
@pytest.mark.parametrize('name', CONTEXTS)
def test_width_is_that_of_the_output(name, width):
    module = CONTEXTS[name](WIDTHS, width, 4, 2).eval()
    y = module(stages())
    assert y.shape == (2, module.width, *SIZES[3])
    assert module.width == (8 if name == 'none' else width or sum(WIDTHS))


def test_none_is_the_identity():
    features = stages()
    assert CONTEXTS['none'](WIDTHS, 6, 4, 2)(features) is features[3]


def test_frm_f4_is_the_block_on_the_reduced_last_stage():
    torch.manual_seed(0)
    module = scrambled(CONTEXTS['frm_f4'](WIDTHS, 6, 4, 2))
    x = torch.randn(2, 8, 3, 5)
    with torch.no_grad():
        y = torch.einsum('oc,nchw->nhwo', module.reduce[0].weight[:, :, 0, 0], x)
        y = normed(module.reduce[1], y).permute(0, 3, 1, 2)
        y = y + module.attention(module.norm1(y))
        y = y + module.feed_forward(module.norm2(y))
        # The 1x1 convolution sums 8 float32 terms in another order.
        torch.testing.assert_close(module([None, None, None, x]), y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', CONTEXTS)
def test_every_context_trains_and_takes_odd_sizes(name):
    torch.manual_seed(0)
    network = build_network({**VARIANTS['frm_b0_fast'], 'classes': 3, 'context': name})
    network(torch.randn(2, 3, 67, 95)).sum().backward()
    idle = [key for key, value in network.named_parameters() if value.grad is None]
    assert not idle    # a parameter without gradient stops training on several GPUs
    with torch.inference_mode():
        assert network.eval()(torch.randn(1, 3, 67, 95)).shape == (1, 3, 17, 24)


def counts_of(name):
    with torch.device('meta'):
        network = build_network({**VARIANTS['frm_b0_fast'], 'classes': 11, 'context': name})
    return sum(p.numel() for p in network.parameters()), count_macs(network, 360, 480)


@pytest.mark.parametrize('name', CONTEXTS)
def test_parameters_and_macs(name):
    base, found = counts_of('none'), counts_of(name)
    assert (found[0] - base[0], found[1] - base[1]) == COUNTS[name]


def test_an_unknown_context_is_refused_in_one_sentence():
    with pytest.raises(ConfigError, match="no context is called 'pmm': take one of frm, "):
        build_network({**VARIANTS['frm_b0_fast'], 'classes': 3, 'context': 'pmm'})


def slow_refinement(module, features):
    """Follow the module as the shipped weights were trained: pool, join, reduce, one block."""
    pooled = [torch.nn.functional.avg_pool2d(x, pool, pool, 0, True, False)
              for x, pool in zip(features, (8, 4, 2), strict=False)]
    x = module.reduce(torch.cat([*pooled, features[3]], 1))
    x = x + module.attention(module.norm1(x))
    return x + module.feed_forward(module.norm2(x))


def test_shipped_weights_load_key_by_key_into_the_module_they_were_trained_in():
    card = ModelCard.load(find_model('frm_b0_fast'))
    assert 'context' not in card.architecture
    network = load_network(card)
    shipped = load_file(card.file(WEIGHTS))
    keys = {key for key in network.state_dict() if not key.endswith('num_batches_tracked')}
    assert keys == set(shipped)
    # The optimiser's state in a checkpoint goes by the order of the parameters.
    order = [key for key, _ in network.refinement.named_parameters()]
    attention = [key.split('.')[1] for key in order if key.startswith('attention.')]
    assert list(dict.fromkeys(attention)) == ['query', 'key', 'value', 'unary', 'out', 'norm']
    torch.manual_seed(0)
    with torch.inference_mode():
        features = network.backbone(torch.randn(1, 3, 75, 100))
        right = slow_refinement(network.refinement, features)
        assert torch.equal(network.refinement(features), right)
        levels = network.pyramid([*features[:3], right])
        logits = network.head.classify(network.head.join(levels))
        torch.manual_seed(0)
        assert torch.equal(network(torch.randn(1, 3, 75, 100)), logits)
