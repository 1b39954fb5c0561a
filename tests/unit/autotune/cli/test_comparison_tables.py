"""Comparisons and verdicts as people see them."""

from __future__ import annotations

import json

import pytest
from comparison_fixtures import make_comparison, make_row

from autotune.cli.comparison_arguments import has_limit, read_limits, read_prices, split_names
from autotune.cli.comparison_tables import (
    choice_text,
    comparison_json,
    comparison_tables,
    fastest_text,
    limits_text,
    verdict_tables,
)
from autotune.comparison.fastest import fastest
from autotune.comparison.limits import Limits
from autotune.comparison.result import Row
from autotune.comparison.verdict import verdict
from search_spaces import Misuse

COMPARISON = make_comparison(
    [
        Row("net", "local", "openvino", reason="it is not installed"),
        make_row("autotune", [0.012] * 400),
        make_row("onnxruntime", [0.008] * 10),
    ],
    {"local": 0.36},
)


def test_a_table_begins_with_the_fastest_and_ends_with_what_did_not_run() -> None:
    [table] = comparison_tables(COMPARISON)
    assert table.title == "net on local: one run, 2 threads, engines in turns"
    assert [row[0] for row in table.rows] == ["onnxruntime", "autotune", "openvino"]
    assert table.rows[0][1:5] == ("8 ms (8 ms to 8 ms)", "8 ms", "8 ms (8 ms to ?)", "1.00")
    assert table.rows[1][3:5] == ("12 ms (12 ms to 12 ms)", "1.50")
    assert table.rows[2][-1] == "it is not installed"
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_the_answer_is_a_sentence() -> None:
    [found] = fastest(COMPARISON)
    assert (
        fastest_text(found) == "net on local: onnxruntime is the fastest, 8 ms; autotune takes 1.50× as long"
    )
    [alone] = fastest(make_comparison(COMPARISON.rows[:2]))
    assert fastest_text(alone).endswith("autotune is the fastest, 12 ms; no other engine runs it")
    [none] = fastest(make_comparison(COMPARISON.rows[:1]))
    assert fastest_text(none) == "net on local: no engine runs it with the right outputs"


def test_a_verdict_says_what_holds_and_by_how_much_the_others_miss() -> None:
    found = verdict(COMPARISON, Limits(0.01, 100.0, 1.0))
    [table] = verdict_tables(found)
    assert table.title == "net: 1 of 3 hold p99 ≤ 10 ms, ≥ 100 per second, ≤ 1 a million"
    assert table.rows == (
        ("onnxruntime", "local", "8 ms", "125", "0.8", "holds"),
        (
            "autotune",
            "local",
            "12 ms",
            "83.3",
            "1.2",
            "latency by 2 ms (20.0%); throughput by 16.7 per second (16.7%); price by 0.2 a million (20.0%)",
        ),
        ("openvino", "local", "–", "–", "–", "it is not installed"),
    )
    assert choice_text(found.models[0]) == "net: onnxruntime on local, 0.8 a million"
    assert choice_text(verdict(COMPARISON, Limits(1e-6)).models[0]) == "net: nothing holds the limits"
    assert limits_text(Limits()) == "no limit"


def test_the_json_has_all_but_single_runs() -> None:
    document = json.loads(json.dumps(comparison_json(COMPARISON, verdict(COMPARISON, Limits(0.01)))))
    assert "run_secs" not in document["rows"][1]["measured"]
    assert document["rows"][0]["measured"] is None
    assert document["fastest"][0]["engine"] == "onnxruntime"
    [held] = document["verdict"]["models"][0]["holding"]
    assert held["engine"] == "onnxruntime"
    assert document["verdict"]["models"][0]["missing"][0]["misses"][0]["limit"] == "latency_secs"


def test_options_become_limits_prices_and_names() -> None:
    assert read_limits(20.0, None, None, 95.0) == Limits(0.02, percentile=95.0)
    assert (
        has_limit(Limits(latency_secs=1.0))
        and has_limit(Limits(None, 1.0))
        and has_limit(Limits(None, None, 1.0))
    )
    assert not has_limit(Limits())
    assert read_prices(["local=0.17", "local?threads=1=2"]) == {"local": 0.17, "local?threads=1": 2.0}
    board = "rpc://host:1/k?target=llvm -mattr=+a,+b"
    assert split_names(["local, pi4", board]) == ["local", "pi4", board]


@pytest.mark.parametrize("texts", [["local"], ["=1"], ["local=cheap"], ["local="], ["a=1", "a=2"]])
def test_other_prices_are_refused(texts: list[str]) -> None:
    with pytest.raises(Misuse, match="price"):
        read_prices(texts)
