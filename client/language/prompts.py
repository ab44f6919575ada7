"""What the model reads before it writes: a few examples of each job, and the facts in the same form.

Examples are about things that do not exist, so that nothing in them can be mistaken for a fact of a catalogue.
"""

from __future__ import annotations

import re

from sottovoce.client.language.given import Given, Job

_CARD = """Short notes for people who look for their next film. Each note uses the title, the kind and what the person \
liked before, and nothing else.

Title: Harvest of Glass
Kind: drama, romance
Liked before: The Salt Road and Quiet Orchard
Note: Harvest of Glass is a romance with the warmth of The Salt Road, and a drama as quiet as Quiet Orchard.

Title: Night Ferry
Kind: thriller
Liked before: Cold Harbour
Note: Night Ferry is a thriller that should suit you well after Cold Harbour, with the same tense mood.

Title: Copper Moon
Kind: sci-fi, adventure
Liked before: The Ninth Engine and Dust Riders
Note: Copper Moon is an adventure to get lost in, and a natural next step from The Ninth Engine and Dust Riders.

Title: Uncle Bertram
Kind: comedy
Liked before: Tea at Noon and Two Left Shoes
Note: Uncle Bertram has the easy charm that made you enjoy Tea at Noon, with a touch of the comedy in Two Left Shoes.

Title: The Long Bridge
Kind: war, drama
Liked before: Stone River
Note: The Long Bridge is a war drama for an evening when you want something as gripping as Stone River.
"""
_TASTE = """One sentence about what a person likes, from the kinds alone.

Kinds: western, war, drama
Taste: You like westerns and war films, with a good drama at times.

Kinds: musical, children's, comedy
Taste: You lean towards musicals, with a taste for children's films and a touch of comedy.
"""
_DIGEST = """The sentence of a text that says best what it is about.

Text: The library on Mill Street opens again on Monday after repairs to its roof. Readers can borrow books as before, \
and a new room for children waits on the upper floor.
Sentence: The library on Mill Street opens again on Monday after repairs to its roof.

Text: Spring is the time of seeds. This course shows beginners how to grow vegetables in small gardens. It covers \
soil, seeds and water, and ends with a plan for the whole year.
Sentence: This course shows beginners how to grow vegetables in small gardens.
"""

EXAMPLES = {Job.CARD: _CARD, Job.TASTE: _TASTE, Job.DIGEST: _DIGEST}


def openings(given: Given) -> tuple[str, ...]:
    """How a text may begin, one per try: the item's own name, then the reasons too."""
    if given.job is not Job.CARD:
        return ("", "")
    title = readable(given.title)
    liked = " and ".join(map(readable, given.reasons[:2]))
    return (f" {title}", f" If you enjoyed {liked}, {title} is") if liked else (f" {title}", f" {title} is")


def closings(given: Given) -> tuple[str, ...]:
    """How a text may end that has named no reason; another one first for other facts."""
    liked = " and ".join(map(readable, given.reasons[:2]))
    ends = (f", if you enjoyed {liked}.", f". It should suit you after {liked}.", f". It is worth a try after {liked}.")
    first = int(given.key[:8], 16) % len(ends)
    return ends[first:] + ends[:first]


def readable(title: str) -> str:
    """A title without its year, as one speaks of it."""
    return re.sub(r"\s*\((?:18|19|20)\d\d\)\s*$", "", title)


def question(given: Given) -> str:
    """The facts, in the form of the examples, up to where the model goes on."""
    match given.job:
        case Job.CARD:
            liked = " and ".join(map(readable, given.reasons[:2])) or "nothing yet"
            about = f"\nAbout: {given.source[:300]}" if given.source else ""
            kind = f"Kind: {', '.join(given.categories).lower()}{about}"
            return f"\nTitle: {readable(given.title)}\n{kind}\nLiked before: {liked}\nNote:"
        case Job.TASTE:
            return f"\nKinds: {', '.join(given.categories[:3]).lower()}\nTaste:"
        case Job.DIGEST:
            return f"\nText: {given.source}\nSentence:"
