"""The look of the report: one page of HTML that needs nothing from outside."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

_STYLE = """
:root { --bg: #f6f7f9; --card: #fff; --ink: #1b1f24; --soft: #667080; --line: #e2e6eb;
  --accent: #2563eb; --cell: 37, 99, 235; --bad: #d33a2c; --good: #1a7f4b;
  color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --bg: #12151a; --card: #1b2027; --ink: #e8ebef; --soft: #9aa5b3; --line: #2e353f;
    --accent: #7aa7ff; --cell: 122, 167, 255; --bad: #ff7b6b; --good: #5fd19a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 16px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 12px; }
p { margin: 0 0 12px; }
.soft { color: var(--soft); font-size: 13px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 18px; margin-top: 16px; }
.tiles { display: grid; gap: 12px; margin-top: 18px;
  grid-template-columns: repeat(4, 1fr); }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 14px 16px; }
.tile b { display: block; font-size: 28px; line-height: 1.2; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
section .tiles { grid-template-columns: repeat(auto-fit, minmax(104px, 1fr)); margin: 0 0 18px; }
section .tile { padding: 8px 12px; border: 0; background: var(--bg); }
section .tile b { font-size: 18px; }
.tile:first-child b { color: var(--accent); }
.pair { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(310px, 1fr)); }
.pair > section { min-width: 0; margin-top: 0; }
.pair { margin-top: 16px; }
pre { margin: 0; padding: 12px; overflow-x: auto; background: var(--bg); border-radius: 8px;
  font-size: 13px; white-space: pre-wrap; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: fit-content(240px) minmax(0, 1fr); gap: 4px 16px;
  margin: 14px 0 0; }
dt { color: var(--soft); overflow-wrap: anywhere; } dd { margin: 0; overflow-wrap: anywhere; }
.bar { display: grid; grid-template-columns: 112px 1fr 48px; gap: 10px; align-items: center;
  margin: 5px 0; font-size: 14px; }
.bar span:first-child { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.track { background: var(--bg); border-radius: 5px; height: 14px; overflow: hidden; }
.fill { height: 100%; border-radius: 5px;
  box-shadow: inset 0 0 0 1px rgba(127, 127, 127, .45); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 12px;
  font-variant-numeric: tabular-nums; }
td { text-align: center; min-width: 38px; height: 28px; border: 1px solid var(--card); }
th { font-weight: 500; color: var(--soft); padding: 2px 8px; text-align: right; }
th span { display: inline-block; max-width: 220px; max-height: 150px; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; vertical-align: middle; }
tbody th, .plain thead th:first-child { position: sticky; left: 0; background: var(--card); }
thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left;
  padding: 8px 2px; vertical-align: top; }
.plain { max-width: 640px; }
.better { color: var(--good); } .worse { color: var(--bad); } .best { font-weight: 700; }
.gap { height: 7px; }
.stack { display: grid; gap: 16px; align-content: start; min-width: 0; }
.stack > section { margin-top: 0; min-width: 0; }
svg + .legend { margin-top: 8px; } .legend + .scroll { margin-top: 8px; }
.verdict { padding: 10px 14px; border-left: 4px solid var(--line); background: var(--bg);
  border-radius: 6px; }
.plain thead th { writing-mode: horizontal-tb; transform: none; text-align: center; }
.plain thead th:first-child { text-align: right; }
.plain td { min-width: 0; padding: 0 6px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--soft); font-size: 16px; }
.legend { display: flex; flex-wrap: wrap; gap: 6px 16px; font-size: 14px; }
.legend span, .soft { min-width: 0; overflow-wrap: anywhere; }
.swatch { display: inline-block; width: 14px; height: 14px; border-radius: 4px;
  border: 1px solid rgba(127, 127, 127, .6); vertical-align: -2px; margin-right: 6px; }
.shots { display: grid; grid-template-columns: repeat(4, 1fr); gap: 6px; margin-bottom: 6px; }
.shots img { width: 100%; display: block; border-radius: 6px; }
.shots figure { margin: 0; } figcaption { font-size: 12px; color: var(--soft); }
.frame { scroll-margin-top: 12px; }
.frame + .frame { margin-top: 18px; padding-top: 18px; border-top: 1px solid var(--line); }
.frame:target { outline: 2px solid var(--accent); outline-offset: 8px; border-radius: 6px; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin-top: 14px; font-size: 14px; }
details { margin-top: 14px; } summary { cursor: pointer; color: var(--accent); }
@media print { details > * { display: block; } section { break-inside: avoid; } }
@media (max-width: 640px) { main { padding: 20px 12px 48px; } section { padding: 14px; }
  th span { max-width: 104px; max-height: 110px; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; } dd { margin-bottom: 8px; }
  .bar { grid-template-columns: 92px 1fr 44px; gap: 8px; }
  .tiles { grid-template-columns: repeat(2, 1fr); gap: 10px; }
  section .tiles { grid-template-columns: repeat(auto-fit, minmax(104px, 1fr)); gap: 8px; }
  svg text { font-size: 22px; } .shots { grid-template-columns: repeat(2, 1fr); }
  .tile b { font-size: 20px; } h1 { font-size: 21px; } }
"""


def page(title: str, subtitle: str, tiles: str, sections: str) -> str:
    """Put a page together; `tiles` and `sections` are HTML, the rest is text."""
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n'
            f'<body><main><h1>{escape(title)}</h1><div class="soft">{escape(subtitle)}</div>\n'
            f'{tiles}\n{sections}\n</main></body></html>\n')


def section(title: str, body: str, remark: str = '', anchor: str = '') -> str:
    """Frame a part of the page; `body` is HTML, the rest is text, `anchor` a target of links."""
    soft = f'<p class="soft">{escape(remark)}</p>' if remark else ''
    target = f' id="{escape(anchor)}"' if anchor else ''
    return f'<section{target}><h2>{escape(title)}</h2>{soft}{body}</section>'


def links(targets: Mapping[str, str]) -> str:
    """Lead to parts of the page, whose anchors are given by the text of the link."""
    return ''.join(f'<a href="#{escape(anchor)}">{escape(text)}</a> '
                   for text, anchor in targets.items())


def hidden(summary: str, body: str) -> str:
    """Keep HTML behind a line of text until that is asked for."""
    return f'<details><summary>{escape(summary)}</summary>{body}</details>'


def tiles(values: Mapping[str, str]) -> str:
    """Show a few figures large, by their names."""
    cells = ''.join(f'<div class="tile"><b>{escape(value)}</b><span class="soft">{escape(name)}'
                    '</span></div>' for name, value in values.items())
    return f'<div class="tiles">{cells}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out rows of text; the first column names them."""
    top = ''.join(name_cell(name) for name in head)
    body = ''.join(f'<tr>{name_cell(row[0])}'
                   + ''.join(f'<td>{escape(text)}</td>' for text in row[1:]) + '</tr>'
                   for row in rows)
    return (f'<div class="scroll"><table class="plain"><thead><tr>{top}</tr></thead>'
            f'<tbody>{body}</tbody></table></div>')


def name_cell(name: str) -> str:
    """Head a row or column of a table; names that are too long are cut short."""
    return f'<th title="{escape(name)}"><span>{escape(name)}</span></th>'


def facts(values: Mapping[str, str]) -> str:
    """List facts by their names."""
    rows = ''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>'
                   for name, value in values.items())
    return f'<dl>{rows}</dl>'
