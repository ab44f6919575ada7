"""What the page and gRPC show, as plain values: item ids instead of catalogue positions, and nothing of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Basis(StrEnum):
    """What a list rests on."""

    HISTORY = "history"
    POPULARITY = "popularity"
    WISH = "wish"
    KEYWORDS = "keywords"
    ITEM = "item"


class Source(StrEnum):
    """What a person has to do with an item: it is of their history (liked too or not), only liked, or disliked."""

    HISTORY = "history"
    LIKED = "liked"
    DISLIKED = "disliked"


@dataclass(frozen=True)
class Term:
    """One item that the person met or spoke of, and what it adds to a score."""

    item_id: str
    title: str
    effect: float
    kind: Source = Source.HISTORY


@dataclass(frozen=True)
class Item:
    """What is public of an item.

    Attributes:
        item_id: As the catalogue names it.
        title: What a person reads.
        year: Empty where the catalogue has none.
        categories: Its categories.
    """

    item_id: str
    title: str
    year: str
    categories: tuple[str, ...]


@dataclass(frozen=True)
class Card(Item):
    """One item of a list.

    Attributes:
        score: Its score, above that of an average item without a history.
        probability: Its share of the softmax over all items that may be recommended; `None` for what was searched for.
        popularity: The part of `score` that popularity adds.
        wish: The part of `score` that the person's words add.
        reasons: What of the history, or of what was liked, lifts it most.
    """

    score: float
    probability: float | None
    popularity: float
    wish: float
    reasons: tuple[Term, ...]


@dataclass(frozen=True)
class Model:
    """The model in use.

    Attributes:
        present: Whether there is one.
        digest: sha256 that names every byte of it.
        version: As its federation counts; zero for a bundle that is not signed.
        items: Size of its catalogue.
        problem: Why there is none, where one was expected.
    """

    present: bool
    digest: str = ""
    version: int = 0
    items: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Listing:
    """A list of recommendations.

    Attributes:
        cards: Best first.
        basis: What it rests on.
        history: How many items the person's history has.
        masked: Whether personal data in the person's words was masked.
        model: The model in use.
    """

    cards: tuple[Card, ...]
    basis: Basis
    history: int
    masked: bool
    model: Model


@dataclass(frozen=True)
class Without:
    """Without one item in the history, the explained item would stand at `rank`."""

    item_id: str
    title: str
    rank: int


@dataclass(frozen=True)
class Part:
    """One block of the item vectors (texts, words, price, picture …), and what likeness in it adds to a score."""

    name: str
    effect: float


@dataclass(frozen=True)
class Why:
    """A score, taken apart: `popularity`, `wish` and the effects in `history` sum to `score`.

    Attributes:
        item_id: The explained item.
        score: Above that of an average item without a history.
        popularity: What popularity adds.
        wish: What the person's words add, or the item that the list is like.
        content: The part of all effects that likeness of items explains.
        correction: The part of all effects that was learned together.
        blocks: `content` by block; empty where the model does not say what its vectors were put together from.
        history: One term per item that still counts: of the history, liked or disliked; one of the history that is also
            liked counts twice, in one term.
        rank: Place among all items that may be recommended, from 1; zero if it is not among them.
        items: How many these are.
        without: For the strongest terms.
    """

    item_id: str
    score: float
    popularity: float
    wish: float
    content: float
    correction: float
    blocks: tuple[Part, ...]
    history: tuple[Term, ...]
    rank: int
    items: int
    without: tuple[Without, ...]


@dataclass(frozen=True)
class Entry:
    """One line of the history, as the person sees it.

    Attributes:
        subject: An item id; a category for `hide_category`.
        title: `None` if the model's catalogue does not have it.
        kind: What was said.
        at: UTC, ISO 8601.
    """

    subject: str
    title: str | None
    kind: str
    at: str


@dataclass(frozen=True)
class HistoryPage:
    """A part of the history, newest first, out of `total` entries."""

    total: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Share:
    """The probability that the next item is of a category: for this person, and for somebody unknown."""

    category: str
    probability: float
    everybody: float


@dataclass(frozen=True)
class Profile:
    """A taste, as the model sees it."""

    shares: tuple[Share, ...]
    keywords: tuple[str, ...]
    hidden: tuple[str, ...]
    history: int


@dataclass(frozen=True)
class Update:
    """One message that left this device: when (UTC), for which release, how large, its hash (empty if forgotten)."""

    at: str
    release: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Privacy:
    """What was spent, and what left.

    Attributes:
        epsilon: Of all releases that this device took part in; `None` if it has no bound.
        cap: The owner's.
        delta: At which ε is counted.
        federation: Which the device belongs to; empty for none.
        updates: Everything that left, newest first.
        seen: Of what kinds the contents were: noised by this `node`, exact for the `server`, or `plain`.
        history: Entries of the history, which stays.
        impressions: How many recommendations were shown, by a log that stays.
        sentences: How many sentences of the conversation are kept, which stay too.
    """

    epsilon: float | None
    cap: float
    delta: float
    federation: str
    updates: tuple[Update, ...]
    seen: tuple[str, ...]
    history: int
    impressions: int
    sentences: int
