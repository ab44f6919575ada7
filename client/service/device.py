"""Everything that the page and gRPC can ask, in one place: the person's log, the model, and what left the device.

Whatever is asked here is computed here; nothing of it is sent anywhere.
"""

from __future__ import annotations

import numpy as np

from sottovoce.client.home import Home, forget_each
from sottovoce.client.language.cards import CardTexts, find_writer
from sottovoce.client.language.conversation import Conversations
from sottovoce.client.service.account import Account
from sottovoce.client.service.impressions import Impressions
from sottovoce.client.service.lists import Lists
from sottovoce.client.service.log import Log
from sottovoce.client.service.models import Models
from sottovoce.client.service.people import People, Session
from sottovoce.client.service.talks import Talks
from sottovoce.client.service.texts import Texts
from sottovoce.client.service.views import Profile, Share

KEYWORDS = 12


class Device:
    """One person on one device.

    Args:
        home: What the device keeps.
        models: The model in use.
        user: Who the person is, among the users of the home.

    Attributes:
        lists: What is recommended, asked for, explained and looked up.
        talks: The conversation.
        log: What the person said, and what is known of them.
        texts: What a model writes for the page.
        account: What was spent of their privacy, and what left.
        impressions: What they were shown.
    """

    def __init__(self, home: Home, models: Models, user: str) -> None:
        self.home = home
        self.models = models
        self.user = user
        self._people = People(home.histories, user)
        self._session = Session(user, models, self._people)
        self.impressions = Impressions(home.impressions_file)
        self.lists = Lists(self._session, self.impressions)
        conversations = Conversations(home.conversations_file)
        self.talks = Talks(self._session, self.lists, conversations)
        self.log = Log(self._session, home.histories)
        self.texts = Texts(self._session, CardTexts(find_writer()))
        self.account = Account(home, user, self.impressions, conversations)

    def close(self) -> None:
        """Write what waits, and let go of the home."""
        self.impressions.close()
        self.texts.written.close()
        self._people.close()

    def profile(self) -> Profile:
        """The person's taste, as the model sees it.

        Raises:
            NoModelError
        """
        loaded, person = self._session.now()
        recommender = loaded.recommender
        own = recommender.profile(person.history, feedback=person.feedback)
        everybody = recommender.profile(np.zeros(0, np.int64))
        keywords = () if person.unknown else tuple(recommender.keywords(person.history, KEYWORDS))
        shares = tuple(Share(name, probability, everybody.get(name, 0.0)) for name, probability in own.items())
        return Profile(shares, keywords, tuple(sorted(person.feedback.hidden)), person.met)

    def forget(self, subject: str | None) -> int:
        """Delete everything that names an item or a category, or all there is; how many entries of the log.

        Raises:
            NotForgottenError: a part of it could not be deleted.
        """
        gone, *_ = forget_each(
            self.home.folder,
            lambda: self.home.forget(self.user, subject),
            lambda: self.impressions.forget(self.user, subject),
            self.lists.forget,
            self.texts.written.forget,
        )
        return int(gone or 0)
