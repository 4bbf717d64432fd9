"""Look-up of plug-ins: the tables BACKENDS and SOURCES hold text, so that nothing loads early."""
from __future__ import annotations

from importlib import import_module
from typing import Any

from frm_seg_ros.core.errors import ConfigError


def load_plugin(kind: str, name: str, table: dict[str, str]) -> Any:
    """Import what `table` names `module:attribute` under `name`.

    Raises:
        ConfigError: if the table has no such name; lists those it has.
        ImportError: if the module needs something that is not installed.
    """
    if name not in table:
        raise ConfigError(f'no {kind} is called {name!r}: take one of {", ".join(sorted(table))}')
    module, attribute = table[name].split(':')
    return getattr(import_module(module), attribute)
