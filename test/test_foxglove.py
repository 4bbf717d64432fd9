"""The layout for Foxglove: what it shows is what the node publishes."""
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rosbags.interfaces import Nodetype

from frm_seg_ros.sources.bag_file import typestore

LAYOUT = json.loads((Path(__file__).resolve().parent.parent
                     / 'foxglove/frm_seg_layout.json').read_text())
PANELS = LAYOUT['configById']
NUMBERS = {'float32', 'uint32', 'uint64'}


def leaves(node: Any) -> Iterator[str]:
    """Yield the panels of a layout; those in the tabs of a panel too."""
    if isinstance(node, dict):
        assert node['direction'] in ('row', 'column') and 0 < node['splitPercentage'] < 100
        yield from leaves(node['first'])
        yield from leaves(node['second'])
        return
    yield node
    for tab in PANELS[node].get('tabs', ()):
        yield from leaves(tab['layout'])


def of_type(name: str) -> list[dict[str, Any]]:
    return [config for panel, config in PANELS.items() if panel.partition('!')[0] == name]


def test_every_panel_has_its_place_and_its_type() -> None:
    assert set(LAYOUT) == {'configById', 'globalVariables', 'userNodes', 'playbackConfig',
                           'layout'}
    assert sorted(leaves(LAYOUT['layout'])) == sorted(PANELS)
    assert {panel.partition('!')[0] for panel in PANELS} == {
        'Image', 'Plot', 'RawMessages', 'DiagnosticSummary', 'Tab'}


def test_image_panels_show_the_outputs_of_the_node() -> None:
    pytest.importorskip('rclpy', reason='the names of the outputs stand beside the node')
    from frm_seg_ros.ros.outputs import OUTPUTS
    shown = [config['imageMode']['imageTopic'] for config in of_type('Image')]
    assert sorted(shown) == sorted(f'/frm_seg/{name}' for name, output in OUTPUTS.items()
                                   if output.encoding != 'jpeg')    # of the overlay, twice


def test_plots_show_fields_of_the_statistics() -> None:
    fields = dict(typestore().fielddefs['frm_seg_ros/msg/SegmentationStats'][1])
    values = [path['value'] for plot in of_type('Plot') for path in plot['paths']]
    shown = {}
    for value in values:
        name, slice_ = re.fullmatch(r'/frm_seg/stats\.([a-z_]+)(\[:\])?', value).groups()
        kind, what = fields[name]
        assert (kind == Nodetype.SEQUENCE) == bool(slice_)
        assert (what[0][1] if slice_ else what)[0] in NUMBERS
        shown[name] = value
    assert len(shown) == len(values)
    assert set(shown) == {name for name in fields if name.endswith('_ms')} | {
        'received', 'processed', 'dropped', 'lost_in_transport'}
    assert [panel['topicPath'] for panel in of_type('RawMessages')] == ['/frm_seg/stats']


def test_diagnostics_are_shown() -> None:
    assert [panel['topicToRender'] for panel in of_type('DiagnosticSummary')] == ['/diagnostics']
