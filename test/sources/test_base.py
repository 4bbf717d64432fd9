"""The table of the sources."""
from __future__ import annotations

import pytest

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.plugins import load_plugin
from frm_seg_ros.sources.base import SOURCES, USAGE, open_source


def test_every_source_is_there_and_tells_its_usage():
    assert USAGE.keys() == SOURCES.keys()
    for kind, usage in USAGE.items():
        assert callable(load_plugin('source', kind, SOURCES))
        assert all(way.startswith(f'{kind}:') for way in usage.split(' or '))


@pytest.mark.parametrize('text', ['camvid', 'camvid:', ''])
def test_what_is_no_source_lists_all_usages(text):
    with pytest.raises(ConfigError, match='is not a source') as caught:
        open_source(text)
    assert all(usage in str(caught.value) for usage in USAGE.values())
