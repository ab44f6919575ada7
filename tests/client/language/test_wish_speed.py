"""Forty wishes from a published bundle on one thread: soon, and without torch in the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from film_bundle import film_recommender

from sottovoce.common import multilingual
from sottovoce.common.bundle import Bundle, write_bundle
from sottovoce.common.readers import fit_reader
from sottovoce.common.scoring import save_arrays

READ = 300
"""Texts that the map for wishes is fitted on: enough for a test of speed."""
PROGRAM = """
import json, sys, time
from pathlib import Path
import numpy as np
from wishes import CHINESE, ENGLISH
from sottovoce.client.language.conversation import Conversations, Talk
from sottovoce.client.language.listing import Asker
from sottovoce.client.recommender import Recommender
recommender = Recommender.load(Path(sys.argv[1]))
talk = Talk(recommender, Conversations(Path(sys.argv[2])), "owner")
nobody, seconds = Asker(np.zeros(0, np.int64)), []
talk.say(nobody, "warm up with the sea")
for wish in (*ENGLISH, *CHINESE):
    talk.say(nobody, "start over")
    start = time.perf_counter()
    talk.say(nobody, wish)
    seconds.append(time.perf_counter() - start)
print(json.dumps({"median": float(np.median(seconds)), "reads": recommender.reads_wishes,
                  "heavy": sorted({"torch", "transformers", "sklearn"} & set(sys.modules))}))
"""


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not multilingual.installed(), reason="the encoder for wishes is not installed")
def test_a_wish_takes_less_than_a_third_of_a_second(tmp_path: Path) -> None:
    bundle = film_recommender()[0].bundle
    assert isinstance(bundle, Bundle)
    catalogue, vectors = bundle.catalogue, bundle.model.vectors
    facts = {"encoder": multilingual.NAME, "revision": "", "fingerprint": multilingual.fingerprint()}
    reader = fit_reader(multilingual.encode(catalogue.texts[:READ]), vectors[:READ], facts)
    save_arrays(tmp_path / "items.safetensors", {"vectors": vectors})
    write_bundle(
        tmp_path / "bundle", catalogue, tmp_path / "items.safetensors", bundle.model.head, "# Card\n",
        {"run": "r", "state": "items"}, [reader],
    )  # fmt: skip
    paths = os.pathsep.join((str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "bundle"), str(tmp_path / "said.sqlite")],
        capture_output=True, text=True, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": paths},
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["reads"]
    assert told["heavy"] == []
    assert told["median"] <= 0.3, np.round(told["median"], 3)
