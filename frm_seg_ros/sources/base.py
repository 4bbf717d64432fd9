"""Sources of frames, and the way from a text such as `camvid:PATH:val` to one."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.core.plugins import load_plugin
from frm_seg_ros.sources.bag_options import BagOptions

# Every value is a function that takes what follows the first colon of the text and gives a
# FrameSource; USAGE is how that text looks.
SOURCES = {
    'bag': 'frm_seg_ros.sources.bag_cameras:open_bags',
    'bdd100k': 'frm_seg_ros.sources.bdd100k:open_bdd100k',
    'camvid': 'frm_seg_ros.sources.camvid:open_camvid',
    'cityscapes': 'frm_seg_ros.sources.cityscapes:open_cityscapes',
    'images': 'frm_seg_ros.sources.images:open_images',
    'labelled': 'frm_seg_ros.sources.labelled:open_labelled',
    'synthetic': 'frm_seg_ros.sources.synthetic:open_synthetic',
}
USAGE = {
    'bag': 'bag:PATH or bag:PATH#/image/topic#/truth/topic',
    'bdd100k': 'bdd100k:ROOT:SPLIT',
    'camvid': 'camvid:ROOT:SPLIT',
    'cityscapes': 'cityscapes:ROOT:SPLIT',
    'images': 'images:DIR or images:VIDEO',
    'labelled': 'labelled:ROOT:SPLIT',
    'synthetic': 'synthetic:SEED:COUNT',
}


class FrameSource(Protocol):
    """Frames in order, with bounded memory: one frame is held at a time.

    Attributes:
        label_space: the space of the frames' truth; None when they have none.
        rate_hz: frames a second, as the source's stamps have it.
    """

    label_space: LabelSpace | None
    rate_hz: float

    def __len__(self) -> int:
        """Count the frames."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame once, from the first on, at each call anew."""


def open_source(text: str, bag_options: BagOptions | None = None) -> FrameSource:
    """Open `KIND:ARGUMENTS`, such as `synthetic:7:200`.

    Args:
        text: as above.
        bag_options: what else is wanted of a bag.

    Raises:
        ConfigError: if the kind is unknown or its arguments are wrong; says how it should look.
            Also if there are options for a bag, but the source is none.
    """
    kind, colon, arguments = text.partition(':')
    if not colon or not arguments:
        ways = ', '.join(USAGE[name] for name in sorted(USAGE))
        raise ConfigError(f'{text!r} is not a source: write it as one of {ways}')
    open_it = load_plugin('source', kind, SOURCES)
    if not bag_options or not bag_options.told:
        return open_it(arguments)
    if kind != 'bag':
        raise ConfigError(f'{text!r} is no bag, but {", ".join(bag_options.told)} can be told of '
                          'bags only: name a bag, or leave them out')
    return open_it(arguments, bag_options)
