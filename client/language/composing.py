"""Write a text word by word, each word checked against the given facts before the next one is chosen.

A word that says what was not given is taken back and its first token forbidden at that place: decoding that is
constrained by the same check that has the last word. So what was passed on of a text never has to be taken back for
what it names, only for how it ends.

Of a long text nothing is written: the model chooses one of its sentences, which stands there as it is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from sottovoce.client.language.check import NO_REASON, NO_SENTENCE, faults, faults_so_far
from sottovoce.client.language.given import Given, Job
from sottovoce.client.language.piece import Piece
from sottovoce.client.language.prompts import EXAMPLES, closings, openings, question
from sottovoce.client.language.sentences import quotable

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

    from sottovoce.client.language.decoder import Decoder

MOST_TOKENS = (30, 48)
"""Of the first try, and of the second; what is taken back is granted twice."""
TEMPERATURE, LIKELY = 0.5, 8
MOST_BACK = 16
"""Words that may be taken back in one try."""
MOST_SENTENCES = 8
"""Of a long text, the first that are weighed against each other."""


@dataclass
class Composer:
    """Writes with one model; what the model has read of the examples stays in its cache."""

    decoder: Decoder
    tokenizer: Tokenizer
    _job: Job | None = field(default=None, init=False)
    _prefix: int = field(default=0, init=False)

    def compose(self, given: Given) -> Iterator[Piece]:
        """A text of the given facts as it grows; the last piece is whole, or says why there is none."""
        if given.job is Job.DIGEST:
            yield self._digest(given)
            return
        tokens = 0
        piece = Piece(refused="nothing to write of", done=True)
        for opening, most in zip(openings(given), MOST_TOKENS, strict=False):
            draft = _Draft(self, given, opening, most)
            for piece in draft.pieces(tokens):
                if not piece.refused:
                    yield piece
            if not piece.refused:
                return
            tokens = piece.tokens
        yield piece

    def _digest(self, given: Given) -> Piece:
        """The sentence that is likeliest as the one that says what the text is about, by the mean of its tokens."""
        candidates = quotable(given.source)[:MOST_SENTENCES]
        if not candidates:
            return Piece(refused=NO_SENTENCE, done=True)
        encoded = [self.tokenizer.encode(f" {sentence}").ids for sentence in candidates]
        first = self.ask(self._shortened(given, spare=max(map(len, encoded))), "")
        start, likelihoods, tokens = self.decoder.length, [], 0
        for ids in encoded:
            self.decoder.back(start)
            logits = torch.cat([first[None], self.decoder.read(ids, each=True)[:-1]])
            likelihoods.append(float(logits.log_softmax(dim=1)[range(len(ids)), ids].mean()))
            tokens += len(ids)
        return Piece(candidates[likelihoods.index(max(likelihoods))], done=True, tokens=tokens)

    def _shortened(self, given: Given, spare: int) -> Given:
        """The facts with as much of the long text as the model holds beside `spare` more tokens."""
        self.prepare(given.job)
        room = self.decoder.longest - self._prefix - spare
        while given.source and (count := len(self.tokenizer.encode(question(given)).ids)) > room:
            given = replace(given, source=given.source[: len(given.source) * max(room, 0) // (count + 8)])
        return given

    def prepare(self, job: Job) -> None:
        """Read the examples of a job, so that its first words come soon."""
        if self._job is not job:
            self.decoder.back(0)
            self.decoder.read(self.tokenizer.encode(EXAMPLES[job]).ids)
            self._job, self._prefix = job, self.decoder.length

    def ask(self, given: Given, opening: str) -> Tensor:
        """Read the facts and how the text begins; logits of what comes next."""
        self.prepare(given.job)
        self.decoder.back(self._prefix)
        return self.decoder.read(self.tokenizer.encode(question(given) + opening).ids)


class _Draft:
    """One text in the making."""

    def __init__(self, composer: Composer, given: Given, opening: str, most: int) -> None:
        self.decoder, self.tokenizer, self.given, self.opening = composer.decoder, composer.tokenizer, given, opening
        self.most = most
        self.logits = [composer.ask(given, opening)]
        self.start = composer.decoder.length
        self.written: list[int] = []
        self.chance = random.Random(given.key)  # noqa: S311 (variety, no secret)
        self.safe = opening
        self.tokens = 0
        self.taken_back = 0
        self.ended = False
        self.whole = ""
        self.refused = ""

    def pieces(self, before: int) -> Iterator[Piece]:
        """The text as it grows; `before` are the tokens of earlier tries."""
        shown = ""
        while not self.ended:
            self.step()
            if self.safe != shown and not self.ended:
                shown = self.safe
                yield Piece(shown.strip(), tokens=before + self.tokens)
        yield Piece(self.whole, done=True, refused=self.refused, tokens=before + self.tokens)

    def step(self) -> None:
        """One token more, or one word less."""
        token = self._chosen()
        text = self._text([*self.written, token])
        if self._ends(token, text):
            self._finish(token)
        elif self._boundary(text) and (told := faults_so_far(self._text(self.written), self.given)):
            self._take_back(told[0])
        else:
            if self._boundary(text):
                self.safe = self._text(self.written)
            self.written.append(token)
            self.logits.append(self.decoder.read([token]))
        self.tokens += 1
        if not self.ended and self.tokens > self.most + 2 * self.taken_back:
            self._give_up("it does not come to an end")

    def _chosen(self) -> int:
        """By chance among the likeliest, so that cards differ; by the same chance for the same facts."""
        likely = self.logits[-1].topk(LIKELY)
        weights = (likely.values / TEMPERATURE).softmax(dim=0)
        place = int((weights.cumsum(dim=0) < self.chance.random()).sum())
        return int(likely.indices[min(place, LIKELY - 1)])

    def _text(self, tokens: list[int]) -> str:
        return self.opening + self.tokenizer.decode(tokens)

    def _boundary(self, text: str) -> bool:
        """Whether the latest token begins a new word, so that the one before is whole."""
        before = self._text(self.written)
        return bool(self.written) and text[len(before) :][:1] in tuple(' .,!;:\n"”)')

    def _ends(self, token: int, text: str) -> bool:
        """Whether the model ends its line, or has just ended a sentence that may stand alone."""
        before = self._text(self.written)
        if "\n" in text[len(self.opening) :] or text == before:
            return True
        return before.endswith((".", "!")) and text[len(before) :][:1] == " " and bool(self._closed(before.strip()))

    def _finish(self, token: int) -> None:
        """The model wants to end: it may, if the text is whole; else it takes a word back, or goes on."""
        text = self._text(self.written).strip()
        if self.written and (told := faults_so_far(text, self.given)):
            self._take_back(told[0])
        elif whole := self._closed(text):
            self.ended, self.whole = True, whole
        else:
            self._forbid(token, faults(text, self.given)[0])

    def _closed(self, text: str) -> str:
        """The text if it may be shown, or with an end that names the reasons if it lacks only that; empty otherwise."""
        told = faults(text, self.given)
        if told != [NO_REASON]:
            return "" if told else text
        ends = (text.rstrip(".!") + end for end in closings(self.given))
        return next((each for each in ends if not faults(each, self.given)), "")

    def _take_back(self, why: str) -> None:
        """Wind back to the beginning of the first word behind what is safe, and forbid the way it began."""
        place = len(self.written) - 1
        while place > 0 and len(self._text(self.written[:place])) > len(self.safe):
            place -= 1
        first = self.written[place]
        self.written, self.logits = self.written[:place], self.logits[: place + 1]
        self.decoder.back(self.start + place)
        self._forbid(first, why)

    def _forbid(self, token: int, why: str) -> None:
        self.taken_back += 1
        if self.taken_back > MOST_BACK:
            self._give_up(why)
        self.logits[-1] = self.logits[-1].clone()
        self.logits[-1][token] = -float("inf")

    def _give_up(self, why: str) -> None:
        self.ended, self.refused = True, why
