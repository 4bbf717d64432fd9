"""Reading of rosbag2 recordings, whole or cut off, one message at a time."""
from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from rosbags.interfaces import Connection
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from frm_seg_ros.core.bounds import read_yaml
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import share_dir
from frm_seg_ros.sources.bag_bounds import Reader
from frm_seg_ros.sources.bag_salvage import CutMcap, recover_sqlite

STORAGES = {'.mcap': 'mcap', '.db3': 'sqlite3'}

_log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """Load the message types of ROS 2 Jazzy and our own.

    Those of Jazzy that are used here are alike in every distribution.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    for path in sorted((share_dir() / 'msg').glob('*.msg')):
        text = path.read_text(encoding='utf-8')
        store.register(get_types_from_msg(text, f'frm_seg_ros/msg/{path.stem}'))
    return store


@dataclass(frozen=True)
class Topic:
    """What a bag holds of one topic.

    Attributes:
        type: such as `sensor_msgs/msg/Image`.
        count: messages.
    """

    type: str
    count: int


class Bag:
    """A rosbag2 folder, or one .mcap or .db3 file; mcap and sqlite3.

    A folder without metadata.yaml and files cut off in the middle are read as far as they go; one
    warning says so.

    Attributes:
        path: where it lies.
        topics: Topic by name.
        connections: what rosbags tells of the topics; one may have several.
        storage: `mcap` or `sqlite3`.
        start_ns: time of the first message in nanoseconds; 0 when there is none.
        duration_ns: from the first message to the last.
        damage: what is wrong with the bag, one phrase each.

    Raises:
        ConfigError: if there is no bag, or nothing of it can be read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser()
        suffixes = _storage_files(self.path)[0].suffixes
        self.storage = next(STORAGES[suffix] for suffix in suffixes if suffix in STORAGES)
        self.topics: dict[str, Topic] = {}
        self._told: set[str] = set()
        with _opened(self.path) as (readers, damage):
            self.damage = tuple(damage)
            self.connections = [item for reader in readers for item in reader.connections]
            for connection in self.connections:
                known = self.topics.get(connection.topic, Topic(connection.msgtype, 0))
                self.topics[connection.topic] = Topic(known.type,
                                                      known.count + connection.msgcount)
            filled = [reader for reader in readers if reader.message_count]
            self.start_ns = min((reader.start_time for reader in filled), default=0)
            end_ns = max((reader.end_time for reader in filled), default=1)
            self.duration_ns = max(end_ns - 1 - self.start_ns, 0)   # rosbags' end is exclusive

    def times(self, topic: str) -> list[int]:
        """List the times of recording of a topic's messages, in nanoseconds and their order."""
        with _opened(self.path) as (readers, damage):
            return [time_ns for reader in readers for _, time_ns, _ in _until_broken(
                reader, [item for item in reader.connections if item.topic == topic], damage)]

    def messages(self, topics: Collection[str], broken_too: bool = False,
                 start_ns: int | None = None,
                 end_ns: int | None = None) -> Iterator[tuple[str, int, Any]]:
        """Yield (topic, time of recording in nanoseconds, message) in the order of the bag.

        What cannot be read is left out; a warning at the end of the first reading tells of it.

        Args:
            topics: their names.
            broken_too: yield None for a message that is there but cannot be decoded.
            start_ns: leave out what was recorded before, in nanoseconds.
            end_ns: leave out what was recorded then or later.
        """
        broken = 0
        for connection, time_ns, raw in self.raw_messages(topics, start_ns, end_ns):
            try:
                message = typestore().deserialize_cdr(raw, connection.msgtype)
            except Exception:   # noqa: BLE001  rosbags raises what the bytes lead it into
                broken += 1
                if broken_too:
                    yield connection.topic, time_ns, None
                continue
            yield connection.topic, time_ns, message
        if broken:
            self._tell({f'messages that cannot be decoded: {broken}': None})

    def raw_messages(self, topics: Collection[str] | None = None, start_ns: int | None = None,
                     end_ns: int | None = None) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield (connection, time of recording in nanoseconds, bytes) as `messages` does.

        The bytes are those that were recorded, whatever their type; None for topics means all.
        """
        with _opened(self.path) as (readers, damage):
            for reader in readers:
                wanted = [item for item in reader.connections
                          if topics is None or item.topic in topics]
                yield from _until_broken(reader, wanted, damage, start_ns, end_ns)
        self._tell(damage)

    def _tell(self, damage: Collection[str]) -> None:
        found = '; '.join(damage)
        if found and found not in self._told:
            self._told.add(found)
            _log.warning('the bag %s is damaged (%s): what can be read was used', self.path, found)


def _storage_files(path: Path) -> list[Path]:
    """List the storage files of a bag in order, compressed ones (name.mcap.zstd) too."""
    if path.is_dir():
        files = [file for file in path.iterdir() if STORAGES.keys() & set(file.suffixes)]
        if not files:
            raise ConfigError(f'{path} is no bag: it holds no .mcap or .db3 file; name a rosbag2 '
                              'folder')
        # split recordings are numbered: name_0.mcap .. name_10.mcap
        return sorted(files, key=lambda file: (len(file.name), file.name))
    if not path.is_file() or path.suffix not in STORAGES:
        what = 'no bag that can be read' if path.exists() else 'not there'
        raise ConfigError(f'{path} is {what}: name a rosbag2 folder, or a .mcap or .db3 file that '
                          'is not compressed as a whole')
    return [path]


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[Reader], dict[str, None]]]:
    """Open readers of all that can be read; give them and what is wrong, one phrase each."""
    damage: dict[str, None] = {}    # for its order, and since several readers meet the same
    with ExitStack() as stack:
        try:
            readers = [stack.enter_context(Reader(path))]
        except Exception as error:      # noqa: BLE001  rosbags raises what the bytes lead it into
            _check_compression(path)
            _note(damage, error)
            opened = [_open_damaged(file, stack, damage) for file in _storage_files(path)]
            readers = [reader for reader in opened if reader]
            if not readers:
                raise ConfigError(f'nothing can be read of the bag {path} '
                                  f'({"; ".join(damage)}): record it again') from error
        yield readers, damage


def _check_compression(path: Path) -> None:
    """Make sure that the metadata, where they can be read, tell no compression but zstd.

    Raises:
        ConfigError: if they do.
    """
    try:
        facts = read_yaml(path / 'metadata.yaml')
        told = facts['rosbag2_bagfile_information']['compression_format']
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return
    if told and told != 'zstd':
        raise ConfigError(f'the bag {path} is compressed as {told!r}, wanted zstd or none: '
                          'convert it with ros2 bag convert')


def _open_damaged(file: Path, stack: ExitStack, damage: dict[str, None]) -> Reader | None:
    """Open one storage file, else what is whole of it, else nothing."""
    if file.suffix not in STORAGES:
        damage[f'{file.name} is compressed, of which only metadata.yaml can tell'] = None
        return None
    try:
        return stack.enter_context(Reader(file))
    except Exception as error:      # noqa: BLE001
        _note(damage, error)
    try:
        if file.suffix == '.mcap':
            rest: Any = CutMcap(file)
        else:
            folder = stack.enter_context(TemporaryDirectory(prefix='frm_seg_bag_'))
            rest = recover_sqlite(file, Path(folder) / file.name)
        return stack.enter_context(Reader(rest))
    except Exception as error:      # noqa: BLE001
        _note(damage, error)
    return None


def _note(damage: dict[str, None], error: Exception) -> None:
    text = str(error).strip().rstrip('.') or type(error).__name__
    damage[text[:300]] = None


def _until_broken(reader: Reader, connections: list[Any], damage: dict[str, None],
                  start_ns: int | None = None,
                  end_ns: int | None = None) -> Iterator[tuple[Any, int, bytes]]:
    """Yield messages up to the first that cannot be read; append the reason to `damage`."""
    if not connections:     # rosbags takes none for all
        return
    messages = reader.messages(connections, start_ns, end_ns)
    while True:
        try:
            item = next(messages)
        except StopIteration:
            return
        except Exception as error:      # noqa: BLE001
            _note(damage, error)
            return
        yield item
