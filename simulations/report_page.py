"""The page of a report: figures with their captions, commands and data, in one HTML file that fetches nothing."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure as Canvas


@dataclass(frozen=True)
class Figure:
    """One figure of the report.

    Attributes:
        name: Its file's name, less the ending.
        title: Its heading.
        caption: What it shows, and how to read it.
        command: What made its data.
        canvas: The drawing.
        data: The numbers that are drawn.
        question: What the notes answer.
        notes: What the data say beside the drawing, a line each.
    """

    name: str
    title: str
    caption: str
    command: str
    canvas: Canvas
    data: pd.DataFrame
    question: str = ""
    notes: tuple[str, ...] = ()


def page(figures: Sequence[Figure], broken: Sequence[str], tunings: Sequence[dict[str, Any]] = ()) -> str:
    """The HTML, whole: style and figures inside, nothing fetched."""
    parts = [_HEAD, "<h1>What a privacy budget buys</h1>"]
    parts.append(
        "<p>Every figure below stands with the command that made its data, and with the data. The unit of privacy is"
        " a user's whole history, added or removed; ε is the budget that a run was given, which it never passes.</p>"
    )
    parts += [_tuning(tuning) for tuning in tunings] or [f"<p>{html.escape(UNTOLD)}</p>"]
    if broken:
        items = "".join(f"<li>{html.escape(line)}</li>" for line in broken)
        parts.append(f"<section class='broken'><h2>Runs that failed</h2><ul>{items}</ul></section>")
    for figure in figures:
        numbers = figure.data.to_html(index=False, float_format=lambda value: f"{value:.4g}", border=0, na_rep="")
        parts.append(
            f"<section id='{html.escape(figure.name)}'><h2>{html.escape(figure.title)}</h2>"
            f"<figure>{_svg(figure)}<figcaption>{html.escape(figure.caption)}</figcaption></figure>"
            f"{_notes(figure)}<pre>{html.escape(figure.command)}</pre>"
            f"<details><summary>the data</summary><div class='data'>{numbers}</div></details></section>"
        )
    return "\n".join([*parts, "</body></html>\n"])


def _notes(figure: Figure) -> str:
    if not figure.notes:
        return ""
    lines = "".join(f"<li>{html.escape(note)}</li>" for note in figure.notes)
    return f"<details open><summary>{html.escape(figure.question)}</summary><ul>{lines}</ul></details>"


UNTOLD = (
    "Settings of the runs and of their references were chosen on validation splits of these data, outside any privacy"
    " budget; no file of `sottovoce tune` was given that says with how many trials."
)


def _tuning(found: dict[str, Any]) -> str:
    """What a search saw, how long it took for each contender, and what it found."""
    lines = [
        {
            "contender": search["contender"],
            "ε": "no DP" if search["epsilon"] is None else f"{search['epsilon']:g}",
            "trials": search["trials"],
            "best found": _interval(search["best"]),
            "committed before": _interval(search["committed"]),
            "its values": ", ".join(
                f"{key.split('.')[-1]} {_short(value)}" for key, value in search["best"]["values"].items()
            ),
        }
        for search in found["searches"]
    ]
    table = pd.DataFrame(lines).to_html(index=False, border=0)
    return (
        f"<section class='tuning'><h2>{html.escape(found['dataset'])}: how settings were chosen</h2>"
        f"<p>{html.escape(found['says'])} Every contender had {found['trials']} trials of {found['seeds']} run each;"
        f" the {found['finalists']} best of them, and the values committed before, were measured again over"
        f" {found['confirm']} runs with fresh noise ({html.escape(found['metric'])} on validation, 95 % interval over"
        " runs).</p>"
        f"<details><summary>trials and values</summary><div class='data'>{table}</div></details></section>"
    )


def _interval(finalist: dict[str, Any]) -> str:
    if "error" in finalist:
        return "failed"
    spread = "" if finalist["runs"] == 1 else f" [{finalist['low']:.4f}, {finalist['high']:.4f}]"
    return f"{finalist['mean']:.4f}{spread}"


def _short(value: Any) -> str:  # noqa: ANN401 - a number or a text
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _svg(figure: Figure) -> str:
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": figure.name}):
        text = io.StringIO()
        figure.canvas.savefig(text, format="svg")
    return text.getvalue()[text.getvalue().index("<svg") :]


_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>What a privacy budget buys</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; }
figure { margin: 0; } figure svg { max-width: 100%; height: auto; }
figcaption { color: #555; font-size: 0.9rem; }
pre { background: #f4f4f4; padding: 0.4rem 0.7rem; overflow-x: auto; font-size: 0.85rem; }
table { border-collapse: collapse; font-size: 0.8rem; } th, td { padding: 0.15rem 0.6rem; text-align: right; }
tr:nth-child(even) { background: #f7f7f7; } .data { overflow-x: auto; }
.broken { border-left: 4px solid #b00; padding-left: 1rem; }
section { margin: 2.5rem 0; }
</style></head><body>"""
