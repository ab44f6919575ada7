"""What the person says of items and categories, and what the device has noted of it: kept, undone, shown, copied."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sottovoce.client.histories import Event, HistoryStore, Kind
from sottovoce.client.service.models import NotFoundError
from sottovoce.client.service.people import Session
from sottovoce.client.service.views import Entry, HistoryPage
from sottovoce.common.errors import ConfigError, SottovoceError

GIVEN = (Kind.LIKE, Kind.DISLIKE, Kind.NOT_NOW, Kind.HIDE_CATEGORY, Kind.INTERACTION)


@dataclass(frozen=True)
class Log:
    """The log of one person.

    Attributes:
        session: The person and the model.
        histories: Where it lies.
    """

    session: Session
    histories: HistoryStore

    def feedback(self, kind: str, subject: str) -> int:
        """Keep what the person says of an item, or of a category; it counts from the next list on.

        Returns:
            By which number it can be undone.

        Raises:
            NoModelError, NotFoundError, ConfigError
            DataError: it could not be kept; nothing was changed.
        """
        if kind not in GIVEN:
            raise ConfigError("kind", kind[:40], f"one of {', '.join(GIVEN)}")
        loaded = self.session.models.current()
        if kind != Kind.HIDE_CATEGORY:
            loaded.position(subject)
        elif subject not in loaded.categories:
            raise NotFoundError("no such category")
        return self.histories.record(self.session.user, subject, kind=kind)

    def undo(self, number: int | None = None) -> Entry:
        """Take back the feedback of this number; without one, the last thing that the person said and that stands.

        What they did (an interaction, of which some app may have told) goes by its number alone.

        Raises:
            NotFoundError: nothing stands.
            DataError: it could not be taken back.
        """
        event = self.histories.undo(self.session.user, number, interactions=number is not None)
        if event is None:
            raise NotFoundError("there is nothing to undo")
        return self._entry(event)

    def page(self, offset: int, limit: int) -> HistoryPage:
        """A part of what the device knows of the person, newest first."""
        total, events = self.histories.page(self.session.user, max(offset, 0), min(max(limit, 1), 200))
        return HistoryPage(total, tuple(self._entry(event) for event in events))

    def export(self) -> list[str]:
        """All that the device knows of the person, as lines of JSON."""
        return list(self.histories.export(self.session.user))

    def _entry(self, event: Event) -> Entry:
        title = None
        try:
            table = self.session.models.current().recommender.model.table
            title = table.titles[table.position[event.item]]
        except (SottovoceError, KeyError):
            title = event.item if event.kind is Kind.HIDE_CATEGORY else None
        return Entry(event.item, title, event.kind.value, utc(event.at))


def utc(at: float | str) -> str:
    """ISO 8601 in UTC, from seconds since 1970 or from SQLite's `datetime('now')`."""
    if isinstance(at, str):
        return at.replace(" ", "T") + "Z"
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError):
        return ""
