"""Temperatures and power mode, from trees of files as computers show them."""
from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from frm_seg_ros.ros.diagnostics import OK, WARN
from frm_seg_ros.ros.machine import machine_status


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files below a folder."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def zone(number: int, kind: str, temp: str, *trips: tuple[str, str]) -> dict[str, str]:
    """Make the files of a thermal zone; trips are pairs of kind and temperature."""
    folder = f'sys/class/thermal/thermal_zone{number}'
    files = {f'{folder}/type': f'{kind}\n', f'{folder}/temp': f'{temp}\n'}
    for place, (trip, at) in enumerate(trips):
        files |= {f'{folder}/trip_point_{place}_type': f'{trip}\n',
                  f'{folder}/trip_point_{place}_temp': f'{at}\n'}
    return files


JETSON = {
    'proc/device-tree/model': 'NVIDIA Jetson Orin Nano Developer Kit\0',
    'var/lib/nvpmodel/status': 'pmode:0002 fmode:quiet\n',
    'etc/nvpmodel.conf': '# < POWER_MODEL ID=id_num NAME=mode_name >\n'
                         '< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n'
                         '< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=0 >\n',
    **zone(0, 'cpu-thermal', '54312', ('active', '45000'), ('passive', '99000'),
           ('critical', '104500')),
    **zone(1, 'gpu-thermal', '56000', ('passive', '99000')),
    **zone(2, 'cv0-thermal', '-256000'),   # switched off
    **zone(10, 'tj-thermal', '55500'),
}


def values(root: Path) -> dict[str, str]:
    return {item.key: item.value for item in machine_status('frm_seg', root).values}


def test_a_jetson_tells_its_board_power_mode_and_temperatures(tmp_path: Path) -> None:
    root = write(tmp_path, JETSON)
    found = machine_status('frm_seg', root)
    assert (found.name, found.level) == ('frm_seg: machine', OK)
    assert found.message == 'power mode MAXN_SUPER (2), gpu-thermal is the hottest, 56.0 C'
    assert values(root) == {
        'board': 'NVIDIA Jetson Orin Nano Developer Kit', 'power mode': 'MAXN_SUPER (2)',
        'cpu-thermal C': '54.3', 'gpu-thermal C': '56.0', 'tj-thermal C': '55.5'}


def test_what_is_slowed_down_by_heat_is_a_warning(tmp_path: Path) -> None:
    root = write(tmp_path, JETSON | zone(1, 'gpu-thermal', '99000', ('passive', '99000')))
    found = machine_status('frm_seg', root)
    assert found.level == WARN
    assert found.message == 'gpu-thermal has 99.0 C and is slowed down from 99.0 C on'
    write(root, zone(1, 'gpu-thermal', '98999', ('passive', '99000')))
    assert machine_status('frm_seg', root).level == OK


def test_limits_that_were_never_set_and_fans_are_no_limits(tmp_path: Path) -> None:
    root = write(tmp_path, zone(0, 'x86_pkg_temp', '71000', ('passive', '0'),
                                ('passive', '-274000'), ('active', '50000')))
    found = machine_status('frm_seg', root)
    assert (found.level, found.message) == (OK, 'x86_pkg_temp is the hottest, 71.0 C')


def test_zones_of_one_kind_are_told_apart(tmp_path: Path) -> None:
    root = write(tmp_path, zone(0, 'acpitz', '40000') | zone(1, 'acpitz', '41000'))
    assert values(root) == {'acpitz C': '40.0', 'acpitz thermal_zone1 C': '41.0'}


@pytest.mark.parametrize('files', [
    {}, {'proc/device-tree/model': 'a board'}, zone(0, 'cpu', 'hot'), zone(0, 'cpu', '-274000'),
    {'var/lib/nvpmodel/status': 'fmode:quiet'}, {'sys/class/thermal/cooling_device0/type': 'Fan'}])
def test_a_computer_that_tells_nothing_has_no_status(tmp_path: Path, files: dict) -> None:
    assert machine_status('frm_seg', write(tmp_path, files)) is None


def test_a_mode_without_a_name_is_told_by_number(tmp_path: Path) -> None:
    root = write(tmp_path, {'var/lib/nvpmodel/status': 'pmode:0010'})
    assert machine_status('frm_seg', root).message == 'power mode 10'
    write(root, {'etc/nvpmodel.conf': '< POWER_MODEL ID=1 NAME=15W >'})
    assert machine_status('frm_seg', root).message == 'power mode 10'


def test_a_zone_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    root = write(tmp_path, JETSON)
    temp = root / 'sys/class/thermal/thermal_zone0/temp'
    temp.unlink()
    temp.mkdir()   # reading it is an OSError, as of a zone that is switched off
    assert 'cpu-thermal C' not in values(root) and 'gpu-thermal C' in values(root)
    with open(root / 'sys/class/thermal/thermal_zone1/type', 'wb') as file:
        file.write(os.urandom(16))   # no text
    assert machine_status('frm_seg', root).level == OK


def test_this_computer_can_be_asked() -> None:
    found = machine_status('frm_seg')
    assert found is None or found.name == 'frm_seg: machine'
