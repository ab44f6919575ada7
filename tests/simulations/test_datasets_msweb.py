"""UCI's log of visits: read to the line, without times, areas that nobody visited left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.evaluation import hold_out
from sottovoce.simulations.datasets import ReadOptions, load_dataset

VISITS = Path(__file__).parent / "data" / "visits"


def changed(folder: Path, line: int, text: str) -> str:
    """A copy of the invented log in which one line says something else."""
    lines = (VISITS / "anonymous-msweb.data").read_text(encoding="utf-8").splitlines()
    lines[line - 1] = text
    path = folder / "anonymous-msweb.data"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("source", [VISITS, VISITS / "anonymous-msweb.data"])
def test_a_log_reads_as_histories_without_order(source: Path) -> None:
    dataset = load_dataset(str(source), ReadOptions(min_interactions=1))

    assert (dataset.name, dataset.ordered) == ("visits", False)
    assert dataset.catalogue.ids == ("1000", "1001", "1002")
    assert dataset.catalogue.titles == ("Regístration", "Support Desktop", "End User, Produced View")
    histories = {str(user): set(items) for user, items in zip(dataset.histories.users, dataset.histories, strict=True)}
    assert histories == {"10001": {0, 1, 2}, "10002": {1}, "10003": {0, 1, 2}}
    assert dataset.notes == ("anonymous-msweb.data: 1 area left out that nobody visited",)
    kept = load_dataset(str(source))
    assert kept.histories.users.tolist() == ["10001", "10003"]
    assert (
        kept.notes[1] == "anonymous-msweb.data: 1 user left out with fewer than 3 interactions (1 interaction in all)"
    )


def test_a_log_in_latin1_reads_alike(tmp_path: Path) -> None:
    text = (VISITS / "anonymous-msweb.data").read_text(encoding="utf-8")
    (tmp_path / "anonymous-msweb.data").write_bytes(text.encode("latin-1"))
    assert load_dataset(str(tmp_path)).catalogue == load_dataset(str(VISITS)).catalogue


BROKEN = ['V,"1000,1', "V,1000", "V,abc,1", "C,10001", "X,1,1", 'A,1000,1,"a"', "\0"]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_line_is_refused_by_its_number(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"anonymous-msweb\.data.*10: not a line of this format"):
        load_dataset(changed(tmp_path, 10, text))


def test_a_lenient_reading_gives_no_visit_to_the_wrong_visitor(tmp_path: Path) -> None:
    """Below a visitor that cannot be read, visits belong to nobody: not to the visitor before."""
    source = changed(tmp_path, 12, 'C,"10002')
    dataset = load_dataset(source, ReadOptions(min_interactions=1, lenient=True))
    assert dataset.histories.users.tolist() == ["10001", "10003"]
    assert dataset.notes[0] == "anonymous-msweb.data: 2 broken rows skipped (the first, line 12)"


@pytest.mark.parametrize("text", ['A,1000,1,"regwiz","/regwiz"', 'C,"10001",10001'])
def test_a_log_without_visits_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "anonymous-msweb.data").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="no visit in this file"):
        load_dataset(str(tmp_path))


def test_options_that_would_be_ignored_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"columns of anonymous-msweb\.data are known"):
        load_dataset(str(VISITS), ReadOptions(columns={"user": "C"}))


def write_csv(folder: Path, rows: list[tuple[int, int]]) -> str:
    folder.mkdir()
    lines = ["user_id,item_id", *(f"{user},{item}" for user, item in rows)]
    (folder / "interactions.csv").write_text("\n".join(lines), encoding="utf-8")
    (folder / "items.csv").write_text("\n".join(["item_id,title", *(f"{n},Thing {n}" for n in range(9))]))
    return str(folder)


def held_out_items(source: str, which: str) -> dict[str, int]:
    histories = load_dataset(source).histories
    return dict(zip(histories.users.tolist(), hold_out(histories, 9, which).targets.tolist(), strict=True))


def test_without_times_one_is_held_out_at_random_whoever_else_is_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [(user, int(item)) for user in range(900) for item in rng.choice(9, 6, replace=False)]
    some = [row for row in rng.permutation(rows).tolist() if row[0] % 2 == 0]
    every, half = write_csv(tmp_path / "all", rows), write_csv(tmp_path / "half", [(u, i) for u, i in some])

    test, validation = held_out_items(every, "test"), held_out_items(every, "validation")

    assert all(test[user] != validation[user] for user in test)
    for which, chosen in (("test", test), ("validation", validation)):
        assert held_out_items(half, which) == {user: chosen[user] for user in chosen if int(user) % 2 == 0}
        counts = np.bincount(list(chosen.values()), minlength=9)
        assert np.all(np.abs(counts - 100) < 5 * np.sqrt(900 / 9 * 8 / 9)), (
            "no item is held out more often than another"
        )
    first = {str(user): item for user, item in reversed(rows)}
    assert np.mean([test[user] == first[user] for user in test]) == pytest.approx(1 / 6, abs=0.07)
