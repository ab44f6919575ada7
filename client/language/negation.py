"""What a sentence denies: which of the things that it names are wanted, and which are not.

A denial reaches forward to the end of its clause and through the list that it begins ("no horror, war or crime"), or,
where nothing follows it, back over its clause ("westerns are out"). Two denials are a demand ("nothing except
comedies"). What stands beside a denial that no rule places is left open: no constraint is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from sottovoce.client.language.negators import CLAIM, DENIALS, FINE, Kind, Mark, marks_in
from sottovoce.client.language.words import content

Span = tuple[int, int]


@dataclass(frozen=True)
class Claim:
    """Something that can be checked, at `span`.

    `what` tells a `name` from a `number`, which are alike in a list, and both from what is `relative` ("newer",
    "lighter"), which is asked for by itself.
    """

    span: Span
    what: str = "name"


class Sign(Enum):
    """What a sentence says of a claim."""

    WANTED = auto()
    UNWANTED = auto()
    OPEN = auto()


@dataclass
class Signs:
    """What a sentence denies.

    Attributes:
        of: The sign of each claim.
        unwanted: Parts of the text whose words are not wanted.
        open: Parts of the text that say nothing for certain.
        words: Where the words are that deny and divide.
        unsure: Something was left open because of a denial that no rule places.
    """

    of: list[Sign]
    unwanted: list[Span] = field(default_factory=list)
    open: list[Span] = field(default_factory=list)
    words: list[Span] = field(default_factory=list)
    unsure: bool = False


def read_signs(text: str, claims: Sequence[Claim]) -> Signs:
    """Which of the claims (in the order of their places, apart from each other) `text` (lower case) wants."""
    veiled = list(text)
    for each in claims:
        veiled[slice(*each.span)] = CLAIM * (each.span[1] - each.span[0])
    return _Reader(text, "".join(veiled), claims).read()


_ALLOWED = re.compile(
    rf"(?:\s*(?:films?|movies?|ones?|片|的)?\s*(?:、|\bor\b|\band\b|和|或)?\s*{CLAIM}+)*\s*(?:films?|movies?|片|的)?\s*{FINE}"
)
_NOUN = r"(?:\s*\b(?:films?|movies?|ones?|stuff|things?|pictures?|flicks?)\b|片子?|电影|的|类|题材|之类|什么)*"
_BARE = re.compile(
    rf"{_NOUN}\s*(?:[,，]\s*)?(?:\b(?:and|or|nor)\b|[和与跟及或&/]|或者|以及|还有)?\s*(?:(?:any|the|those|all|from|of|in)\s+)*"
)
_ARTICLE = re.compile(r"(?:[,，]|\band)\s+(?:\w+\s+){0,3}?(?:an?|some|more|(?:lots|plenty) of)\s+$")
_HEAD = re.compile(r"\b(?:anything|any|films?|movies?|stuff|things?|ones)\b[^,]*$")
_OR = re.compile(r"\bn?or\b|或|还是|/")
_LATER_OR = re.compile(r"[^.;!?]{0,80}?\bn?or\b")
_AND = re.compile(r"\band\b|[和与跟及&]|以及|还有")
_TAIL = re.compile(
    r"\b(?:my (?:thing|cup of tea|taste|style)|for me|what i(?:'m| am)? \w+|interest(?:ed)?|mood|allowed|welcome|wanted"
    r"|okay|needed|at all|thanks|either|fond|stand|bear|permitted|acceptable|here|list)\b"
    r"|这样|那样|这种|那种|任何|所有|类型|其他|呀|啊|哦|啦|呢|嘛|谢谢|过"
)
_WEAK = frozenset({Kind.NOT, Kind.WITHOUT, Kind.NON, Kind.EXCEPT})
_SHORT = frozenset({Kind.WITHOUT, Kind.NON})


@dataclass
class _Scope:
    """A denial, or its opposite, that is open."""

    mark: Mark
    sign: Sign
    claims: list[int] = field(default_factory=list)


@dataclass
class _Clause:
    """A stretch without a pause: its marks in order, claims by their number."""

    start: int
    end: int
    pause: str = ""
    marks: list[Mark | int] = field(default_factory=list)


class _Reader:
    """Goes along the clauses of one sentence."""

    def __init__(self, said: str, text: str, claims: Sequence[Claim]) -> None:
        self.said, self.text, self.claims = said, text, claims
        self.signs = Signs([Sign.WANTED] * len(claims))
        self.kinds: list[Kind | None] = [None] * len(claims)
        self.scope: _Scope | None = None
        self.before: list[int] = []

    def read(self) -> Signs:
        for clause in self._clauses():
            self._clause(clause)
        self._close(len(self.text))
        return self.signs

    def _clauses(self) -> Iterator[_Clause]:
        marks = list(marks_in(self.text))
        denying = DENIALS | {Kind.AFTER, Kind.OTHERS, Kind.STOP}
        self.signs.words = [(mark.start, mark.end) for mark in marks if mark.kind in denying]
        self.signs.open = [
            (mark.start, mark.end) for mark in marks if mark.kind in (Kind.FILLER, Kind.ALLOW, Kind.OUTSIDE)
        ]
        places: list[tuple[int, Mark | int]] = [(mark.start, mark) for mark in marks]
        places += [(claim.span[0], number) for number, claim in enumerate(self.claims)]
        clause = _Clause(0, 0)
        for _, each in sorted(places, key=lambda place: place[0]):
            if self._introduces(each, clause):
                continue
            if isinstance(each, Mark) and each.kind in (Kind.STOP, Kind.PAUSE):
                clause.end = each.start
                yield clause
                said = self.text[each.start : each.end]
                clause = _Clause(each.end, each.end, said if each.kind is Kind.PAUSE or said in "?？" else ".")
            else:
                clause.marks.append(each)
        clause.end = len(self.text)
        yield clause

    def _introduces(self, mark: Mark | int, clause: _Clause) -> bool:
        """Whether this is the colon of a list that is denied as a whole: "avoid: horror, war"."""
        last = clause.marks[-1] if clause.marks else None
        colon = isinstance(mark, Mark) and self.text[mark.start : mark.end] in (":", "：")
        return colon and isinstance(last, Mark) and (last.kind in DENIALS or last.kind is Kind.AFTER)

    def _clause(self, clause: _Clause) -> None:
        mine = [each for each in clause.marks if isinstance(each, int)]
        if self.scope and not self._goes_on(clause):
            self._close(clause.start)
        if clause.pause == ".":
            self.before = []
        linked = bool(mine and self.before and (clause.pause == "、" or self._bare(self.before[-1], mine[0])))
        behind = list(self.before) if linked or not mine else []
        read: list[int] = []
        for at, each in enumerate(clause.marks):
            if isinstance(each, int):
                self._claim(each)
                read.append(each)
            else:
                last = len(read) == len(mine)
                reach = [*self._chain(behind, read, each), *read]
                self._mark(each, self._kind(each, clause.marks[:at], reach, last), clause, reach, last)
        if any(isinstance(each, Mark) and each.kind is Kind.UNREAD for each in clause.marks):
            self._unread(clause, mine)
        self.before = [*(self.before if linked else []), *mine] if mine else self.before

    def _kind(self, mark: Mark, before: list[Mark | int], reach: list[int], last: bool) -> Kind:
        """What a word is where it stands: some deny what follows only there."""
        preferring = any(isinstance(each, Mark) and each.kind is Kind.PREFER for each in before)
        if mark.kind is Kind.THAN and preferring and not last:
            return Kind.INSTEAD
        return Kind.NO if mark.kind is Kind.AFTER and not last and not reach else mark.kind

    def _mark(self, mark: Mark, kind: Kind, clause: _Clause, behind: list[int], last: bool) -> None:
        """Take up one word; `behind` are the claims that it may reach back to, `last` whether none follows it."""
        rest = self.text[mark.end : clause.end]
        if kind in (Kind.SOFT, Kind.ONLY):
            self._close(mark.start)
            self.scope = _Scope(mark, Sign.OPEN if kind is Kind.SOFT else Sign.WANTED)
        elif kind in (Kind.WANT, Kind.ALLOW, Kind.PREFER):
            if self.scope and self.scope.claims:
                self._close(mark.start)
        elif kind is Kind.OTHERS:
            self._close(mark.start)
            self._back(clause, mark, [each for each in behind or self.before if self.kinds[each] is Kind.EXCEPT])
        elif kind is Kind.OUTSIDE and self.scope and self.scope.mark.kind is Kind.EXCEPT:
            self._close(mark.start)
        elif kind in (Kind.AFTER, Kind.OUTSIDE) or (kind in DENIALS and last and behind and not _says(rest)):
            self._close(mark.start)
            self._back(clause, mark, behind)
        elif kind in DENIALS:
            sign = self._denied(mark, kind)
            if not (self.scope and not self.scope.claims):
                self._close(mark.start)
            self.scope = _Scope(Mark(kind, mark.start, mark.end), sign)

    def _claim(self, number: int) -> None:
        if self.scope and not self._reaches(self.scope, number):
            self._close(self.claims[number].span[0])
        if self.scope:
            self.scope.claims.append(number)
            self.signs.of[number], self.kinds[number] = self.scope.sign, self.scope.mark.kind

    def _denied(self, mark: Mark, kind: Kind) -> Sign:
        """What follows a denial: unwanted, but for one inside another."""
        outer = self.scope
        if outer is None or outer.sign is not Sign.UNWANTED:
            return Sign.UNWANTED
        if outer.claims:
            return Sign.OPEN if kind is Kind.EXCEPT and outer.mark.kind is not Kind.EXCEPT else Sign.UNWANTED
        apart = self.text[outer.mark.end : mark.start].strip() or self.text[mark.start : mark.end] != "not"
        if kind is Kind.EXCEPT or (kind in _WEAK and outer.mark.kind is Kind.NO and apart):
            return Sign.WANTED
        self.signs.unsure = True
        return Sign.OPEN

    def _goes_on(self, clause: _Clause) -> bool:
        """Whether the denial that is open reaches over the pause in front of a clause."""
        first = clause.marks[0] if clause.marks else None
        if (
            self.scope is None
            or not self.scope.claims
            or clause.pause not in (",", "，", "、")
            or not isinstance(first, int)
        ):
            return False
        return self._reaches(self.scope, first)

    def _reaches(self, scope: _Scope, number: int) -> bool:
        start = self.claims[number].span[0]
        if not scope.claims:
            return self._reaches_first(scope, self.text[scope.mark.end : start])
        earlier = self.claims[scope.claims[-1]]
        gap = self.text[earlier.span[1] : start]
        same = earlier.what == self.claims[number].what
        if "、" in gap:
            return True
        pause = re.search("[,，]", gap)
        if pause and (scope.mark.kind is Kind.INSTEAD or _ALLOWED.match(self.text, self.claims[number].span[1])):
            return False
        if _OR.search(gap):
            return True
        if _ARTICLE.search(gap):
            return _LATER_OR.match(self.text, start) is not None
        if pause:
            relative = "relative" in (earlier.what, self.claims[number].what)
            return same and not relative and _BARE.fullmatch(gap) is not None
        if _AND.search(gap):
            return same or re.search("[和与跟及]", gap) is not None or _HEAD.search(gap) is not None
        return scope.mark.kind not in _SHORT and not gap.rstrip().endswith("的")

    def _reaches_first(self, scope: _Scope, gap: str) -> bool:
        """Whether a denial reaches the first claim behind it; other words may be all that it denies."""
        if _ARTICLE.search(gap):
            return False
        attributive = gap.rstrip().endswith("的") or scope.mark.kind is Kind.NON
        if not attributive or not _says(gap):
            return True
        if scope.mark.kind in _WEAK or "太" in self.text[scope.mark.start : scope.mark.end]:
            return False
        scope.sign, self.signs.unsure = Sign.OPEN, True
        return True

    def _chain(self, behind: list[int], read: list[int], mark: Mark) -> list[int]:
        """Those of the claims before a clause that a word in it reaches back to."""
        if not behind:
            return []
        between = self.text[self.claims[behind[-1]].span[1] : mark.start]
        if read:
            return behind if re.search(r"、|[都全]|\b(?:and|or|both|all)\b", between) or self._plural(behind) else []
        nothing = self.text[mark.start : mark.end] in ("nothing", "none", "never", "nobody", "less", "fewer")
        if nothing:
            return [each for each in behind if self.kinds[each] is Kind.EXCEPT]
        rest = _TAIL.sub(" ", re.split(r"[,，。.;!?；！？]", self.text[mark.end :], maxsplit=1)[0])
        return behind if not _says(between) and not re.search(r"[^\W了吧的]", rest) else []

    def _plural(self, claims: list[int]) -> bool:
        """Whether these stand as nouns of a list do: "dramas, comedies are out", not "drama, comedies are out"."""
        return all(self.said[slice(*self.claims[each].span)].rstrip().endswith("s") for each in claims)

    def _back(self, clause: _Clause, mark: Mark, claims: list[int]) -> None:
        """Deny what stands before."""
        for each in claims:
            if self.kinds[each] in (Kind.EXCEPT, Kind.NON):
                self.signs.of[each] = Sign.WANTED
            elif self.signs.of[each] is Sign.WANTED and self.kinds[each] is not Kind.ONLY:
                self.signs.of[each], self.kinds[each] = Sign.UNWANTED, Kind.AFTER
        if claims:
            self.signs.unwanted.append((clause.start, mark.end))

    def _unread(self, clause: _Clause, claims: list[int]) -> None:
        """Leave open what a denial may speak of that no rule places."""
        for each in claims:
            if self.kinds[each] is None:
                self.signs.of[each], self.signs.unsure = Sign.OPEN, True
        if claims:
            self.signs.open.append((clause.start, clause.end))

    def _bare(self, one: int, other: int) -> bool:
        return _BARE.fullmatch(self.text[self.claims[one].span[1] : self.claims[other].span[0]]) is not None

    def _close(self, at: int) -> None:
        """End what is open."""
        scope, self.scope = self.scope, None
        if scope is None or scope.sign is Sign.WANTED:
            return
        start = scope.mark.start
        if scope.mark.kind is Kind.NON and not scope.claims:
            word = re.compile(r"\s*\w+").match(self.text, scope.mark.end)
            at = min(at, word.end() if word else scope.mark.end)
        (self.signs.unwanted if scope.sign is Sign.UNWANTED else self.signs.open).append((start, at))


def _says(text: str) -> bool:
    """Whether words say something by themselves."""
    return bool(content(_TAIL.sub(" ", text.replace(CLAIM, " "))))
