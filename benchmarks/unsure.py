"""Who finds the category in a sentence that the rules do not know: the small language model, or the encoder for wishes.

    python -m benchmarks.unsure --json unsure.json

Twenty English sentences in which no rule finds anything, each with the categories that are right. The model is asked by
likelihood alone: each category's name behind the sentence, less the same behind words that say nothing. The encoder is
asked for the category whose name lies nearest. What the guesses of the encoder for wishes are worth is measured in
lists of ten from MovieLens-100K: the share of films with a right category, without the guess and with it; also on the
forty wishes of `tests/wishes.py`, with the rules left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.cards import film_recommender
from sottovoce.client.language.listing import Asker, listing, wish_of
from sottovoce.client.language.parse import parse
from sottovoce.client.language.request import Guess, Request, Wanted
from sottovoce.client.language.vocabulary import Vocabulary
from sottovoce.client.language.words import FILM_WORDS
from sottovoce.common import multilingual
from sottovoce.common.decoder import load, log_likelihoods
from sottovoce.common.encoder import cached_vectors, find_encoder, model_folder
from sottovoce.common.item_table import CATEGORIES as CATEGORY
from sottovoce.common.readers import fit_reader
from sottovoce.common.scoring import FloatArray
from sottovoce.common.vectors import unit_rows

CATEGORIES = tuple(sorted({name for group, _ in FILM_WORDS for name in group}))
SENTENCES = {
    "tumbleweed and spurs": "Western",
    "a courtroom fight over justice": "Drama Crime",
    "a bank vault and a getaway driver": "Crime Action Thriller",
    "boy meets girl in Paris": "Romance Comedy",
    "the crew of a submarine under attack": "War Action Thriller",
    "something that cracks me up": "Comedy",
    "things that go bump in the night": "Horror Thriller",
    "a kingdom with elves and swords": "Fantasy Adventure",
    "something by Pixar": "Animation Children's",
    "Broadway tunes": "Musical",
    "planets far away": "Sci-Fi",
    "who poisoned the countess": "Mystery Crime Thriller",
    "facts about penguins": "Documentary",
    "fists and fast cars": "Action",
    "a lost city in the jungle": "Adventure Action",
    "a femme fatale and a doomed man": "Film-Noir Crime Mystery Thriller",
    "saddle up, partner": "Western",
    "wedding bells and a kiss": "Romance Comedy",
    "a family falls apart after a loss": "Drama",
    "talking animals": "Children's Animation",
}
ASKED, NEUTRAL = 'Wish: "{}"\nKind of film:', "something good"


def main() -> None:
    """Ask everybody, and print how often each is right."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", type=Path)
    asked = options.parse_args()
    sentences = list(SENTENCES)
    known = [each for each in sentences if not parse(each, Vocabulary(CATEGORIES, 1998)).unsure]
    if known:
        raise SystemExit(f"the rules know: {known}")
    encoder = find_encoder()
    scores = {
        "SmolLM2, likelihood": likelihoods(sentences),
        "MiniLM, nearest name": nearest(encoder.encode(sentences), encoder.encode(names("{}"))),
        "MiniLM, nearest “a … film”": nearest(encoder.encode(sentences), encoder.encode(names("a {} film"))),
    }
    if multilingual.installed():
        said = multilingual.encode(sentences)
        scores["USE v3, nearest name"] = nearest(said, multilingual.encode(names("{}")))
        scores["USE v3, nearest “a … film”"] = nearest(said, multilingual.encode(names("a {} film")))
    told = {name: [CATEGORIES[at] for at in table.argmax(axis=1)] for name, table in scores.items()}
    right = {name: [each in SENTENCES[s].split() for s, each in zip(sentences, list_, strict=True)]
             for name, list_ in told.items()}  # fmt: skip
    for name, each in right.items():
        print(f"{name:30s} {sum(each)} of {len(sentences)}", [told[name][at] for at in range(len(sentences))])
    lists = precision() if multilingual.installed() else {}
    chance = float(np.mean([len(each.split()) / len(CATEGORIES) for each in SENTENCES.values()]))
    print(f"{'by chance':30s} {chance * len(sentences):.1f} of {len(sentences)}")
    for name, (without, guessed) in lists.items():
        print(f"precision@10 {name:18s} {without:.3f} without a guess, {guessed:.3f} with it")
    if asked.json:
        figures = {
            "precision": lists,
            "right": {name: sum(each) for name, each in right.items()},
            "chance": chance,
            "told": told,
        }
        asked.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def precision() -> dict[str, tuple[float, float]]:
    """The share of right films in lists of ten, without and with a guess, by the kind of sentence."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from wishes import CHINESE, ENGLISH, one

    recommender, _ = film_recommender()
    catalogue = recommender.model.table.catalogue()
    encoded = cached_vectors(multilingual.fingerprint(), catalogue.texts, multilingual.encode)
    facts = {"encoder": multilingual.NAME, "revision": "", "fingerprint": multilingual.fingerprint()}
    reader = fit_reader(encoded, recommender.model.content_rows(np.arange(len(catalogue))), facts)
    categories = unit_rows(multilingual.encode(names("{}")))
    kinds = [set(text.split(" | ")) for text in catalogue.attributes["categories"]]
    found = {}
    unsure = {said: one(*right.split()) for said, right in SENTENCES.items()}
    for name, wishes in (("of the twenty", unsure), ("of the English", ENGLISH), ("of the Chinese", CHINESE)):
        shares = []
        for said, right in wishes.items():
            vector = multilingual.encode([said])
            place, value = reader.place(vector)[0], CATEGORIES[int((categories @ vector[0]).argmax())]
            wanted, guess = Wanted(text=said), Guess(attribute=CATEGORY, value=value)
            for request in (Request((wanted,)), Request((wanted, guess))):
                wish = wish_of(recommender, request, partial(_always, place))
                listed = listing(recommender, Asker(np.zeros(0, np.int64)), request, 10, wish)
                fit = [right.fits(kinds[each.item], catalogue.attributes["year"][each.item]) for each in listed]
                shares.append(sum(fit) / 10)
        found[name] = (float(np.mean(shares[::2])), float(np.mean(shares[1::2])))
    return found


def _always(place: FloatArray, _: str) -> FloatArray:
    return place


def names(form: str) -> list[str]:
    """Every category, as it stands in a sentence."""
    return [form.format(name.lower()) for name in CATEGORIES]


def likelihoods(sentences: list[str]) -> FloatArray:
    """How much a sentence raises the likelihood of each category's name, shape [sentences, categories]."""
    model, tokenizer = load(str(model_folder("smollm2")))
    told = [log_likelihoods(model, tokenizer, ASKED.format(s), names(" {}")) for s in (NEUTRAL, *sentences)]
    return np.stack(told[1:]) - told[0]


def nearest(said: FloatArray, categories: FloatArray) -> FloatArray:
    """Cosines, shape [sentences, categories]."""
    return np.asarray(unit_rows(said) @ unit_rows(categories).T)


if __name__ == "__main__":
    main()
