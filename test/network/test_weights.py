"""What a training starts from."""
from dataclasses import replace

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.core.files import sha256  # noqa: E402
from frm_seg_ros.core.model_card import WEIGHTS, ModelCard, find_model  # noqa: E402
from frm_seg_ros.network.segmentation import VARIANTS, build_network  # noqa: E402
from frm_seg_ros.network.van import Van  # noqa: E402
from frm_seg_ros.network.weights import load_network, save_weights, start_from  # noqa: E402


def network_with(classes=3, variant='frm_b0_fast'):
    return build_network({**VARIANTS[variant], 'classes': classes})


def copy_of(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


def same_keys(first, second):
    return {key for key in first if torch.equal(first[key], second[key])}


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """Write a model folder of three classes with random weights and statistics."""
    folder = tmp_path_factory.mktemp('three')
    torch.manual_seed(1)
    network = network_with()
    for buffer in network.buffers():
        if buffer.is_floating_point():
            torch.nn.init.uniform_(buffer, 0.5, 1.5)
    save_weights(network, folder / WEIGHTS)
    shipped = ModelCard.load(find_model('frm_b0_fast'))
    replace(shipped, folder=folder, name='three', files={WEIGHTS: sha256(folder / WEIGHTS)},
            architecture={**VARIANTS['frm_b0_fast'], 'classes': 3}).save()
    return folder


def test_a_model_of_the_same_classes_is_taken_over_whole(model):
    torch.manual_seed(2)
    network = network_with().train()
    before = copy_of(network)
    start_from(network, str(model))
    after, wanted = network.state_dict(), load_network(ModelCard.load(model)).state_dict()
    assert same_keys(after, wanted) == set(wanted)
    assert not torch.equal(before['head.classify.weight'], after['head.classify.weight'])
    assert network.training and all(p.requires_grad for p in network.parameters())


def test_with_other_classes_all_but_the_classifier_is_taken_over(model):
    torch.manual_seed(2)
    network = network_with(classes=5)
    before = copy_of(network)
    start_from(network, str(model))
    after, wanted = network.state_dict(), load_network(ModelCard.load(model)).state_dict()
    own = {'head.classify.weight', 'head.classify.bias'}
    assert set(wanted) - own <= same_keys(after, {**wanted, **{key: before[key] for key in own}})
    assert own <= same_keys(after, before)


def test_the_name_of_a_shipped_model_will_do():
    network = network_with(classes=11)
    start_from(network, 'frm_b0_fast')
    wanted = load_network(ModelCard.load(find_model('frm_b0_fast'))).state_dict()
    assert same_keys(network.state_dict(), wanted) == set(wanted)


@pytest.mark.parametrize(('variant', 'changes'), [
    ('frm_b0', {}), ('frm_b0_fast', {'smooth': False}), ('frm_b0_fast', {'context': 'ppm'})])
def test_another_variant_is_refused_and_nothing_is_loaded(model, variant, changes):
    network = build_network({**VARIANTS[variant], 'classes': 3, **changes})
    before = copy_of(network)
    sentence = (r'three\d does not fit this network: \d+ tensors differ, such as [\w.]+; '
                'choose a model of the same variant$')
    with pytest.raises(ConfigError, match=sentence):
        start_from(network, str(model))
    assert same_keys(network.state_dict(), before) == set(before)


@pytest.mark.parametrize('name', ['van_b0.pth', 'van_b0.pth.tar', 'van_b0.pt'])
def test_a_published_file_is_for_the_backbone(tmp_path, monkeypatch, name):
    torch.manual_seed(3)
    origin = Van('b0').state_dict()
    torch.save({'state_dict': {**origin, 'head.weight': torch.zeros(1000, 256),
                               'head.bias': torch.zeros(1000)}}, tmp_path / name)
    network = network_with()
    before = copy_of(network)
    monkeypatch.setenv('HOME', str(tmp_path))
    start_from(network, f'~/{name}')
    after = network.state_dict()
    assert same_keys(network.backbone.state_dict(), origin) == set(origin)
    rest = {key for key in before if not key.startswith('backbone.')}
    assert rest <= same_keys(after, before)
    assert not torch.equal(before['backbone.patch_embed1.proj.weight'],
                           after['backbone.patch_embed1.proj.weight'])


def test_a_published_file_of_another_size_is_refused(tmp_path):
    torch.save({'state_dict': Van('b1').state_dict()}, tmp_path / 'van_b1.pth')
    with pytest.raises(ConfigError, match='does not fit this backbone'):
        start_from(network_with(), str(tmp_path / 'van_b1.pth'))


def test_code_in_a_file_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / 'written'), 'w'))

    torch.save({'state_dict': {'patch_embed1.proj.weight': Bomb()}}, tmp_path / 'bomb.pth')
    with pytest.raises(ConfigError, match='cannot be read as a weight file'):
        start_from(network_with(), str(tmp_path / 'bomb.pth'))
    assert not (tmp_path / 'written').exists()


@pytest.mark.parametrize('init', ['nowhere', 'nowhere.pth'])
def test_what_is_not_there_is_one_sentence(init, tmp_path):
    with pytest.raises(ConfigError, match='nowhere'):
        start_from(network_with(), str(tmp_path / init))


def test_nothing_to_start_from_changes_nothing():
    network = network_with()
    before = copy_of(network)
    start_from(network, '')
    assert same_keys(network.state_dict(), before) == set(before)
