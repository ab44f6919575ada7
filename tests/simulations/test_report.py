"""A page is whole and says what its tables say; what is no table of ours is refused."""

from __future__ import annotations

import html
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sottovoce.common.errors import DataError
from sottovoce.common.privacy.accounting import ReleaseEvent, epsilon
from sottovoce.common.privacy.plan import Trust, make_plan
from sottovoce.simulations.report import audit_figure, curves, read_results, spending, write_report
from sottovoce.simulations.summary import OWN, summarise

DELTA = 1e-5
METRICS = ("full.ndcg@10", "sampled.hr@10")


def releases(budget: float) -> list[dict[str, Any]]:
    plan = make_plan(
        trust=Trust.SERVER, target_epsilon=budget, delta=DELTA, population=943, clip_norm=0.4, rounds=3
    )  # fmt: skip
    return [kind.event().public() for kind in plan.mechanisms]


def row(model: str, budget: float | str | None, seed: int | None, value: float, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    known: dict[str, Any] = {
        "schema": 1,
        "cell": f"{model}-{budget}-{seed}",
        "model": model,
        "error": None,
        "data.source": "ml-100k",
        "data.held_out": "test",
        "privacy.epsilon": budget,
        "privacy.trust": "server",
        "head.rank": 16,
        "seed": seed,
        "dataset.name": "ml-100k",
        "dataset.users": 943,
        "spent.delta": DELTA,
        "releases": json.dumps(releases(float(budget or 0))) if model == "sottovoce" and budget != "inf" else None,
        "full.coverage@10": 0.3,
        "full.long_tail@10": 0.1,
        "communication.upload_bytes_per_node": 1e6,
        "communication.download_bytes_per_node": 1e6,
    }
    for metric in METRICS:
        known |= {metric: value, f"{metric}.low": value - 0.01, f"{metric}.high": value + 0.01}
    return known | changes


def write(folder: Path, rows: list[dict[str, Any]], **attrs: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.attrs |= attrs
    table.to_parquet(folder / "results.parquet")
    return folder


@pytest.fixture
def utility(tmp_path: Path) -> Path:
    runs = [
        row("sottovoce", str(budget), seed, 0.05 + 0.01 * budget + 0.001 * seed) for budget in (1, 8) for seed in (0, 1)
    ]
    runs.append(row("sottovoce", "inf", 0, 0.2))
    runs += [row("DP popularity", "1", seed, 0.03 + 0.0005 * seed) for seed in (0, 1)]
    return write(
        tmp_path / "utility",
        [*runs, row("popularity", None, None, 0.04)],
        command="sottovoce sweep mine/utility.toml --data 'my films' --out tables/utility",
    )


class Outside(HTMLParser):
    """Everything that a browser would fetch, and every tag that is left open."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [
            f"{tag} {name}={value}" for name, value in attrs
            if (name in ("src", "href", "xlink:href") and not (value or "").startswith("#"))
        ]  # fmt: skip


def test_the_page_needs_no_network_and_holds_every_figure(utility: Path, tmp_path: Path) -> None:
    figures = write_report([utility], [], tmp_path / "page" / "report.html")
    text = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    parser = Outside()
    parser.feed(text)
    assert parser.fetched == []
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert [figure.name for figure in figures] == [
        "utility-ml-100k-utility", "utility-ml-100k-ratio", "utility-ml-100k-spread",
        "utility-ml-100k-traffic", "utility-ml-100k-budget",
    ]  # fmt: skip
    for figure in figures:
        assert figure.command == "sottovoce sweep mine/utility.toml --data 'my films' --out tables/utility"
        assert html.escape(figure.command) in text
        assert (tmp_path / "page" / "figures" / f"{figure.name}.svg").stat().st_size > 1000
        assert (tmp_path / "page" / "figures" / f"{figure.name}.png").read_bytes()[1:4] == b"PNG"
        assert len(pd.read_csv(tmp_path / "page" / "figures" / f"{figure.name}.csv")) == len(figure.data)


def test_what_is_drawn_is_the_mean_over_seeds(utility: Path) -> None:
    summary = summarise(read_results(utility), "epsilon", list(METRICS)).set_index(["series", "x"])
    assert summary.loc[("sottovoce", 8.0), "full.ndcg@10"] == pytest.approx(0.1305)
    assert summary.loc[("sottovoce", 8.0), "full.ndcg@10.low"] == pytest.approx(0.1205)
    assert summary.loc[("sottovoce", 8.0), "seeds"] == 2
    assert summary.loc[("sottovoce", math.inf), "full.ndcg@10"] == pytest.approx(0.2)
    assert summary.loc[("DP popularity", 1.0), "full.ndcg@10"] == pytest.approx(0.03025)


@pytest.mark.parametrize(("largest", "scale"), [(1.4e6, "linear"), (4e7, "log")])
def test_traffic_has_decades_only_where_it_spans_them(largest: float, scale: str, tmp_path: Path) -> None:
    upload = "communication.upload_bytes_per_node"
    runs = [row(OWN, 1, 0, 0.1, **{upload: 1.2e6}), row(OWN, 8, 0, 0.2, **{upload: largest})]
    table = read_results(write(tmp_path / "traffic", runs))
    drawn = curves("traffic", "Traffic", table, "epsilon", {upload: "upload per node, MB"}, "")
    assert drawn.canvas.axes[0].get_yscale() == scale


def test_runs_that_differ_have_curves_of_their_own(tmp_path: Path) -> None:
    rows = [row("sottovoce", "1", 0, 0.1, **{"privacy.trust": trust}) for trust in ("server", "node")]
    summary = summarise(read_results(write(tmp_path / "trust", rows)), "epsilon", list(METRICS))
    assert sorted(summary["series"]) == ["node", "server"]


def test_presets_that_differ_between_budgets_are_one_curve(tmp_path: Path) -> None:
    rows = [row("sottovoce", str(budget), 0, 0.1, **{"head.rank": budget}) for budget in (1, 8)]
    summary = summarise(read_results(write(tmp_path / "utility", rows)), "epsilon", list(METRICS))
    assert set(summary["series"]) == {"sottovoce"}


def test_the_budget_is_spent_to_its_end_and_never_shrinks() -> None:
    events = [ReleaseEvent(**event) for event in releases(8.0)]
    spent = list(spending(events, DELTA))
    assert len(spent) == 4
    assert (np.diff(spent) > 0).all()
    assert spent[-1] == pytest.approx(epsilon(events, DELTA))
    assert 7.99 < spent[-1] <= 8.0


def test_a_run_that_failed_is_told_and_not_drawn(utility: Path, tmp_path: Path) -> None:
    broken = row("sottovoce", "1", 5, 9.0, error="it <broke>")
    table = pd.concat([pd.read_parquet(utility / "results.parquet"), pd.DataFrame([broken])])
    table.to_parquet(utility / "results.parquet")
    figures = write_report([utility], [], tmp_path / "report.html")
    assert "it &lt;broke&gt;" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert figures[0].data["full.ndcg@10"].max() < 1


def test_people_are_counted_where_the_sizes_differ(tmp_path: Path) -> None:
    rows = [
        row(
            "sottovoce",
            "1",
            0,
            0.1,
            **{"dataset.users": users, "dataset.name": f"synthetic-{users}", "data.source": f"synthetic:users={users}"},
        )
        for users in (1000, 10_000, 100_000)
    ]
    [figure] = write_report([write(tmp_path / "scaling", rows)], [], tmp_path / "report.html")
    assert sorted(figure.data["x"]) == [1000, 10_000, 100_000]


def test_trust_is_drawn_over_the_nodes_and_what_is_simulated_is_called_so(tmp_path: Path) -> None:
    rows = [
        row("sottovoce", "1", 0, 0.1, **{"privacy.trust": trust, "federation.nodes": nodes})
        for trust in ("server", "aggregate", "node")
        for nodes in (1, 16)
    ]
    [figure] = write_report([write(tmp_path / "trust", rows)], [], tmp_path / "report.html")
    assert set(figure.data["series"]) == {"server, ε = 1", "aggregate (simulated), ε = 1", "node, ε = 1"}
    assert set(figure.data["x"]) == {1, 16}


def test_noise_falls_as_people_come(tmp_path: Path) -> None:
    rows = [
        row(
            "sottovoce",
            "1",
            0,
            0.1,
            **{"dataset.users": users, "dataset.name": f"s{users}", "data.source": "synthetic"},
        )
        for users in (1000, 10_000, 100_000)
    ]
    [figure] = write_report([write(tmp_path / "scaling", rows)], [], tmp_path / "report.html")
    noise = figure.data["noise"].to_numpy()
    assert noise[:-1] / noise[1:] == pytest.approx([10, 10])


def test_the_page_says_whether_more_budget_buys_more(utility: Path, tmp_path: Path) -> None:
    write_report([utility], [], tmp_path / "report.html")
    assert "sottovoce: rises at every step." in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_says_how_many_times_dp_popularity_it_is_worth(utility: Path, tmp_path: Path) -> None:
    figures = write_report([utility], [], tmp_path / "report.html")
    [ratio] = [figure for figure in figures if figure.name == "utility-ml-100k-ratio"]
    [first, *_] = ratio.notes
    # 0.060 and 0.061 over 0.0300 and 0.0305 of the same seeds.
    assert first == "sottovoce, ε = 1: 2.000 × DP popularity [2.000, 2.000], 2 seeds"
    assert first in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert set(pd.read_csv(tmp_path / "figures" / "utility-ml-100k-ratio.csv")["reference"]) == {
        "DP popularity",
        "no DP",
    }


def test_a_table_that_does_not_say_what_made_it_has_no_command_made_up(tmp_path: Path) -> None:
    figures = write_report([write(tmp_path / "x", [row("sottovoce", "1", 0, 0.1)])], [], tmp_path / "report.html")
    assert {figure.command for figure in figures} == {"(the table does not say which command made it)"}


AUDIT = {"schema": 1, "claimed_epsilon": 8.0, "confidence": 0.999, "attacks": {"one_run": {"epsilon_lower_bound": 2.0}}}


@pytest.mark.parametrize(
    ("option", "content"),
    [
        ("audit", "{"),
        ("audit", "[]"),
        ("audit", json.dumps(AUDIT | {"attacks": 5})),
        ("audit", json.dumps(AUDIT | {"attacks": {"one_run": 2.0}})),
        ("audit", json.dumps(AUDIT | {"confidence": None})),
        ("audit", json.dumps(AUDIT | {"schema": 2})),
        ("tuning", '{"schema": 1, "searches": 3}'),
        ("tuning", '{"schema": 1, "searches": []}'),
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_written(
    utility: Path, tmp_path: Path, option: str, content: str
) -> None:
    file, out = tmp_path / f"{option}.json", tmp_path / "page" / "report.html"
    file.write_text(content, encoding="utf-8")
    audits, tunings = ([file], []) if option == "audit" else ([], [file])
    with pytest.raises(DataError, match=rf"{option}\.json: (not what|schema = 2)"):
        write_report([utility], audits, out, tunings)
    assert not out.parent.exists()


def test_an_audit_of_a_run_without_privacy_is_a_page_too(utility: Path, tmp_path: Path) -> None:
    file = tmp_path / "audit.json"
    file.write_text(json.dumps(AUDIT | {"claimed_epsilon": None, "attacks": {}}), encoding="utf-8")
    assert write_report([utility], [file], tmp_path / "report.html")[-1].data.empty


def test_the_page_says_how_settings_were_chosen(utility: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    write_report([utility], [], out)
    assert "validation splits of these data, outside any privacy budget" in out.read_text(encoding="utf-8")
    best = {"from": "trial 3", "values": {"train.rounds": 7}, "mean": 0.1, "low": 0.09, "high": 0.11, "runs": 4}
    search = {"contender": "from <zero>", "epsilon": 1.0, "trials": 20, "failed": 0, "committed": best, "best": best}
    found = {"schema": 1, "dataset": "ml-100k", "metric": "full.ndcg@10", "trials": 20, "seeds": 1, "finalists": 2,
             "confirm": 4, "says": "outside any budget", "searches": [search]}  # fmt: skip
    tuning = tmp_path / "tuning.json"
    tuning.write_text(json.dumps(found), encoding="utf-8")
    write_report([utility], [], out, [tuning])
    text = out.read_text(encoding="utf-8")
    for part in ("outside any budget", "20 trials", "from &lt;zero&gt;", "rounds 7", "0.1000 [0.0900, 0.1100]"):
        assert part in text
    tuning.write_text(json.dumps(found | {"schema": 2}), encoding="utf-8")
    with pytest.raises(DataError, match=r"tuning\.json: schema = 2"):
        write_report([utility], [], tmp_path / "other.html", [tuning])
    assert not (tmp_path / "other.html").exists()


def test_an_audit_stands_against_its_claim() -> None:
    audit = {"claimed_epsilon": 8.0, "confidence": 0.999, "attacks": {
        "canaries": {"epsilon_lower_bound": 2.0}, "membership": {"tpr": 0.1}}}  # fmt: skip
    figure = audit_figure([audit])
    assert figure.data.to_dict("records") == [{"claimed ε": 8.0, "attack": "canaries", "lower bound on ε": 2.0}]
    assert "0.999" in figure.caption


def test_an_experiment_that_failed_whole_costs_the_others_nothing(utility: Path, tmp_path: Path) -> None:
    failed = write(tmp_path / "failed", [row("sottovoce", "1", 0, 0.1, error="no such encoder")])
    write_report([failed, utility], [], tmp_path / "report.html")
    assert "no such encoder" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("what", ["missing", "broken", "version", "all failed"])
def test_what_is_no_table_is_named(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    if what == "broken":
        (folder / "results.parquet").write_bytes(b"no parquet")
    elif what != "missing":
        write(folder, [row("sottovoce", "1", 0, 0.1, **({"schema": 9} if what == "version" else {"error": "why"}))])
    with pytest.raises(DataError, match=r"results\.parquet"):
        write_report([folder], [], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
