"""Parameters: one place holds them, live ones change live, all are checked."""
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rig import Rig, picture, pixels

from frm_seg_ros.core.encodings import ENCODINGS
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.ros.outputs import OUTPUTS
from frm_seg_ros.ros.parameters import SPECS, NodeParameters, check, table

ROOT = Path(__file__).resolve().parents[2]
MakeRig = Callable[..., Rig]
LIVE = {'overlay_alpha', 'overlay_max_rate', 'min_confidence', 'max_rate', 'max_age_ms',
        'stale_ms', 'budget_ms', 'engine_timeout_ms', 'enabled'}


def test_the_shipped_file_holds_every_parameter_with_its_default() -> None:
    shipped = yaml.safe_load((ROOT / 'config/segment.yaml').read_text())
    defaults = {item.name: list(item.default) if isinstance(item.default, tuple)
                else item.default for item in fields(NodeParameters)}
    assert shipped == {'/**': {'ros__parameters': defaults}}
    assert [type(value) for value in shipped['/**']['ros__parameters'].values()] == [
        type(value) for value in defaults.values()]


def test_the_page_shows_the_table_of_parameters() -> None:
    page = (ROOT / 'docs/node.md').read_text()
    assert table() in page, f'docs/node.md wants this table:\n{table()}'


def test_the_page_names_every_topic_encoding_and_reason_for_a_drop() -> None:
    page = (ROOT / 'docs/node.md').read_text()
    sources = [*(ROOT / 'frm_seg_ros/ros').glob('*.py'), ROOT / 'frm_seg_ros/core/encodings.py']
    reasons = {reason for source in sources for reason in re.findall(
        r"(?:drop\(|FrameError\(|_check_size\([^']*)'(\w+)'", source.read_text())}
    assert {'overwritten', 'rate', 'bad_size', 'bad_compressed'} <= reasons
    wanted = {f'`{reason}`' for reason in reasons} | {f'`~/{topic}`' for topic in OUTPUTS}
    wanted |= {name for name in ENCODINGS if not name.startswith('bayer')}
    assert not {words for words in wanted if words not in page}


def test_live_ones() -> None:
    assert {name for name, item in SPECS.items() if item.metadata['live']} == LIVE


@pytest.mark.parametrize('name, value', [
    ('model', 5), ('model', ''), ('backend', 'caffe'), ('backend', ''), ('device', 'tpu'),
    ('precision', 'half'),
    ('network_size', '512'), ('network_size', '512x'), ('network_size', 'axb'),
    ('network_size', ''), ('cameras', []), ('cameras', 'front'), ('cameras', ['front', 'front']),
    ('cameras', ['front', '']), ('cameras', ['2nd']), ('cameras', ['a/b']), ('cameras', [1]),
    ('roi', '10x10'), ('roi', '0x10+0+0'), ('roi', '10x10+-1+0'), ('rotate', 45),
    ('rotate', 90.0), ('rotate', True), ('ignore_mask', 5),
    ('output_size', 'half'), ('output_size', '0x5'), ('masks', ['way']), ('masks', ['a/b: c']),
    ('id_offset', -1), ('id_offset', 255), ('id_offset', 1.0), ('label_ids', ['road']),
    ('label_ids', ['road: x']),
    ('transport', 'jpeg'), ('qos', 'best'), ('overlay_alpha', 1.01),
    ('overlay_alpha', -0.1), ('overlay_alpha', '0.5'), ('overlay_alpha', True),
    ('min_confidence', float('nan')), ('max_rate', -1.0), ('max_rate', float('inf')),
    ('max_age_ms', None), ('enabled', 1), ('enabled', 'yes'), ('autostart', 0)])
def test_bad_values_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f'parameter {name} is .*: wanted '):
        check(name, value)
    with pytest.raises(ConfigError):
        NodeParameters(**{name: value})


@pytest.mark.parametrize('name, value, wanted', [
    ('overlay_alpha', 1, 1.0), ('overlay_alpha', 0.0, 0.0), ('max_rate', 1e6, 1e6),
    ('network_size', '512x1024', '512x1024'), ('qos', 'reliable', 'reliable')])
def test_good_values(name: str, value: Any, wanted: Any) -> None:
    found = check(name, value)
    assert found == wanted and type(found) is type(wanted)


def test_network_size_is_height_by_width() -> None:
    assert NodeParameters(network_size='512x1024').size == (512, 1024)
    assert NodeParameters().size is None


def test_network_size_reaches_the_network(
        make_rig: MakeRig, capfd: pytest.CaptureFixture[str]) -> None:
    make_rig(network_size='64x160')
    assert ' at 64x160, ' in capfd.readouterr().err


