"""Training configurations: the shipped ones load, and wrong ones are refused in one sentence."""
import pytest

pytest.importorskip('torch', reason='torch is not installed')

from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.core.files import share_dir  # noqa: E402
from frm_seg_ros.training.config import LIMITS, TrainingConfig  # noqa: E402

FOLDER = share_dir() / 'config' / 'train'
CAMVID = FOLDER / 'camvid.yaml'


@pytest.mark.parametrize('path', sorted(FOLDER.glob('*.yaml')), ids=lambda path: path.stem)
def test_shipped_configurations_load(path):
    config = TrainingConfig.load(path, [])
    assert config.name and config.out.startswith('runs/')


def test_overrides_are_yaml():
    config = TrainingConfig.load(CAMVID, ['steps=7', 'crop=[64, 96]', 'sources=[a, b]',
                                          'learning_rate=1', 'architecture={smooth: false}'])
    assert (config.steps, config.crop, config.sources) == (7, (64, 96), ('a', 'b'))
    assert config.learning_rate == 1 and config.architecture == {'smooth': False}


@pytest.mark.parametrize(('override', 'words'), [
    ('stepps=7', "unknown .'stepps'"),
    ('steps', 'write key=value'),
    ('learning_rate=7e-4', "learning_rate is '7e-4', wanted float"),
    ('steps=1.5', 'steps is 1.5, wanted int'),
    ('steps=true', 'steps is True, wanted int'),
    ('sources=camvid:A:train', 'sources is .camvid:A:train., wanted tuple'),
    ('sources=[]', 'sources is .., wanted at least one source'),
    ('crop=[64]', 'crop is .64,., wanted tuple.int, int.'),
    ('crop=[64, wide]', 'crop is .* wanted tuple.int, int.'),
    ('class_weights=1', 'class_weights is 1, wanted bool'),
    ('scale=[2, 1]', 'scale is .2, 1., wanted .smallest, largest.'),
    ('variant=frm_b9', 'wanted one of frm_b0, frm_b0_fast'),
    ('schedule=linear', 'wanted poly or cosine'),
    ('keep=first', 'wanted last or best'),
    ('keep=best', 'keep is best, but validation names no frames'),
    ('ema=1.1', 'ema is 1.1, wanted 0..1'),
    ('batch=0', 'batch is 0, wanted a number above 0'),
    ('validation=[', 'is not a training configuration'),
])
def test_wrong_values_are_refused(override, words):
    with pytest.raises(ConfigError, match=words):
        TrainingConfig.load(CAMVID, [override])


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match='is not a training configuration'):
        TrainingConfig.load(tmp_path / 'none.yaml', [])


def test_limits_are_of_fields():
    assert set(LIMITS) <= set(TrainingConfig.__dataclass_fields__)
