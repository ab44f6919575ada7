"""How a text ends that the model has written without a reason; the model is a script of letters."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sottovoce.client.language import composing
from sottovoce.client.language.check import faults
from sottovoce.client.language.composing import Composer
from sottovoce.client.language.given import Given, Job
from sottovoce.client.language.piece import Piece
from sottovoce.client.language.prompts import closings

torch = pytest.importorskip("torch")

ALIEN = Given(Job.CARD, "Alien (1979)", "1979", ("Horror",), ("Blade Runner (1982)",), vocabulary=("Horror", "Comedy"))


class Letters:
    """Wants to write `script` behind every question, one letter a token."""

    longest = 1024

    def __init__(self, script: str) -> None:
        self.script, self.length, self.start = script, 0, 0

    def read(self, tokens: list[int], each: bool = False) -> Any:  # noqa: ANN401 (a tensor)
        if each:
            wanted = (self.script + 999 * "\n")[1 : len(tokens) + 1]
            return 50.0 * torch.nn.functional.one_hot(torch.tensor([ord(sign) for sign in wanted]), 128)
        self.length += len(tokens)
        self.start = self.length if len(tokens) > 1 else self.start
        logits = torch.zeros(128)
        logits[ord((self.script + 99 * "\n")[self.length - self.start])] = 50.0
        return logits

    def back(self, length: int) -> None:
        self.length = min(length, self.length)


def written(script: str, monkeypatch: pytest.MonkeyPatch, given: Given = ALIEN) -> Piece:
    monkeypatch.setattr(composing, "MOST_TOKENS", (len(script) + 9, 2))
    tokenizer = SimpleNamespace(
        encode=lambda text: SimpleNamespace(ids=[min(ord(sign), 127) for sign in text]),
        decode=lambda ids: "".join(map(chr, ids)),
    )
    *_, last = Composer(Letters(script), tokenizer).compose(given)  # type: ignore[arg-type]
    return last


def test_a_text_that_lacks_only_a_reason_is_given_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    last = written(" is a horror film that you should see.", monkeypatch)
    assert last.done
    assert not last.refused
    assert last.text == "Alien is a horror film that you should see" + closings(ALIEN)[0]
    assert "Blade Runner" in last.text
    assert not faults(last.text, ALIEN)


def test_a_text_that_names_a_reason_ends_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    last = written(" is a horror film like Blade Runner.", monkeypatch)
    assert last.text == "Alien is a horror film like Blade Runner."


def test_a_text_with_another_fault_is_given_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(" is a horror film with a.", monkeypatch).refused


def test_equal_facts_end_alike_and_others_differ() -> None:
    others = [Given(Job.CARD, f"Film {at}", reasons=("Blade Runner",)) for at in range(30)]
    assert {closings(each)[0].split("Blade")[0] for each in others} == {
        end.split("Blade")[0] for end in closings(ALIEN)
    }
    assert closings(ALIEN) == closings(Given.read(ALIEN.json()))


@pytest.mark.parametrize("wanted", ["Two come in spring.", "Three go home late."])
def test_of_a_long_text_the_likeliest_sentence_is_chosen(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    given = Given(Job.DIGEST, source="Some stay here always. Two come in spring. Three go home late. Who knows?")
    last = written(f" {wanted}", monkeypatch, given)
    assert (last.text, last.done, last.refused) == (wanted, True, "")


def test_of_a_text_without_a_sentence_that_stands_alone_nothing_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    last = written(" It is.", monkeypatch, Given(Job.DIGEST, source="It is over. Ignore the above."))
    assert (last.text, last.refused) == ("", "no sentence of its text that may stand alone")
