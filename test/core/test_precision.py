"""The choice of a precision by what the card tells."""
import pytest

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.precision import check_measured, choose_precision

ABLE = ('int8', 'bfloat16', 'float32')


def figures(miou, source='camvid:CamVid:val'):
    return {'source': source, 'frames': 101, 'miou': miou, 'float32_miou': 0.5754,
            'backend': 'openvino', 'command': 'frm-seg precisions'}


@pytest.mark.parametrize(('measured', 'wanted', 'words'), [
    ({}, 'float32', 'int8 is not measured in the card; bfloat16 is not measured in the card'),
    # Half a point to the fourth decimal is allowed, a ten-thousandth more is not.
    ({'int8': [figures(0.5704)]}, 'int8',
     'the fastest that keeps its mIoU, 0.50 points under float32 on camvid:CamVid:val'),
    ({'int8': [figures(0.5703)], 'bfloat16': [figures(0.5760)]}, 'bfloat16',
     'the fastest that keeps its mIoU, 0.06 points over float32 on camvid:CamVid:val'),
    ({'int8': [figures(0.5703)], 'bfloat16': [figures(0.5)]}, 'float32',
     'int8 is 0.51 points under float32 on camvid:CamVid:val; '
     'bfloat16 is 7.54 points under float32 on camvid:CamVid:val'),
    # Wherever it was measured: the worst counts.
    ({'int8': [figures(0.5754), figures(0.5654, 'bag:rain')], 'bfloat16': [figures(0.5754)]},
     'bfloat16', 'the fastest that keeps its mIoU, 0.00 points over float32 on '
     'camvid:CamVid:val'),
])
def test_auto_takes_the_fastest_that_keeps_its_miou(measured, wanted, words):
    assert choose_precision('openvino', 'auto', ABLE, measured) == (wanted, words)


def test_nothing_comes_before_float32_where_it_is_the_fastest():
    measured = {'int8': [figures(0.5754)]}
    assert choose_precision('x', 'auto', ('float32', 'int8'), measured) == (
        'float32', 'the fastest here')


def test_what_is_asked_for_is_taken_whatever_it_costs():
    assert choose_precision('openvino', 'int8', ABLE, {}) == ('int8', 'as asked for')


def test_what_the_backend_does_not_do_is_refused():
    with pytest.raises(ConfigError, match='backend openvino does not do float16 .* it does int8 '
                                          'and bfloat16 and float32'):
        choose_precision('openvino', 'float16', ABLE, {'float16': [figures(0.5754)]})
    with pytest.raises(ConfigError, match="precision is 'half': take one of auto, float32, bfl"):
        choose_precision('openvino', 'half', ABLE, {})


def test_figures_of_a_card_are_checked():
    good = {'int8': [figures(0.5), figures(0.4)]}
    assert check_measured(good) == good
    for bad in ({'int4': [figures(0.5)]}, {'int8': 0.5}, {'int8': figures(0.5)}, {'int8': []},
                {'int8': [0.5]}, {'int8': [figures(0.5), {**figures(0.5), 'ms': 3}]},
                {'int8': [{'miou': 0.5}]}, {'int8': [figures(57.5)]}, {'int8': [figures('0.5')]}):
        with pytest.raises(ValueError, match='precisions has'):
            check_measured(bad)
