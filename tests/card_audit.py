"""An auditor of card texts that shares no code with the check that is shipped: titles, years and categories.

Reads what `benchmarks/cards.py --texts FILE` wrote: `python tests/card_audit.py FILE` prints every complaint.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

KINDS = {
    "Action": r"action", "Adventure": r"adventur\w+", "Animation": r"animat\w+|cartoons?",
    "Children's": r"child(?:ren)?\w*|kids?", "Comedy": r"comed\w+", "Crime": r"crim\w+",
    "Documentary": r"documentar\w+", "Drama": r"drama\w*", "Fantasy": r"fantas(?:y|ies)", "Film-Noir": r"noir",
    "Horror": r"horror\w*", "Musical": r"musicals?", "Mystery": r"myster(?:y|ies)", "Romance": r"roman(?:ce|ces|tic)",
    "Sci-Fi": r"sci[- ]?fi|science[- ]fiction", "Thriller": r"thrillers?", "War": r"wars?|wartime",
    "Western": r"westerns?",
}  # fmt: skip


def plain(title: str) -> str:
    return re.sub(r" \(\d{4}\)$", "", title)


class Auditor:
    """Knows a catalogue's titles."""

    def __init__(self, titles: Iterable[str]) -> None:
        names = {plain(title) for title in titles}
        self.names = sorted((n for n in names if " " in n or len(n) > 4), key=len, reverse=True)

    def complaints(self, text: str, title: str, reasons: list[str], categories: list[str]) -> list[str]:
        """What a text names that it was not given; empty is well."""
        allowed = [title, *reasons]
        years = {year for each in allowed for year in re.findall(r"\d{4}", each)}
        found = [
            f"year {year}"
            for year in re.findall(r"\b(?:1[5-9]|20)\d\d\b", self._strip(text, allowed))
            if year not in years
        ]
        rest = self._strip(text, allowed)
        found += [
            f"title {name}"
            for name in self.names
            if name in rest and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", rest)
        ]
        for kind, words in KINDS.items():
            if kind not in categories and re.search(rf"\b(?:{words})\b", rest, re.IGNORECASE):
                found.append(f"category {kind}")
        return found

    def _strip(self, text: str, titles: list[str]) -> str:
        for title in sorted({form for each in titles for form in (each, plain(each))}, key=len, reverse=True):
            text = text.replace(title, "…")
        return text


def main(path: Path) -> int:
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    auditor = Auditor(json.loads(path.with_suffix(".titles.json").read_text(encoding="utf-8")))
    bad = 0
    for each in records:
        told = auditor.complaints(each["text"], each["title"], each["reasons"], each["categories"])
        bad += bool(told)
        if told:
            print(each["text"], told)
    print(
        f"{len(records) - bad} of {len(records)} texts pass; {sum(each['by_model'] for each in records)} by the model"
    )
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
