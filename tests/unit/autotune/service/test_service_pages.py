"""The service's own pages, rendered from documents in which every text is any text."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from filled import filled
from hypothesis import given
from hypothesis_profiles import examples
from literal_job_facts import literal_job_facts
from literal_texts import HOSTILE_TEXTS, LITERAL, obeyed_characters
from page_reader import PageReader

from autotune.service.bookings import BookingDocument
from autotune.service.documents import (
    DeviceDocument,
    JobDocument,
    JobPage,
    LatencyForecast,
    ModelDocument,
    Problem,
    QueueState,
)
from autotune.service.pages import service_pages
from autotune.service.pages.job_facts import Frame
from autotune.service.pages.service_facts import ModelFacts, OrderForm, ResultFacts
from autotune.service.result_documents import HistoryEntry, OfferVerdict, PackageDocument, ResultDocument
from search_spaces.printable_text import printable

Page = Callable[[Frame, str], str]


def _model(text: str) -> ModelDocument:
    """A model with a forecast, and a device without one."""
    found: ModelDocument = filled(ModelDocument, text)
    refused = filled(LatencyForecast, text, secs=None)
    examination = filled(type(found.examination), text, forecasts=(*found.examination.forecasts, refused))
    return filled(ModelDocument, text, examination=examination)


def _result(text: str, state: QueueState) -> ResultFacts:
    """A job in a state, with a verdict that holds all, a package that failed, and its log."""
    watched, names = literal_job_facts(text), (f"names {text}",)
    found: ResultFacts = filled(ResultFacts, text, watched=watched, names=names)
    results = filled(
        ResultDocument,
        text,
        job=filled(JobDocument, text, state=state),
        verdicts=(*found.results.verdicts, filled(OfferVerdict, text, misses=(), outputs_equal=True)),
        packages=(*found.results.packages, filled(PackageDocument, text, file=None, reason=None)),
    )
    return filled(ResultFacts, text, watched=watched, names=names, results=results)


_PAGES: Mapping[str, Page] = {
    "sign in": lambda frame, text: service_pages.sign_in_page(frame, text, text, f"message {text}"),
    "refusal": lambda frame, text: service_pages.refusal_page(frame, filled(Problem, text)),
    "models": lambda frame, text: service_pages.models_page(frame, (_model(text),), f"csrf {text}"),
    "model": lambda frame, text: service_pages.model_page(
        frame,
        filled(
            ModelFacts,
            text,
            model=_model(text),
            history=(filled(HistoryEntry, text), filled(HistoryEntry, text, slowdown=None)),
        ),
    ),
    "order": lambda frame, text: service_pages.order_page(
        frame,
        filled(
            OrderForm,
            text,
            devices=(filled(DeviceDocument, text), filled(DeviceDocument, text, refusal=None)),
            values={one: f"{one} {text}" for one in ("name", "time", "dims", "more_devices")},
        ),
    ),
    "jobs": lambda frame, text: service_pages.jobs_page(frame, filled(JobPage, text), None),
    "bookings": lambda frame, text: service_pages.bookings_page(frame, (filled(BookingDocument, text),)),
    "job that runs": lambda frame, text: service_pages.result_page(frame, _result(text, QueueState.RUNNING)),
    "job that is over": lambda frame, text: service_pages.result_page(
        frame, _result(text, QueueState.CANCELLED)
    ),
}


def _frame(text: str) -> Frame:
    return Frame(f"title {text}", menu=(("Models", "/models"),), sign_out="csrf")


@examples(20)
@given(HOSTILE_TEXTS)
@pytest.mark.parametrize("name", _PAGES)
def test_pages_have_the_same_elements_whatever_the_texts(name: str, text: str) -> None:
    found, plain = (_PAGES[name](_frame(one), one) for one in (text, "plain"))
    found.encode()
    assert not obeyed_characters(found)
    assert PageReader(found).elements == PageReader(plain).elements


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("refusal", ("title", "detail")),
        ("models", ("name",)),
        ("model", ("name", "message", "notices", "device", "nodes")),
        ("order", ("message", "name", "target")),
        ("jobs", ("name",)),
        ("bookings", ("device", "place", "job", "waiting")),
        (
            "job that runs",
            ("name", "activity", "reason", "warnings", "device", "engine", "downloads", "file"),
        ),
        ("job that is over", ("names", "devices")),
    ],
)
def test_texts_from_outside_are_shown_literally(name: str, shown: tuple[str, ...]) -> None:
    page = _PAGES[name](_frame(LITERAL), LITERAL)
    text = PageReader(page).text
    for each in shown:
        assert printable(f"{each} {LITERAL}") in text, each
    assert "<b>x</b>" not in page
