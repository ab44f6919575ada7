"""How MovieLens writes a film, and how a person would: `Matrix, The (1999)` is `The Matrix (1999)`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_YEAR = re.compile(r"(?<=\S)\s*\((\d{4})(?:[-–]\d{0,4})?\)\s*$")
_MEDIUM = re.compile(r"\((?:V|TV)\)\s*$")  # made for video or television
_ARTICLES = (
    "The|A|An|Le|La|Les|L'|Un|Une|Il|Lo|I|Gli|El|Los|Las|Una|Der|Die|Das|Den|Ein|Eine|Det|De|Het|Een|En|Ett|O|Os|As"
)
_TRAILING_ARTICLE = re.compile(rf"([^(),][^()]*), ({_ARTICLES})(?= *(?:\(|\)|$))")
_NO_GENRE = frozenset({"", "unknown", "(no genres listed)"})
_MISSPELT = {"unkonwn": "unknown"}  # RecBole's copy of ML-100K, film 267


@dataclass(frozen=True)
class Film:
    """A film as it is shown: its title without the year, its year or nothing, its genres."""

    title: str
    year: str
    genres: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The title with its year, as people cite films."""
        return f"{self.title} ({self.year})" if self.year else self.title


def read_film(title: str, genres: list[str], year: str = "") -> Film:
    """Normalise one film, so that every release of MovieLens gives the same text for it.

    Args:
        title: As released, with or without the year behind it.
        genres: As released; a name that means "none" is left out.
        year: Where the release has a column for it; anything but four digits is ignored.
    """
    text = _MEDIUM.sub("", " ".join(title.split())).strip()
    found = _YEAR.search(text)
    if found:
        text = text[: found.start()].strip()
    year = year if re.fullmatch(r"\d{4}", year) else (found[1] if found else "")
    kept = tuple(genre.strip() for genre in genres if genre.strip() not in _NO_GENRE)
    return Film(_TRAILING_ARTICLE.sub(_lead_with_article, _MISSPELT.get(text, text)), year, kept)


def _lead_with_article(match: re.Match[str]) -> str:
    title, article = match[1], match[2]
    return f"{article}{title}" if article.endswith("'") else f"{article} {title}"
