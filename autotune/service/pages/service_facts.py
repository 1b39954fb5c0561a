"""The data of the service's own pages, complete before anything is rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autotune.service.documents import DeviceDocument, JobDocument, JobPage, ModelDocument
from autotune.service.pages.job_facts import JobFacts
from autotune.service.result_documents import HistoryEntry, OfferVerdict, ResultDocument


@dataclass(frozen=True, slots=True)
class OrderForm:
    """The form that orders a job of models.

    csrf: proves that the form is our own; key: makes a job of the same form once; values, chosen: what was typed and
    ticked before; message: why that was refused.
    """

    models: tuple[ModelDocument, ...]
    devices: tuple[DeviceDocument, ...]
    csrf: str
    key: str
    values: Mapping[str, str] = field(default_factory=dict)
    chosen: tuple[str, ...] = ("local",)
    message: str | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model with what became of it: its newest jobs, and all results under its name; order: None for readers."""

    model: ModelDocument
    history: tuple[HistoryEntry, ...]
    jobs: JobPage
    order: OrderForm | None


@dataclass(frozen=True, slots=True)
class Supposition:
    """Limits and prices that a visitor supposes, as typed, and the verdicts under them; message: why there are none."""

    values: Mapping[str, str]
    verdicts: tuple[OfferVerdict, ...]
    message: str | None = None


@dataclass(frozen=True, slots=True)
class ResultFacts:
    """A job with its results; watched: its log and status, None before it has any; csrf: None for readers.

    prices: per hour, of the job's devices; names: of its models in the job.
    """

    results: ResultDocument
    watched: JobFacts | None
    csrf: str | None
    supposed: Supposition | None
    prices: Mapping[str, float | None]
    names: tuple[str, ...]

    @property
    def job(self) -> JobDocument:
        """The job itself."""
        return self.results.job

    @property
    def verdicts(self) -> tuple[OfferVerdict, ...]:
        """The verdicts to show: under what is supposed, or else under the order's needs."""
        return self.supposed.verdicts if self.supposed else self.results.verdicts
