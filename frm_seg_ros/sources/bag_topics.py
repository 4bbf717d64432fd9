"""The topics of a bag by their part: images, truth, label space."""
from __future__ import annotations

from collections.abc import Collection

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.bag_file import Bag
from frm_seg_ros.sources.bag_options import BagOptions

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
STRING = 'std_msgs/msg/String'
TRUTH_ENDINGS = ('label_image', 'labels', 'truth')
LABEL_SPACE_ENDING = 'label_space'


def _filled(bag: Bag, *types: str) -> list[str]:
    return sorted(name for name, topic in bag.topics.items()
                  if topic.type in types and topic.count)


def _truth_topics(bag: Bag) -> list[str]:
    return [name for name in _filled(bag, IMAGE) if name.endswith(TRUTH_ENDINGS)]


def _image_topics(bag: Bag) -> list[str]:
    return [name for name in _filled(bag, IMAGE, COMPRESSED) if name not in _truth_topics(bag)]


def find_topics(bag: Bag, options: BagOptions) -> tuple[str, str | None]:
    """Find the topics of the images and of the truth, None where no topic has it.

    Raises:
        ConfigError: if a topic that was told is not there or of another type, or if there are
            several to choose from; lists them.
    """
    images = [name for name in _image_topics(bag) if name != options.predictions]
    image_topic = options.topic or _only(bag, 'image', images)
    _check_topic(bag, image_topic, (IMAGE, COMPRESSED))
    truths = [name for name in _truth_topics(bag) if name != options.predictions]
    if options.truth_topic or options.truth_dir:
        truths = [name for name in (options.truth_topic,) if name]
    truth_topic = _only(bag, 'truth', truths) if truths else None
    for topic in filter(None, (truth_topic, options.predictions)):
        _check_topic(bag, topic, (IMAGE,))
    return image_topic, truth_topic


def _only(bag: Bag, what: str, names: Collection[str]) -> str:
    if len(names) != 1:
        raise ConfigError(
            f'the bag {bag.path} has {len(names)} {what} topics{": " if names else ""}'
            f'{", ".join(names)}; one is wanted: name it, as in bag:PATH#/image/topic#/truth/topic'
            f' (the bag holds {_contents(bag)})')
    return next(iter(names))


def _check_topic(bag: Bag, name: str, types: Collection[str]) -> None:
    if name not in bag.topics or bag.topics[name].type not in types:
        found = bag.topics[name].type if name in bag.topics else 'no such topic'
        raise ConfigError(f'{name} in the bag {bag.path} is {found}, wanted {" or ".join(types)}: '
                          f'the bag holds {_contents(bag)}')


def _contents(bag: Bag) -> str:
    topics = ', '.join(f'{name} ({topic.type}, {topic.count})'
                       for name, topic in sorted(bag.topics.items())) or 'no topics'
    return topics + (f'; it is damaged: {"; ".join(bag.damage)}' if bag.damage else '')


def find_label_space(bag: Bag, told: str) -> LabelSpace | None:
    """Load the label space that was told, else the one that the bag names or holds, if any.

    Args:
        bag: where to look.
        told: name or YAML file of a label space; may be empty.

    Raises:
        ConfigError: if there is no such label space.
    """
    names = {name for name in _filled(bag, STRING) if name.endswith(LABEL_SPACE_ENDING)}
    if not told and names:
        told = next((message.data for _, _, message in bag.messages(names)), '')
        if '\n' in told:    # no name, but the label space itself
            return LabelSpace.parse(told, f'the label space in the bag {bag.path}')
    return LabelSpace.load(told) if told else None
