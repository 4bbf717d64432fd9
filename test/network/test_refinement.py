"""The refinement module against slow formulas."""
import math

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from frm_seg_ros.network.refinement import TEMPERATURE, DisentangledNonLocal, FeatureRefinement  # noqa: E402


def slow_dnl(module, x):
    """Compute DNL's definition position by position (Yin et al., 2020, equations 9 to 12).

    w(x_i, x_j) = softmax_j((q_i - mean q) . (k_j - mean k)) + softmax_j(m_j), over v_j; the
    pairwise logits are divided by sqrt(inner) and the temperature.
    """
    def project(layer, vector):
        return layer.weight[:, :, 0, 0] @ vector + layer.bias

    positions = [x[:, i, j] for i in range(x.shape[1]) for j in range(x.shape[2])]
    q, k, v, m = ([project(layer, p) for p in positions]
                  for layer in (module.query, module.key, module.value, module.unary))
    mean_q, mean_k = sum(q) / len(q), sum(k) / len(k)
    whole = sum(math.exp(each) for each in m)
    result = []
    for i in range(len(positions)):
        logits = [float((q[i] - mean_q) @ (k[j] - mean_k)) / (math.sqrt(len(q[i])) * TEMPERATURE)
                  for j in range(len(positions))]
        largest = max(logits)
        exponents = [math.exp(each - largest) for each in logits]
        y = sum((e / sum(exponents) + math.exp(m[j]) / whole) * v[j]
                for j, e in enumerate(exponents))
        y = module.out.weight[:, :, 0, 0] @ y
        norm = module.norm
        y = (y - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps)
        result.append(y * norm.weight + norm.bias)
    return torch.stack(result, 1).reshape(-1, *x.shape[1:])


def test_dnl_equals_the_formula():
    torch.manual_seed(0)
    module = DisentangledNonLocal(6, 4).eval()
    for tensor in (*module.parameters(), module.norm.running_mean):
        torch.nn.init.normal_(tensor, std=0.5)
    x = torch.randn(2, 6, 3, 5)
    with torch.no_grad():
        y = module(x)
        for n in range(2):
            # float32 sums of about 15 terms of size 1.
            torch.testing.assert_close(y[n], slow_dnl(module, x[n]), rtol=1e-4, atol=1e-5)


def test_attention_stays_float32_under_autocast():
    torch.manual_seed(0)
    module = DisentangledNonLocal(8, 8).eval()
    seen = []
    original = torch.Tensor.softmax

    def watched(self, *args, **kwargs):
        seen.append(self.dtype)
        return original(self, *args, **kwargs)

    torch.Tensor.softmax = watched
    try:
        with torch.autocast('cpu', torch.bfloat16), torch.no_grad():
            module(torch.randn(1, 8, 4, 4))
    finally:
        torch.Tensor.softmax = original
    assert seen == [torch.float32, torch.float32]


@pytest.mark.parametrize(('width', 'out'), [(None, 20), (8, 8)])
def test_refinement_pools_every_stage_to_the_last(width, out):
    torch.manual_seed(0)
    module = FeatureRefinement((4, 4, 4, 8), width, 8, 2).eval()
    sizes = [(45, 60), (23, 30), (12, 15), (6, 8)]  # of a 180x240 image
    features = [torch.randn(1, c, *size) for c, size in zip((4, 4, 4, 8), sizes, strict=True)]
    captured = []
    module.reduce.register_forward_pre_hook(lambda _, inputs: captured.append(inputs[0]))
    y = module(features)
    assert y.shape == (1, out, 6, 8)
    joined = captured[0]
    for index, pool in enumerate((8, 4, 2)):
        corner = features[index][:, :, 5 * pool:, 7 * pool:]  # the last window, cut by the border
        torch.testing.assert_close(joined[:, 4 * index:4 * index + 4, 5, 7], corner.mean((2, 3)))
    assert torch.equal(joined[:, 12:], features[3])
