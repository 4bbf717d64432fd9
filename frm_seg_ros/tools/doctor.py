"""`frm-seg doctor`: what keeps images from being labelled here, and what mends it."""
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from frm_seg_ros.core.files import share_dir
from frm_seg_ros.tools.doctor_facts import collect

OK, WARNING, ERROR = 'ok', 'warning', 'error'
# Fast DDS's own shared-memory segment; a best-effort message above it is mostly lost.
DEFAULT_SEGMENT = 512 << 10
# Measured: a segment of less than 1.3 images loses half of them.
SEGMENT_PER_IMAGE = 1.3
_ENOUGH_SHM = 128 << 20
_LATE_S = 1.0
Finding = tuple[str, str, str]


def run(model: str, seconds: float, as_json: bool) -> int:
    """Print what is found.

    Args:
        model: name or folder of the model that the backends are tried with.
        seconds: how long cameras are listened to.
        as_json: print facts and findings as JSON.

    Returns:
        The exit code: 0 if nothing is to be mended, 1 for warnings only, 2 if something is broken.
    """
    facts = collect(model, seconds)
    found = findings(facts)
    if as_json:
        rows = [{'level': level, 'about': about, 'text': text} for level, about, text in found]
        print(json.dumps({'facts': facts, 'findings': rows}, indent=2))
    else:
        for level, about, text in found:
            print(f'{level:8}{about:15}{text}')
    levels = {level for level, *_ in found}
    return 2 if ERROR in levels else int(WARNING in levels)


def findings(facts: Mapping[str, Any]) -> list[Finding]:
    """Judge the facts: (level, what it is about, one line) in the order to read them."""
    found = [*_python(facts), *_models(facts['models']), *_backends(facts), *_gpu(facts)]
    if facts['ros']['problem']:
        return [*found, (WARNING, 'ROS', f'{_ros_problem(facts["ros"]["problem"])}; frm-seg works '
                                         'without')]
    return [*found, *_ros(facts), *_transport(facts), *_cameras(facts)]


def _python(facts: Mapping[str, Any]) -> Iterator[Finding]:
    version = facts['python']['version']
    if not (3, 10) <= tuple(map(int, version.split('.')[:2])) <= (3, 13):
        yield WARNING, 'Python', f'{version} is not tested: take 3.10 to 3.13'
    else:
        yield OK, 'Python', f'{version} on {facts["python"]["machine"]}'
    if not facts['cv2']:
        yield (ERROR, 'OpenCV', 'import cv2 fails: pip install "opencv-python-headless<5", which '
                                'needs no libGL')
    elif int(facts['cv2'].split('.')[0]) >= 5:
        yield (ERROR, 'OpenCV', f'{facts["cv2"]} renumbered its types: pip install '
                                '"opencv-python-headless<5"')
    else:
        yield OK, 'OpenCV', facts['cv2']
    packages = facts['packages']
    several = [name for name in packages if name.startswith('opencv-')]
    if len(several) > 1:
        yield (WARNING, 'OpenCV', f'{" and ".join(several)} own the same folder cv2: pip '
                                  'uninstall all of them, then pip install '
                                  '"opencv-python-headless<5"')
    yield OK, 'packages', ', '.join(f'{name} {text}' for name, text in packages.items())


def _models(models: Mapping[str, str]) -> Iterator[Finding]:
    for folder, problem in models.items():
        yield ((ERROR, 'model', problem) if problem else
               (OK, 'model', f'{Path(folder).name}: all files have the hashes of its card'))


def _backends(facts: Mapping[str, Any]) -> Iterator[Finding]:
    backends = facts['backends']
    for name, one in backends.items():
        if not one['problem']:
            yield OK, 'backend', one['chosen']
        elif 'not installed' in one['problem']:
            yield OK, 'backend', f'{name} is not installed'
        else:
            yield WARNING, 'backend', f'{name} does not run: {one["problem"]}'
    if all(one['problem'] for one in backends.values()):
        yield (ERROR, 'backend', 'none runs, so nothing can be labelled: pip install '
                                 'frm-seg[openvino], or see what is said of the model above')


def _gpu(facts: Mapping[str, Any]) -> Iterator[Finding]:
    gpu = facts['gpu']
    for device in gpu['devices']:
        yield OK, 'GPU', device
    if gpu['jetson']:
        yield OK, 'Jetson', f'{gpu["jetson"]} {gpu["power_mode"]}'.strip()
    if not gpu['devices'] and not gpu['jetson']:
        yield OK, 'GPU', 'no NVIDIA device here: the CPU is used'
    elif all(one.get('device') != 'cuda' for one in facts['backends'].values()):
        yield (WARNING, 'GPU', 'no backend uses it: install the build of torch that fits its '
                               'driver')


def _ros_problem(problem: str) -> str:
    return problem if problem.startswith('no ROS 2') else f'rclpy does not work here: {problem}'


def _ros(facts: Mapping[str, Any]) -> Iterator[Finding]:
    ros, environment = facts['ros'], facts['environment']
    scope = environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')
    yield (OK, 'ROS', f'{ros["distro"] or "no ROS_DISTRO"}, {ros["rmw"]}, domain '
                      f'{environment.get("ROS_DOMAIN_ID", "0")}, discovery {scope}')
    if 'ROS_LOCALHOST_ONLY' in environment:
        yield (WARNING, 'ROS', 'ROS_LOCALHOST_ONLY is set and overrides the discovery range from '
                               'Jazzy on: unset it and use ROS_AUTOMATIC_DISCOVERY_RANGE')
    if ros['messages_problem']:
        yield ERROR, 'messages', ros['messages_problem']
    else:
        yield OK, 'messages', 'frm_seg_ros.msg is built and loads'
    yield OK, 'cv_bridge', ('works: it serves the encodings that we do not convert'
                            if ros['cv_bridge'] else 'none that works: it is not needed but for '
                            'rare encodings')


