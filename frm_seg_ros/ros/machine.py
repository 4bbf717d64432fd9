"""How hot the computer is and which power mode it runs in, from files alone."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from frm_seg_ros.ros.diagnostics import OK, WARN, status

ROOT = Path('/')
# Linux, Documentation/driver-api/thermal/sysfs-api: temperatures in thousandths of a degree
# Celsius; at a trip point of these kinds the machine is slowed down, and soon switched off.
ZONES = 'sys/class/thermal'
SLOWED = ('passive', 'hot', 'critical')
COLDEST = -100.0   # drivers write -256 or -274 for a part that is off
# Jetson: nvpmodel keeps the mode that was set as `pmode:0002`, and the names of all modes as
# `< POWER_MODEL ID=2 NAME=MAXN >`.
MODE, MODES = 'var/lib/nvpmodel/status', 'etc/nvpmodel.conf'
BOARD = 'proc/device-tree/model'


def machine_status(node: str, root: Path = ROOT) -> DiagnosticStatus | None:
    """Tell temperatures in degrees Celsius and the power mode; None where neither is readable.

    WARN: a part is so hot that it is slowed down. `root` is where the file system is looked for.
    """
    zones = _zones(root / ZONES)
    values: dict[str, Any] = {}
    if board := _read(root / BOARD):
        values['board'] = board
    if mode := _power_mode(root):
        values['power mode'] = mode
    if not zones and not mode:
        return None
    values |= {f'{name} C': celsius for name, (celsius, _) in zones.items()}
    level, message = OK, f'power mode {mode}' if mode else ''
    if zones:
        hottest = max(zones, key=lambda name: zones[name][0])
        message = ', '.join(filter(None, [
            message, f'{hottest} is the hottest, {zones[hottest][0]:.1f} C']))
    if hot := [f'{name} has {celsius:.1f} C and is slowed down from {limit:.1f} C on'
               for name, (celsius, limit) in zones.items() if celsius >= limit]:
        level, message = WARN, '; '.join(hot)
    return status(f'{node}: machine', level, message, values)


def _read(path: Path) -> str:
    """Read a short text; empty where it cannot be read: parts that are switched off say so."""
    try:
        return path.read_text(errors='replace').strip('\0 \n')
    except OSError:
        return ''


def _celsius(path: Path) -> float | None:
    try:
        celsius = 1e-3 * int(_read(path))
    except ValueError:
        return None
    return celsius if celsius > COLDEST else None


def _zones(folder: Path) -> dict[str, tuple[float, float]]:
    """Give of each zone its temperature and that at which it is slowed down, or infinity."""
    found: dict[str, tuple[float, float]] = {}
    for zone in sorted(folder.glob('thermal_zone*'), key=lambda path: (len(path.name), path.name)):
        celsius = _celsius(zone / 'temp')
        if celsius is None:
            continue
        name = _read(zone / 'type') or zone.name
        limits = [_celsius(kind.with_name(kind.name.replace('_type', '_temp')))
                  for kind in zone.glob('trip_point_*_type') if _read(kind) in SLOWED]
        # A limit of 0 is one that was never set.
        limit = min((one for one in limits if one is not None and one > 0), default=float('inf'))
        found[f'{name} {zone.name}' if name in found else name] = celsius, limit
    return found


def _power_mode(root: Path) -> str:
    """Name the power mode of a Jetson, or give its number; empty where there is none."""
    mode = re.search(r'pmode:(\d+)', _read(root / MODE))
    if mode is None:
        return ''
    number = int(mode[1])
    name = re.search(rf'<\s*POWER_MODEL\s+ID=0*{number}\s+NAME=(\S+)', _read(root / MODES))
    return f'{name[1]} ({number})' if name else str(number)
