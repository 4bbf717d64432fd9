"""The number of threads, as the environment tells it."""
from __future__ import annotations

import pytest

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.threads import VARIABLE, wanted_threads


@pytest.mark.parametrize('text, wanted', [('', None), ('1', 1), ('16', 16)])
def test_the_number_is_read(monkeypatch: pytest.MonkeyPatch, text: str,
                            wanted: int | None) -> None:
    monkeypatch.setenv(VARIABLE, text)
    assert wanted_threads() == wanted
    monkeypatch.delenv(VARIABLE)
    assert wanted_threads() is None


@pytest.mark.parametrize('text', ['0', '-1', '1.5', 'two', '²'])
def test_anything_else_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ConfigError, match=f'^{VARIABLE} is .*1 or more'):
        wanted_threads()
