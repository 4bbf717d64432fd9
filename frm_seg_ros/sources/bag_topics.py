"""The topics of a bag by their part: images, truth, label space."""
from __future__ import annotations

from collections.abc import Collection, Sequence

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_message import read_label_space
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.bag_file import Bag
from frm_seg_ros.sources.bag_options import BagOptions

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
STRING = 'std_msgs/msg/String'
TRUTH_ENDINGS = ('label_image', 'labels', 'truth')
LABEL_SPACE_ENDING = 'label_space'
LABEL_SPACE = 'frm_seg_ros/msg/LabelSpace'


def _filled(bag: Bag, *types: str) -> list[str]:
    return sorted(name for name, topic in bag.topics.items()
                  if topic.type in types and topic.count)


def _label_spaces(bag: Bag) -> dict[str, str]:
    """Find the LabelSpace topics by their prefix: what begins so is the output of that node."""
    found = {name: name.removesuffix(LABEL_SPACE_ENDING) for name in _filled(bag, LABEL_SPACE)}
    return {prefix: name for name, prefix in found.items() if prefix not in (name, '/')}


def _inputs(bag: Bag, *types: str) -> list[str]:
    outputs = tuple(_label_spaces(bag))
    return [name for name in _filled(bag, *types) if not name.startswith(outputs)]


def _truth_topics(bag: Bag) -> list[str]:
    return [name for name in _inputs(bag, IMAGE) if name.endswith(TRUTH_ENDINGS)]


def _image_topics(bag: Bag) -> list[str]:
    return [name for name in _inputs(bag, IMAGE, COMPRESSED) if name not in _truth_topics(bag)]


def find_image_topics(bag: Bag, told: Sequence[str] = ()) -> list[str]:
    """Find the topics of the images: those told, else the only one.

    Raises:
        ConfigError: if one that was told is not there or of another type, or if none was told and
            there are several to choose from; lists them.
    """
    names = list(dict.fromkeys(told)) or [_only(bag, 'image', _image_topics(bag))]
    for name in names:
        _check_topic(bag, name, (IMAGE, COMPRESSED))
    return names


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


def find_camera_info(bag: Bag, image_topic: str) -> str | None:
    """Find the CameraInfo topic of images: camera_info in their namespace, as image_transport."""
    folder = image_topic.removesuffix('/compressed').rpartition('/')[0]
    name = f'{folder}/camera_info'
    return name if name in _filled(bag, CAMERA_INFO) else None


def _only(bag: Bag, what: str, names: Collection[str]) -> str:
    if not any(topic.count for topic in bag.topics.values()):
        raise ConfigError(f'the bag {bag.path} is empty: it holds {_contents(bag)}; record it '
                          'again')
    if len(names) != 1:
        raise ConfigError(
            f'the bag {bag.path} has {len(names)} {what} topics{": " if names else ""}'
            f'{", ".join(names)}; one is wanted: name it with --topic or --truth-topic, or as in '
            f'bag:PATH#/image/topic#/truth/topic (the bag holds {_contents(bag)})')
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


def find_confidence(bag: Bag, predictions: str) -> str | None:
    """Find the topic on which a node of ours told how sure its label images are."""
    name = predictions.removesuffix('label_image') + 'confidence'
    ours = predictions.endswith('label_image') and predictions.startswith(
        tuple(_label_spaces(bag)))
    return name if ours and name in _filled(bag, IMAGE) else None


def find_predictions_space(bag: Bag, options: BagOptions,
                           truth: LabelSpace | None) -> LabelSpace | None:
    """Load the label space that was told, else that of the node that recorded the predictions.

    Args:
        bag: where to look.
        options: name the topic of the predictions, and may name their space.
        truth: space of the truth, taken where nobody tells.

    Raises:
        ConfigError: if there is no such label space.
    """
    if options.predictions_space:
        return LabelSpace.load(options.predictions_space)
    spaces = [name for prefix, name in sorted(_label_spaces(bag).items())
              if options.predictions.startswith(prefix)]
    for _, _, message in bag.messages(spaces[-1:]):
        return read_label_space(message, f'{spaces[-1]} in the bag {bag.path}')
    return truth
