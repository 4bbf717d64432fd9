"""The backbone against the published counts and keys."""
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.network.van import SIZES, DropPath, Van, load_published_weights  # noqa: E402

# Millions of parameters with a classifier of 1000 classes (VAN paper, table 3), and entries of the
# official checkpoints without it, counters of batch norms included.
PUBLISHED = {'b0': (4.11, 400), 'b1': (13.86, 316), 'b2': (26.58, 624), 'b3': (44.77, 1100)}


@pytest.mark.parametrize('size', SIZES)
def test_parameters_and_keys_are_the_published_ones(size):
    with torch.device('meta'):
        backbone = Van(size)
    millions, entries = PUBLISHED[size]
    classifier = 1000 * backbone.widths[-1] + 1000
    count = sum(p.numel() for p in backbone.parameters()) + classifier
    assert round(count / 1e6, 2) == millions
    assert len(backbone.state_dict()) == entries


def test_keys_are_named_as_in_official_checkpoints():
    with torch.device('meta'):
        keys = set(Van('b0').state_dict())
    wanted = {
        'patch_embed1.proj.weight', 'patch_embed4.norm.running_mean', 'norm4.bias',
        'block1.0.norm1.num_batches_tracked', 'block3.4.layer_scale_1', 'block4.1.layer_scale_2',
        'block2.2.attn.proj_1.bias', 'block2.2.attn.proj_2.weight',
        'block1.2.attn.spatial_gating_unit.conv0.weight',
        'block1.2.attn.spatial_gating_unit.conv_spatial.weight',
        'block1.2.attn.spatial_gating_unit.conv1.bias',
        'block1.0.mlp.fc1.weight', 'block1.0.mlp.dwconv.dwconv.weight', 'block1.0.mlp.fc2.bias'}
    assert wanted <= keys


def published_file(tmp_path, change=lambda state: None):
    """Write a file in the form of the published ones; return it with the backbone it is of."""
    backbone = Van('b0')
    state = backbone.state_dict()
    state = {**state, 'head.weight': torch.zeros(1000, 256), 'head.bias': torch.zeros(1000)}
    change(state)
    path = tmp_path / 'van_b0.pth'
    torch.save({'state_dict': state}, path)
    return path, backbone


def test_published_file_loads_and_its_classifier_is_left_out(tmp_path):
    path, origin = published_file(tmp_path)
    backbone = Van('b0')
    load_published_weights(backbone, path)
    for key, value in origin.state_dict().items():
        assert torch.equal(value, backbone.state_dict()[key]), key


@pytest.mark.parametrize(('change', 'words'), [
    (lambda state: state.pop('norm1.bias'), 'norm1.bias is missing'),
    (lambda state: state.update(extra=torch.zeros(1)), 'extra is unexpected'),
    (lambda state: state.update({'norm1.bias': torch.zeros(3)}), r'norm1.bias has shape \(3,\)'),
])
def test_a_file_that_does_not_fit_is_refused(tmp_path, change, words):
    path, _ = published_file(tmp_path, change)
    with pytest.raises(ConfigError, match=words):
        load_published_weights(Van('b0'), path)


def test_code_in_a_weight_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / 'written'), 'w'))

    path = tmp_path / 'evil.pth'
    torch.save({'state_dict': Evil()}, path)
    with pytest.raises(ConfigError, match='cannot be read as a weight file'):
        load_published_weights(Van('b0'), path)
    assert not (tmp_path / 'written').exists()


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    layer = DropPath(0.25).train()
    x = torch.ones(4000, 2, 1, 1)
    y = layer(x)
    assert set(y.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert torch.equal(y[:, 0], y[:, 1])
    assert abs(y.mean().item() - 1) < 0.03  # 3 standard deviations of the mean of 4000 draws
    assert torch.equal(layer.eval()(x), x)
