"""Every domain has all its words in every language."""

from __future__ import annotations

import pytest

from sottovoce.common.domains import DOMAINS, LANGUAGES, PHRASES, domain_of
from sottovoce.common.errors import ConfigError


@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_domain_says_every_phrase(name: str, language: str) -> None:
    domain = domain_of(name)
    assert all(domain.say(phrase, language) for phrase in PHRASES)
    assert domain.say("because", language).format(title="X").count("X") == 1
    assert "title" in domain.texts
    assert domain.say("heading", "xx") == domain.say("heading", "en")


def test_without_a_name_the_domain_fits_anything_and_an_unknown_one_is_refused() -> None:
    assert domain_of(None).name == "items"
    with pytest.raises(ConfigError, match=r"data\.domain = 'weather': expected one of items, films, news"):
        domain_of("weather")
