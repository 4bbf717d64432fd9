"""The rules of Nav2's semantic_segmentation_layer, held by a reader that follows them."""
from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

import vision_messages
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rig import Rig, picture

from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.ros import label_topics
from frm_seg_ros.segmenter import Segmenter

ROOT = Path(__file__).resolve().parents[2]
CAMVID = LabelSpace.load('camvid')
MakeRig = Callable[..., Rig]
# As the layer subscribes.
IMAGES = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
LABELS = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# The parameters that the layer declares for a source and for a class type (its source code of
# April 2026).
SOURCE_PARAMETERS = {
    'segmentation_topic', 'confidence_topic', 'labels_topic', 'pointcloud_topic',
    'observation_persistence', 'expected_update_rate', 'class_types', 'max_obstacle_distance',
    'min_obstacle_distance', 'tile_map_decay_time', 'visualize_tile_map', 'use_cost_selection'}
TYPE_PARAMETERS = {'classes', 'base_cost', 'max_cost', 'mark_confidence', 'samples_to_max_cost',
                   'dominant_priority'}


@pytest.fixture(scope='module')
def vision_msgs(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give the module of messages; built once and kept where pytest keeps such things."""
    before = list(sys.path)
    if importlib.util.find_spec('vision_msgs') is None:
        folder = request.config.cache.mkdir(f'vision_msgs-{sys.version_info[1]}')
        vision_messages.load(vision_messages.build(Path(folder)))
    import vision_msgs.msg
    yield vision_msgs.msg
    # Processes that later tests start could import it too, but not load its libraries.
    sys.path[:] = before


@pytest.fixture
def with_label_info(vision_msgs: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the node see vision_msgs, which its module looked for when it was imported."""
    monkeypatch.setattr(label_topics, 'LabelInfo', vision_msgs.LabelInfo)
    monkeypatch.setattr(label_topics, 'VisionClass', vision_msgs.VisionClass, raising=False)
    return vision_msgs


def source_parameters() -> dict[str, Any]:
    layers = yaml.safe_load((ROOT / 'config/nav2_semantic_layer.yaml').read_text())
    layer = layers['local_costmap']['local_costmap']['ros__parameters'][
        'semantic_segmentation_layer']
    return layer[layer['observation_sources']]


class Layer:
    """Counts, as the layer does, which classes were observed and how surely."""

    def __init__(self, rig: Rig, messages: Any, source: dict[str, Any]) -> None:
        self.types = {name: kind for kind in source['class_types']
                      for name in source[kind]['classes']}
        self.errors: list[str] = []
        self.infos: list[Any] = []
        self.pairs: list[tuple[Any, Any]] = []
        self._waiting: dict[tuple, Any] = {}
        self.names: dict[int, str] = {}
        for key, qos, message_type, take in (
                ('segmentation_topic', IMAGES, None, self._on_mask),
                ('confidence_topic', IMAGES, None, self._on_confidence),
                ('labels_topic', LABELS, messages.LabelInfo, self._on_labels)):
            topic = source[key].removeprefix('/frm_seg/')
            assert topic != source[key]
            rig.listen(topic, message_type, qos, take)

    def _on_labels(self, message: Any) -> None:
        self.infos.append(message)
        self.names = {one.class_id: one.class_name for one in message.class_map}
        self.errors += [f'{name} is in no class type' for name in self.names.values()
                        if name not in self.types]

    def _on_mask(self, message: Any) -> None:
        if not self.infos:
            self.errors.append('a mask before the label info: the layer may crash')
        self._match('mask', message)

    def _on_confidence(self, message: Any) -> None:
        self._match('confidence', message)

    def _match(self, kind: str, message: Any) -> None:
        key = (message.header.stamp.sec, message.header.stamp.nanosec)   # exact stamps
        other = self._waiting.pop(key, None)
        if other is None:
            self._waiting[key] = (kind, message)
        else:
            both = dict([other, (kind, message)])
            self.pairs.append((both['mask'], both['confidence']))

    def observations(self, mask: Any, confidence: Any) -> list[tuple[str, int]]:
        """Give class type and confidence of every pixel that counts, row by row."""
        found = []
        for v in range(mask.height):
            for u in range(mask.width):
                place = v * mask.width + u   # neither step nor encoding is looked at
                if mask.data[place] in self.names:
                    found.append((self.types[self.names[mask.data[place]]],
                                  confidence.data[place]))
        return found


CHOSEN = ['road: 9', 'car: 0', 'sky: 254', 'tree: 7', 'building: 8', 'pavement: 3']


@pytest.mark.parametrize('asked', [{}, {'id_offset': 1}, {'label_ids': CHOSEN}],
                         ids=['train ids', 'offset', 'chosen'])
def test_the_layer_sees_what_the_model_saw(
        make_rig: MakeRig, model: Any, with_label_info: Any, asked: dict[str, Any]) -> None:
    segmenter = Segmenter.open(model, 'onnxruntime')
    # Between two values that occur, so that the bound itself is not in doubt.
    (first,) = segmenter([picture(1, (45, 61))], confidence=True)
    least = (int(np.median(first.confidence)) + 0.5) / 255
    rig = make_rig(min_confidence=least, output_size='31x43', **asked)
    layer = Layer(rig, with_label_info, source_parameters())
    announced = [one.split(':')[0] for one in asked.get('label_ids', CAMVID.names)]
    rows, columns = ((2 * np.arange(wanted) + 1) * found // (2 * wanted)
                     for wanted, found in ((31, 45), (43, 61)))
    for count in range(1, 6):
        image = picture(count, (45, 61))
        message = rig.message(image)
        rig.send(message)
        rig.wait(lambda: len(layer.pairs) == count, 'a pair')   # noqa: B023
        mask, confidence = layer.pairs[-1]
        assert mask.header == confidence.header == message.header
        assert len(mask.data) == len(confidence.data) == 31 * 43
        (seen,) = segmenter([image], confidence=True)
        labels, sure = (each[np.ix_(rows, columns)] for each in (seen.labels, seen.confidence))
        wanted = [(layer.types[CAMVID.names[label]], value)
                  for label, value in zip(labels.ravel(), sure.ravel())
                  if value >= 255 * least and CAMVID.names[label] in announced]
        assert layer.observations(mask, confidence) == wanted and 0 < len(wanted) < 31 * 43
    assert layer.errors == []
    (info,) = layer.infos   # once
    assert info.threshold == pytest.approx(least) and 255 not in layer.names
    assert sorted(layer.names.values()) == sorted(announced)


def test_a_new_threshold_is_told(make_rig: MakeRig, with_label_info: Any) -> None:
    rig = make_rig()
    found = rig.listen('label_info', with_label_info.LabelInfo, LABELS)
    rig.wait_messages(found, 1)
    assert rig.set('min_confidence', 0.5)[0]
    rig.wait_messages(found, 2)
    assert [one.threshold for one in found] == [0.0, 0.5]
    assert found[0].class_map == found[1].class_map
    assert [(one.class_id, one.class_name) for one in found[0].class_map] == list(
        enumerate(CAMVID.names))
    assert found[0].header.stamp.sec > 0


def test_label_info_is_there_when_vision_msgs_is(vision_msgs: Any) -> None:
    install = Path(vision_msgs.__file__).parents[4]
    environment = {**os.environ, 'LD_LIBRARY_PATH': f'{install}/lib:' + os.environ.get(
        'LD_LIBRARY_PATH', ''), 'PYTHONPATH': os.pathsep.join(
            [str(ROOT), *filter(None, sys.path)])}
    code = 'from frm_seg_ros.ros import label_topics; print(label_topics.LabelInfo.__module__)'
    done = subprocess.run([sys.executable, '-c', code], env=environment, text=True, cwd='/',
                          capture_output=True)
    assert done.stdout.startswith('vision_msgs.msg'), done.stderr


def test_without_vision_msgs_there_is_no_label_info(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_topics, 'LabelInfo', None)
    rig = make_rig()
    assert rig.state() == 'active'
    assert not rig.publisher('/frm_seg/label_info') and rig.publisher('/frm_seg/label_space')
    assert rig.set('min_confidence', 0.5)[0]


def test_the_shipped_parameters_fit_the_layer_and_the_label_space() -> None:
    source = source_parameters()
    kinds = source['class_types']
    assert set(source) == SOURCE_PARAMETERS | set(kinds)
    named = [name for kind in kinds for name in source[kind]['classes']]
    assert sorted(named) == sorted(CAMVID.names)   # each once
    for kind in kinds:
        facts = source[kind]
        assert set(facts) == TYPE_PARAMETERS
        assert 0 <= facts['base_cost'] <= facts['max_cost'] <= 254   # lethal; 255 is unknown
        assert 0 <= facts['mark_confidence'] <= 255 and type(facts['dominant_priority']) is bool


def test_the_shipped_topics_are_ours(make_rig: MakeRig, with_label_info: Any) -> None:
    rig = make_rig(sender=None)
    topics = {one.topic_name for one in rig.node.publishers}
    source = source_parameters()
    assert {value for name, value in source.items() if name.endswith('_topic')} <= topics
