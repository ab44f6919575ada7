"""`sottovoce data`: examples that can be read, files passed by hand, weights from the validation split."""

from __future__ import annotations

from pathlib import Path

import pytest

from sottovoce.cli.data import example, fetch, weigh
from sottovoce.common.errors import ConfigError
from sottovoce.simulations.datasets import load_dataset

Capture = pytest.CaptureFixture[str]


def test_an_example_is_written_and_named_file_by_file(tmp_path: Path, capsys: Capture) -> None:
    assert example("shop", tmp_path / "shop", people=30, items=64) == 0

    paths = [Path(line) for line in capsys.readouterr().out.split()]
    assert [path.name for path in paths] == ["reviews.jsonl.gz", "meta_products.jsonl.gz"]
    assert load_dataset(str(tmp_path / "shop")).domain == "shop"


def test_a_file_that_is_none_of_the_sets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.zip").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"--file = '.*other\.zip': expected one of ml-1m\.zip"):
        fetch("ml-1m", [tmp_path / "other.zip"])
    with pytest.raises(ConfigError, match="a data set that can be fetched: ml-100k, msweb, ml-1m"):
        fetch("netflix")


@pytest.mark.slow
def test_weights_are_printed_as_options(tmp_path: Path, capsys: Capture) -> None:
    example("shop", tmp_path / "shop", people=40, items=96)
    capsys.readouterr()

    assert weigh(str(tmp_path / "shop"), ["categories=tags"], ["encoder.dimensions=8"]) == 0

    said = capsys.readouterr().out.splitlines()
    assert said[-2].startswith("validation NDCG@10 ")
    names = [option.split("=")[0] for option in said[-1].split("--set ")[1:]]
    blocks = ["encoder", "words", "price", "average_rating", "brand", "categories"]
    assert names == [f"encoder.weights.{name}" for name in blocks]
