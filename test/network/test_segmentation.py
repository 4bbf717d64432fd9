"""The whole network: counts, sizes, arguments."""
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.network.segmentation import VARIANTS, FrmNetwork, build_network, count_macs  # noqa: E402

# Millions of parameters with 19 classes, and GMAC at 1024x2048; both counted once by hand.
COUNTS = {'frm_b0': (11.186, 214.27), 'frm_b0_fast': (4.817, 54.49),
          'frm_b1': (30.328, 308.27), 'frm_b2': (43.045, 412.65)}


@pytest.mark.parametrize('variant', VARIANTS)
def test_parameters_and_macs(variant):
    with torch.device('meta'):
        network = FrmNetwork(classes=19, **VARIANTS[variant])
    millions, giga = COUNTS[variant]
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=1e-3)
    # 0.2 %: the published figure of the paper, 214.82, was counted by another tool.
    assert count_macs(network, 1024, 2048) / 1e9 == pytest.approx(giga, rel=2e-3)


def test_a_convolution_is_counted_as_the_textbook_has_it():
    with torch.device('meta'):
        layer = torch.nn.Conv2d(3, 5, 3, padding=1)
    assert count_macs(layer, 10, 20) == 10 * 20 * 3 * 5 * 9


@pytest.mark.parametrize('size', [(64, 64), (97, 131), (360, 480), (375, 1242)])
def test_every_size_gives_logits_at_a_quarter_rounded_up(size):
    torch.manual_seed(0)
    network = FrmNetwork(classes=7, **VARIANTS['frm_b0_fast']).eval()
    with torch.inference_mode():
        logits = network(torch.randn(1, 3, *size))
    assert logits.shape == (1, 7, -(-size[0] // 4), -(-size[1] // 4))
    assert logits.isfinite().all()


@pytest.mark.parametrize('variant', VARIANTS)
def test_every_variant_takes_the_smallest_size(variant):
    network = FrmNetwork(classes=2, **VARIANTS[variant]).eval()
    with torch.inference_mode():
        assert network(torch.randn(2, 3, 64, 64)).shape == (2, 2, 16, 16)


def test_wrong_architecture_is_refused_in_one_sentence():
    with pytest.raises(ConfigError, match='no backbone is called'):
        build_network({**VARIANTS['frm_b0'], 'classes': 3, 'backbone': 'b9'})
    with pytest.raises(ConfigError, match='smoth'):
        build_network({**VARIANTS['frm_b0'], 'classes': 3, 'smoth': True})
