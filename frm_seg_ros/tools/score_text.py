"""The result of an evaluation in words, from what its JSON holds."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frm_seg_ros.segmenter import mode_text


def map_facts(result: Mapping[str, Any]) -> dict[str, str]:
    """Tell in words of the map in the JSON's dict; nothing where there was none."""
    if not result['map']:
        return {}
    return {'label map': result['map'],
            f'scored over {len(result["classes"])} common classes': ', '.join(result['classes'])}


def option_facts(result: Mapping[str, Any]) -> dict[str, str]:
    """Tell in words what was wanted of a bag, and which frames were left out."""
    facts = {name: str(value) for name, value in result['bag_options'].items()}
    for name, count in result['unmatched'].items():
        if count:
            facts[f'frames left out, without {name}'] = str(count)
    return facts


def mode_facts(result: Mapping[str, Any]) -> dict[str, str]:
    """Tell in words how the images were run; nothing where no model ran."""
    return {'run at': mode_text(result['scales'], result['flip'])} if result['scales'] else {}


def score_table(result: Mapping[str, Any]) -> str:
    """Lay out the scores of `summarise` for a terminal, one class a line."""
    rows = [(name, result['iou'][name]) for name in result['iou']]
    rows += [('mIoU', result['miou']), ('pixel accuracy', result['pixel_accuracy'])]
    return '\n'.join(f'{name:<20} {"     -" if value is None else f"{value:6.3f}"}'
                     for name, value in rows)