def _transport(facts: Mapping[str, Any]) -> Iterator[Finding]:
    shm, profile = facts['shared_memory'], facts['profile']
    if not facts['ros']['rmw'].startswith('rmw_fastrtps'):
        yield (OK, 'transport', f'{facts["ros"]["rmw"]}: the shared-memory profile is for '
                                'Fast DDS only')
        return
    ours = share_dir() / 'config' / 'fastdds_shm.xml'
    advice = f'export FASTRTPS_DEFAULT_PROFILES_FILE={ours} for the camera and the node'
    largest = max((one['largest_bytes'] for one in facts['ros']['cameras']), default=0)
    if profile['problem']:
        yield ERROR, 'transport', f'{profile["problem"]}: {advice}'
    elif not profile['segment_bytes']:
        yield (WARNING, 'transport', 'no shared-memory profile is set, so best-effort images '
                                     f'above 480 KB are nearly all lost: {advice}')
    elif profile['segment_bytes'] < SEGMENT_PER_IMAGE * max(largest, DEFAULT_SEGMENT):
        yield (WARNING, 'transport', f'the shared-memory segment of {profile["file"]} has '
                                     f'{profile["segment_bytes"] >> 10} KB, images have '
                                     f'{largest >> 10} KB: {advice}')
    else:
        yield (OK, 'transport', f'shared-memory segment of {profile["segment_bytes"] >> 20} MB by '
                                f'{profile["variable"]}; the camera must have it too')
    if shm is None or shm['free'] < _ENOUGH_SHM:
        free = 'is not there' if shm is None else f'has {shm["free"] >> 20} MB free'
        yield (WARNING, '/dev/shm', f'{free}, wanted {_ENOUGH_SHM >> 20} MB: end programs that '
                                    'fill it, run `fastdds shm clean`, or give the container '
                                    '--shm-size=1g or --ipc=host')
    else:
        yield OK, '/dev/shm', f'{shm["free"] >> 20} MB free, {shm["fastdds_segments"]} segments'


def _cameras(facts: Mapping[str, Any]) -> Iterator[Finding]:
    ros = facts['ros']
    for camera in ros['cameras']:
        yield from _camera(camera, facts)
    for topic in ros['nobody_publishes']:
        yield (WARNING, 'camera', f'{" ".join(ros["our_nodes"])} listens to {topic}, which nobody '
                                  f'publishes: start it with -r image:=TOPIC of the camera')
    for text in ros['mismatches']:
        yield (WARNING, 'QoS', f'{text}: let the subscriber ask for best effort and volatile, or '
                               'the publisher offer more')
    if not ros['cameras']:
        yield (WARNING, 'camera', 'no image topic is seen: start the camera, and give it and this '
                                  'shell the same ROS_DOMAIN_ID, RMW_IMPLEMENTATION and a '
                                  'discovery range that reaches it')


def _camera(camera: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[Finding]:
    from frm_seg_ros.core.encodings import ENCODINGS  # which needs a sound OpenCV
    topic, offers = camera['topic'], {one['reliability'] for one in camera['publishers']}
    offered = ' and '.join(sorted(offers)).lower() or 'nothing any more'
    told = f'{topic} offers {offered}; qos: auto takes {camera["node_takes"].lower()}'
    if not camera['received']:
        yield (WARNING, 'camera', f'{told}; nothing arrived: see whether the camera runs, and '
                                  'start it with the shared-memory profile if its images are '
                                  'above 480 KB')
        return
    size = f'{camera["height"]}x{camera["width"]} ' if 'height' in camera else ''
    yield (OK, 'camera', f'{told}; {camera["received"]} arrived, {camera["rate_hz"]:.1f} Hz, '
                         f'{size}{camera["format"]}, {camera["largest_bytes"] >> 10} KB')
    if camera['lost']:
        yield (WARNING, 'camera', f'{topic}: {camera["lost"]} more were lost on the way: start '
                                  'the camera with the shared-memory profile, or let it publish '
                                  'reliable')
    if 'height' in camera and camera['format'] not in ENCODINGS and not facts['ros']['cv_bridge']:
        yield (ERROR, 'camera', f'{topic} has the encoding {camera["format"]!r}, which we do not '
                                f'convert: let the camera publish one of {", ".join(ENCODINGS)}, '
                                'or install a working cv_bridge')
    yield from _clock(camera)


def _clock(camera: Mapping[str, Any]) -> Iterator[Finding]:
    topic, delay_s = camera['topic'], camera['delay_s']
    if not camera['stamped']:
        yield (WARNING, 'clock', f'{topic} has no stamps: let the driver stamp its images, or '
                                 'consumers cannot match labels to them')
    elif abs(delay_s) > _LATE_S:
        where = 'behind' if delay_s > 0 else 'ahead of'
        yield (WARNING, 'clock', f'stamps of {topic} are {abs(delay_s):.1f} s {where} the clock '
                                 'here: synchronise the clocks (chrony, ptp4l), or set '
                                 'use_sim_time for a bag; max_age_ms would drop them')
