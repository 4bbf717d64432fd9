"""Writing of rosbag2 recordings, whole or not at all."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rosbags.interfaces import (
    Connection,
    MessageDefinition,
    MessageDefinitionFormat,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.metadata import dump_qos_v8
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.sources.bag_file import STORAGES, typestore

# Format of rosbag2 in Iron; Jazzy reads it too. (9 writes QoS in a form that came with Jazzy.)
_VERSION: Literal[8] = 8


def check_target(out: Path, storage: str, force: bool) -> None:
    """Make sure that a bag may be written, before any work is done.

    Raises:
        ConfigError: if there is no such storage, if `out` is there and `force` is not given, or if
            it is no bag.
    """
    if storage not in STORAGES.values():
        raise ConfigError(f'no storage is called {storage!r}: take one of '
                          f'{", ".join(sorted(STORAGES.values()))}')
    if out.exists() and not (out / 'metadata.yaml').is_file():
        raise ConfigError(f'{out} is there already and is no bag, so it is not replaced: name '
                          'another folder')
    if out.exists() and not force:
        raise ConfigError(f'{out} is there already: name another folder, or add --force to '
                          'replace the bag')


@contextmanager
def new_bag(out: Path, storage: str) -> Iterator[BagWriter]:
    """Open a bag that appears under its name when the block ends well, and else not at all."""
    with atomic_path(out) as folder, Writer(
            folder, version=_VERSION, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        yield BagWriter(writer)


class BagWriter:
    """Topics of an open rosbags writer, and the way from arrays to messages."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._types = typestore().types
        self._copies: dict[Any, Connection] = {}

    def topic(self, name: str, msgtype: str, depth: int = 10, latched: bool = False) -> Connection:
        """Add a topic: reliable, keep last `depth`; volatile, or transient local if `latched`."""
        return self._writer.add_connection(name, msgtype, typestore=typestore(),
                                           offered_qos_profiles=[_qos(depth, latched)])

    def put(self, connection: Connection, time_ns: int, message: Any) -> None:
        """Write a message, recorded at `time_ns`."""
        raw = typestore().serialize_cdr(message, connection.msgtype)
        self._writer.write(connection, time_ns, raw)

    def copy_topic(self, connection: Connection) -> None:
        """Add a topic of another bag as it is there, whatever its type.

        What that bag does not tell of its type (bags of Humble and older hold no hash, its sqlite3
        bags no definition either) is filled in where the type is known.
        """
        key = _key(connection)
        if key in self._copies:
            return
        definition, digest = _described(connection)
        writer = self._writer
        # Not writer.add_connection, which refuses a type without a definition and a hash.
        copy = connection._replace(id=len(writer.connections) + 1, msgdef=definition,
                                   digest=digest, msgcount=0, owner=writer)
        if copy.msgtype not in writer.added_types:
            writer.storage.add_msgtype(copy)
            writer.added_types.add(copy.msgtype)
        writer.storage.add_connection(copy, dump_qos_v8(copy.ext.offered_qos_profiles))
        writer.connections.append(copy)
        writer.counts[copy.id] = 0
        self._copies[key] = copy

    def copy(self, connection: Connection, time_ns: int, raw: bytes) -> None:
        """Write the bytes of a message of a topic that `copy_topic` added."""
        self._writer.write(self._copies[_key(connection)], time_ns, raw)

    def make(self, msgtype: str, **fields: Any) -> Any:
        """Make a message."""
        return self._types[msgtype](**fields)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """Make a std_msgs/Header."""
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        stamp = self.make('builtin_interfaces/msg/Time', sec=seconds, nanosec=nanoseconds)
        return self.make('std_msgs/msg/Header', stamp=stamp, frame_id=frame_id)

    def image(self, header: Any, image: np.ndarray, encoding: str) -> Any:
        """Make a sensor_msgs/Image of (H, W) uint8, `mono8`, or (H, W, 3) uint8, `rgb8`."""
        height, width = image.shape[:2]
        return self.make('sensor_msgs/msg/Image', header=header, height=height, width=width,
                         encoding=encoding, is_bigendian=0, step=image[0].size,
                         data=np.ascontiguousarray(image).reshape(-1))


def _key(connection: Connection) -> Any:
    return connection.topic, connection.msgtype, repr(connection.ext)


def _described(connection: Connection) -> tuple[MessageDefinition, str]:
    """Give definition and hash of a type; empty where nobody knows them."""
    definition, digest, name = connection.msgdef, connection.digest, connection.msgtype
    store = typestore()
    if definition.format == MessageDefinitionFormat.NONE:
        text = store.generate_msgdef(name, ros_version=2)[0] if name in store.fielddefs else ''
        definition = MessageDefinition(MessageDefinitionFormat.MSG, text)
    if not digest and definition.format == MessageDefinitionFormat.MSG and definition.data:
        own = get_typestore(Stores.EMPTY)
        # A definition that cannot be read is copied all the same, without a hash.
        with suppress(Exception):
            own.register(get_types_from_msg(definition.data, name))
            digest = own.hash_rihs01(name)
    return definition, digest


def _qos(depth: int, latched: bool) -> Qos:
    never = QosTime(9223372036, 854775807)      # rmw's infinite duration
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(QosHistory.KEEP_LAST, depth, QosReliability.RELIABLE, durability, never, never,
               QosLiveliness.AUTOMATIC, never, False)
