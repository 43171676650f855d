"""The same picture (`picture.perform`) as one web page that needs neither a server nor the network.

Global memory: each sector of 32 bytes is a row of 8 words, with the lanes that touch it. Shared memory: a column a
bank, a row a wavefront. A word that nobody touches is empty: it was moved for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from warpbench.course import draw

HUES = 8  # colours, for one sector or wavefront after the other
ROWS = 32  # sectors of a step that are drawn
STYLE = """
:root { color-scheme: light dark; --line: rgb(136 136 136 / 40%); --ink: rgb(17 17 17); }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; }
code, table { font-family: ui-monospace, monospace; font-size: 12px; }
section { border-top: 1px solid var(--line); margin-top: 1.5rem; }
h2 code { font-size: 1em; } h3 { margin-bottom: 0; } p { margin: .2rem 0 .6rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .3rem 0 .8rem; }
td, th { border: 1px solid var(--line); min-width: 1.3rem; padding: 1px 3px; text-align: center; font-weight: normal; }
th { opacity: .7; text-align: right; }
.off { opacity: .3; }
""" + "".join(f".u{n} {{ background: hsl({(n * 137) % 360} 70% 72%); color: var(--ink); }}\n" for n in range(HUES))


def page(picture: Mapping[str, Any]) -> str:
    """The whole page."""
    title = f"{picture['exercise']}: what its threads touch"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>At {escape(picture['case'])}, on ptxvm for {escape(picture['arch'])}.</p>",
    ]
    body.append(
        "<p>Each lane of a warp has the colour of the 32-byte sector that it touches in global memory, or of the "
        "wavefront in which shared memory serves it. Empty boxes are words that are moved and that no lane wants.</p>"
    )
    for launch in picture["launches"]:
        grid, block = draw.size(launch["grid"]), draw.size(launch["block"])
        body.append(f"<h2><code>{escape(launch['kernel'])}</code>, grid {grid}, block {block}</h2>")
        for access in launch["accesses"]:
            body += _access(access)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _access(access: Mapping[str, Any]) -> Iterator[str]:
    yield f"<section><h3>{escape(draw.head(access))}</h3>"
    if access["text"]:
        yield f"<code>{escape(access['text'])}</code>"
    yield f"<p>{escape(draw.cost(access))}</p>"
    for n, step in enumerate(access["steps"]):
        name = f"block {step['block']}, warp {step['warp']}, time {step['number']} of {access['times']}"
        words = f"{name}: {draw.touched(access, step)}"
        yield f"<details{' open' if n == 0 else ''}><summary>{escape(words)}</summary><div class=scroll>"
        yield from _lanes(access, step)
        yield from _banks(step) if access["space"] == "shared" else _sectors(access, step)
        yield "</div></details>"
    yield "</section>"


def _lanes(access: Mapping[str, Any], step: Mapping[str, Any]) -> Iterator[str]:
    """A row of the 32 lanes."""
    groups = step["passes"] or step["unit"]
    order = {unit: n for n, unit in enumerate(sorted(set(groups)))}
    lanes = {lane: i for i, lane in enumerate(step["lanes"])}
    cells = []
    for lane in range(32):
        i = lanes.get(lane)
        if i is None:
            cells.append(f'<td class=off title="lane {lane} is switched off">{lane}</td>')
            continue
        where = f"lane {lane}: {draw.element(access, step['offsets'][i])}"
        cells.append(f'<td class=u{order[groups[i]] % HUES} title="{escape(where)}">{lane}</td>')
    yield f"<table><tr><th>lanes</th>{''.join(cells)}</tr></table>"


def _sectors(access: Mapping[str, Any], step: Mapping[str, Any]) -> Iterator[str]:
    """A row for each sector: 8 words, each with the lanes that touch it."""
    at: dict[int, list[int]] = {}  # word, counted from the first sector -> lanes
    for lane, offset in zip(step["lanes"], step["offsets"], strict=True):
        for word in range((offset + step["start"]) // 4, (offset + step["start"] + access["width"] - 1) // 4 + 1):
            at.setdefault(word, []).append(lane)
    sectors = sorted(set(step["unit"]))
    yield "<table>"
    for n, sector in enumerate(sectors[:ROWS]):
        first = draw.element(access, 32 * sector - step["start"])
        cells = [_cell(at.get(8 * sector + i, []), n) for i in range(8)]
        yield f"<tr><th>{escape(first)}</th>{''.join(cells)}</tr>"
    yield "</table>"


def _banks(step: Mapping[str, Any]) -> Iterator[str]:
    """A row for each wavefront, a column for each bank."""
    at: dict[tuple[int, int], list[int]] = {}
    for lane, bank, turn in zip(step["lanes"], step["unit"], step["passes"], strict=True):
        at.setdefault((turn, bank), []).append(lane)
    banks = "".join(f"<th>{bank}</th>" for bank in range(32))
    yield f"<table><tr><th>bank</th>{banks}</tr>"
    for turn in range(max(step["passes"], default=-1) + 1):
        cells = [_cell(at.get((turn, bank), []), turn) for bank in range(32)]
        yield f"<tr><th>wavefront {turn + 1}</th>{''.join(cells)}</tr>"
    yield "</table>"


def _cell(lanes: Sequence[int], colour: int) -> str:
    if not lanes:
        return "<td></td>"
    shown = str(lanes[0]) if len(lanes) == 1 else f"{lanes[0]}+{len(lanes) - 1}"
    return f'<td class=u{colour % HUES} title="lanes {escape(", ".join(map(str, lanes)))}">{shown}</td>'