def test_alpha_changes_live(make_rig: MakeRig) -> None:
    rig = make_rig()
    found = rig.listen('overlay')
    image = picture() // 2
    assert rig.set('overlay_alpha', 0) == (True, '')   # an integer does
    rig.send(rig.message(image))
    rig.wait_messages(found, 1)
    np.testing.assert_array_equal(pixels(found[0]), image)
    assert rig.set('overlay_alpha', 1.0)[0]
    rig.send(rig.message(image))
    rig.wait_messages(found, 2)
    palette = LabelSpace.load('camvid').palette[:11]
    assert {tuple(color) for color in pixels(found[1]).reshape(-1, 3)} <= set(map(tuple, palette))
    success, reason = rig.set('overlay_alpha', 2.0)
    assert not success and reason == 'parameter overlay_alpha is 2.0: wanted number, 0 to 1'
    assert rig.node.get_parameter('overlay_alpha').value == 1.0


def test_unsure_pixels_become_unlabelled(make_rig: MakeRig) -> None:
    rig = make_rig()
    labels, confidence, color = (rig.listen(topic) for topic in
                                 ('label_image', 'confidence', 'color'))
    rig.send(rig.message(picture()))
    rig.wait_counts(processed=1)
    rig.wait_messages(labels, 1)
    rig.wait_messages(confidence, 1)
    sure = pixels(confidence[0])
    # Between two values that occur, so that the bound itself is not in doubt.
    middle = int(np.median(sure))
    assert rig.set('min_confidence', (middle + 0.5) / 255)[0]
    rig.send(rig.message(picture()))
    for messages in (labels, confidence, color):
        rig.wait_messages(messages, 2)
    wanted = np.where(sure <= middle, 255, pixels(labels[0]))
    assert 0 < (wanted == 255).mean() < 1
    np.testing.assert_array_equal(pixels(labels[1]), wanted)
    np.testing.assert_array_equal(pixels(confidence[1]), sure)
    assert not pixels(color[1])[wanted == 255].any()
    rig.wait(lambda: rig.counts().get('processed') == 2, 'statistics')
    shares = [one.class_shares for one in rig.stats if one.has_frame][-1]
    assert sum(shares) == pytest.approx((wanted != 255).mean(), abs=1e-5)


def test_max_rate_drops_what_comes_too_soon(make_rig: MakeRig) -> None:
    rig = make_rig(max_rate=0.001)
    rig.listen('label_image')
    rig.send(rig.message(picture()))
    rig.wait_counts(processed=1)
    rig.send(rig.message(picture()))
    rig.wait_counts(processed=1, rate=1)
    assert rig.set('max_rate', 0.0)[0]
    rig.send(rig.message(picture()))
    rig.wait_counts(processed=2, rate=1)


def test_overlay_max_rate_bounds_the_overlay_only(make_rig: MakeRig) -> None:
    rig = make_rig(overlay_max_rate=0.001)
    overlays, labels = rig.listen('overlay'), rig.listen('label_image')
    for count in (1, 2, 3):
        rig.send(rig.message(picture()))
        rig.wait_messages(labels, count)
    rig.wait_counts(processed=3)
    assert len(overlays) == 1


def test_an_overlay_not_due_costs_no_inference(make_rig: MakeRig) -> None:
    rig = make_rig(overlay_max_rate=0.001)
    rig.listen('overlay')
    for count in (1, 2):
        rig.send(rig.message(picture()))
        rig.wait_received(count)
    rig.wait_counts(processed=1, rate=1)


def test_old_frames_are_dropped(make_rig: MakeRig) -> None:
    rig = make_rig(max_age_ms=30_000)
    rig.listen('label_image')
    rig.send(rig.message(picture()))   # from 2023
    rig.wait_counts(too_old=1)
    fresh = rig.message(picture())
    fresh.header.stamp = rig.peer.get_clock().now().to_msg()
    rig.send(fresh)
    rig.wait_counts(too_old=1, processed=1)


def test_structural_ones_are_refused_unless_unconfigured(make_rig: MakeRig, model: Path) -> None:
    rig = make_rig()
    for state in ('active', 'inactive'):
        assert rig.state() == state
        for name, value in (('model', '/elsewhere'), ('transport', 'compressed')):
            success, reason = rig.set(name, value)
            assert not success and f'{name} can be set only while the node is unconf' in reason
        assert rig.set('model', str(model))[0]   # unchanged: as when a whole file is loaded
        rig.change({'active': 'deactivate', 'inactive': 'cleanup'}[state])
    assert rig.state() == 'unconfigured'
    assert not rig.set('transport', 'smoke')[0]
    assert rig.set('network_size', '64x64')[0]
    assert rig.change('configure') and rig.change('activate')
    rig.listen('label_image')
    rig.send(rig.message(picture()))
    rig.wait_counts(processed=1)


def test_unknown_parameters_are_refused_when_set(make_rig: MakeRig) -> None:
    rig = make_rig(sender=None)
    assert not rig.set('modle', 'x')[0]
