"""Pages of a job, rendered from frozen data alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis_profiles import examples
from literal_job_facts import literal_job_facts
from literal_texts import HOSTILE_TEXTS, LITERAL, literal_status, obeyed_characters
from msgspec.structs import replace
from page_reader import PageReader

from autotune.jobs.status import JobState
from autotune.reports.report import Evidence, assemble
from autotune.reports.verdict import Change, ModelVerdict
from autotune.service.pages import answers
from autotune.service.pages.job_facts import (
    ConfigFacts,
    DecisionFacts,
    Frame,
    JobFacts,
    OperatorFacts,
    SpaceFacts,
)
from autotune.service.pages.rendering import (
    failures_page,
    machine_page,
    operator_page,
    operators_page,
    overview_page,
    problem_page,
    script,
    style_sheet,
)
from search_spaces.printable_text import printable

FRAME = Frame("a title")


def operator(text: str = LITERAL) -> OperatorFacts:
    config = ConfigFacts(f"best {text}", 0.01, 0.009, 0.011, 10)
    return OperatorFacts(
        literal_job_facts(text).report.operators[0],
        f"log {text}",
        f"device {text}",
        config,
        ConfigFacts(f"next {text}", 0.011, 0.01, 0.012, 10),
        False,
        (
            DecisionFacts("sketch", f"sketch {text}", "other", 1.5, 2),
            DecisionFacts(f"decision {text}", f"answer {text}", f"rival {text}", None, 3),
        ),
        ((f"sketch {text}", 2, 0.01),),
        2,
        ((0, 0.02), (1, 0.01)),
        (("run_error", 1),),
        SpaceFacts(
            1000, {f"sketch {text}": {"sketch": 4, f"decision {text}": 6}}, ((32, 0.7), (64, 0.8)), (3, 40)
        ),
    )


def pages(text: str) -> list[str]:
    facts = literal_job_facts(text)
    return [
        *(page(FRAME, facts) for page in (overview_page, operators_page, failures_page, machine_page)),
        operator_page(FRAME, operator(text)),
        problem_page(FRAME, text),
    ]


@examples(20)
@given(HOSTILE_TEXTS)
def test_pages_have_the_same_elements_whatever_the_names(text: str) -> None:
    for found, plain in zip(pages(text), pages("plain"), strict=True):
        found.encode()
        assert not obeyed_characters(found)
        assert PageReader(found).elements == PageReader(plain).elements


def test_every_text_from_outside_is_shown_literally() -> None:
    shown = "".join(PageReader(page).text for page in pages(LITERAL))
    of_status = ("job", "model", "task", "warning", "trouble", "error", "fact")
    for kind in (*of_status, "message", "damage", "config", "answer", "rival"):
        assert printable(f"{kind} {LITERAL}") in shown, kind
    assert "<b>x</b>" not in "".join(pages(LITERAL))


def test_nothing_needs_an_exception_from_a_strict_policy() -> None:
    for page in pages("plain"):
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|https?:(?!//www.w3.org)", page)
        assert page.count("<script") == page.count('<script type="module" src="/static/pages.js">') == 1
    assert "@import" not in style_sheet() and "url(" not in style_sheet()
    assert not re.search(r"(inner|outer)HTML\s*=[^=]|eval\(|document\.write", script())


def test_pages_lie_under_the_base_that_they_are_told() -> None:
    frame = Frame("x", base="/jobs/7", assets="/a", is_live=False)
    for page in (overview_page(frame, literal_job_facts()), operators_page(frame, literal_job_facts())):
        found = re.findall(r'(?:href|src)="([^"#]+)"', page)
        assert found and all(one.startswith(("/jobs/7/", "/a/")) for one in found)
        assert "data-events" not in page


def test_a_page_of_a_thousand_operators_stays_small() -> None:
    status = literal_status("x")
    tasks = tuple(replace(status.tasks[0], name=f"fused_conv2d_{n}", key=f"{n:032x}") for n in range(1000))
    facts = literal_job_facts("x")
    report = assemble(replace(status, tasks=tasks), Evidence({}, {}))
    facts = JobFacts(report, facts.verdicts, (), facts.log, tuple(f"operators/{n}-0" for n in range(1000)))
    for page in (overview_page(FRAME, facts), operators_page(FRAME, facts)):
        assert len(page) < 300_000
    assert "700 lighter operators are not shown" in operators_page(FRAME, facts)


def verdict(change: Change, low: float, high: float) -> ModelVerdict:
    return ModelVerdict("m", "d", change, 0.02, 0.01, 2.0, low, high, 10, True)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (verdict(Change.FASTER, 1.9, 2.1), "2.00 times as fast, for sure (95 % interval 1.90 to 2.10"),
        (verdict(Change.SLOWER, 0.4, 0.6), "slower"),
        (verdict(Change.UNCLEAR, 0.9, 1.1), "no difference for sure"),
        (ModelVerdict("m", "d", Change.ESTIMATED, 0.02, 0.01, 2.0), "estimated 2.00 times as fast"),
        (ModelVerdict("m", "d", Change.UNKNOWN, None, None, None), "not known yet"),
    ],
)
def test_the_answer_to_is_it_faster_never_claims_more_than_was_measured(
    one: ModelVerdict, words: str
) -> None:
    assert words in answers.faster(one)


def test_the_state_tells_a_killed_job_and_a_log_alone() -> None:
    facts = literal_job_facts("x")
    assert answers.state(facts) == "finished"
    status = replace(facts.report.status, state=JobState.STOPPED, activity="killed; the same command goes on")
    assert answers.state(JobFacts(assemble(status, Evidence({}, {})), (), (), facts.log, ())) == "killed"
    assert answers.state(JobFacts(facts.report, (), (), facts.log, (), has_status=False)) == "log only"


def test_the_operators_page_says_what_was_never_tried_and_what_decides() -> None:
    shown = PageReader(operator_page(FRAME, operator("x"))).text
    assert "5 of the 10 choices of this sketch's decisions (50%) in none" in shown
    assert "sketch = sketch x (1.50× slower without)" in shown
    assert "ranks it 3 among the 40" in shown
    assert "10.0% slower" in shown and "it may be luck" in shown
