"""Annotated bags hold what the node would have published, as ROS itself reads it."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import Image
from tiny_model import write_tiny_model

from frm_seg_ros.core.label_message import label_space_fields
from frm_seg_ros.ros import node as node_
from frm_seg_ros.ros.messages import LabelSpace
from frm_seg_ros.ros.outputs import OUTPUTS
from frm_seg_ros.ros.publishers import OUTPUT_DEPTH
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.sources.bag_file import typestore
from frm_seg_ros.tools import annotate_bag
from frm_seg_ros.tools.annotate_bag import Annotator
from frm_seg_ros.tools.make_bag import make_bag


def test_names_encodings_and_qos_are_those_of_the_node() -> None:
    made = {**annotate_bag.IMAGES, **annotate_bag.OVERLAY}
    assert made == {name: OUTPUTS[name].encoding for name in made}
    assert annotate_bag.PREFIX == f'/{node_.NAME}'
    assert annotate_bag._DEPTH == OUTPUT_DEPTH


def test_ros_reads_what_was_written(tmp_path: Path) -> None:
    make_bag('synthetic:3:2', tmp_path / 'in')
    segmenter = Segmenter.open(write_tiny_model(tmp_path / 'tiny'), 'onnxruntime', 'cpu')
    Annotator(tmp_path / 'in', tmp_path / 'out', with_overlay=True).run(segmenter)
    found: dict[str, list[bytes]] = {}
    with Reader(tmp_path / 'out') as reader:
        for connection, _, raw in reader.messages():
            found.setdefault(connection.topic, []).append(bytes(raw))
    (raw,) = found['/frm_seg/label_space']
    assert deserialize_message(raw, LabelSpace) == LabelSpace(
        **label_space_fields(segmenter.card, segmenter.label_space))
    for name in ('label_image', 'confidence', 'overlay'):
        for raw, original in zip(found[f'/frm_seg/{name}'], found['/camera/image'], strict=True):
            made, taken = (deserialize_message(item, Image) for item in (raw, original))
            assert made.header == taken.header
            assert (made.height, made.width) == (taken.height, taken.width)
            assert (made.encoding, len(made.data)) == (OUTPUTS[name].encoding,
                                                       made.height * made.step)
    segmenter.close()


@pytest.mark.parametrize('name', ['LabelSpace', 'SegmentationStats'])
def test_the_hash_of_a_message_is_that_of_rosidl(name: str) -> None:
    from ament_index_python.packages import get_package_share_directory
    share = Path(get_package_share_directory('frm_seg_ros'))
    if (share / f'msg/{name}.msg').read_bytes() != (
            Path(__file__).resolve().parents[2] / f'msg/{name}.msg').read_bytes():
        pytest.skip('the messages are not built anew: make build')
    hashes = json.loads((share / f'msg/{name}.json').read_text())['type_hashes']
    wanted = {item['type_name']: item['hash_string'] for item in hashes}
    assert typestore().hash_rihs01(f'frm_seg_ros/msg/{name}') == wanted[f'frm_seg_ros/msg/{name}']
