"""The data of the pages of one job, complete before anything is rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from autotune.reports.convergence import Convergence
from autotune.reports.report import OperatorReport, Report
from autotune.reports.verdict import ModelVerdict

#: The pages of a job, by their names in the menu and their paths under the job's.
JOB_MENU: Final = (
    ("Overview", "/"), ("Operators", "/operators"), ("Failures", "/failures"), ("Machine", "/machine"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Frame:
    """The frame around a page.

    base: the path that the job's pages are under, without a slash at its end; section: the page's name in the menu;
    assets: the path of style sheet and script; is_live: whether the page follows the server's events;
    events: the path of these events, None where it is the one under the base;
    menu: names and paths under the base; up: name and address of the page above these, None where there is none;
    sign_out: what proves that a form is this page's own, where somebody is signed in.
    """

    title: str
    base: str = ""
    section: str = ""
    assets: str = "/static"
    is_live: bool = True
    events: str | None = None
    menu: tuple[tuple[str, str], ...] = JOB_MENU
    up: tuple[str, str] | None = None
    sign_out: str | None = None


@dataclass(frozen=True, slots=True)
class FailureFacts:
    """One kind of failure in the log: how often, the messages met most, the tasks it met most, one config."""

    kind: str
    count: int
    messages: tuple[str, ...]
    tasks: tuple[tuple[str, int], ...]
    example: str


@dataclass(frozen=True, slots=True)
class Drift:
    """The slowdown of the device by its reference kernel, over a sample of records in their order.

    points: (number of the record, times slower than usual), one for each stretch of the log, its slowest;
    unsteady_share: the part of the sample that was slowed down.
    """

    points: tuple[tuple[float, float], ...] = ()
    unsteady_share: float = 0.0


@dataclass(frozen=True, slots=True)
class LogFacts:
    """The state of a job's log.

    address: as commands take it; read_share: the part of the file that was read so far; damage: unreadable lines;
    trouble: why the log cannot be read at all.
    """

    address: str
    records: int = 0
    read_share: float = 1.0
    damage: tuple[str, ...] = ()
    trouble: str | None = None
    failures: tuple[FailureFacts, ...] = ()
    drift: Drift = Drift()


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job as its pages show it.

    links: the place of each operator's page under the job's, in the order of the report's operators, None where it
           has no records; has_status: whether a job left a status, rather than a log alone; trouble: with the status.
    """

    report: Report
    verdicts: tuple[ModelVerdict, ...]
    convergence: tuple[Convergence, ...]
    log: LogFacts
    links: tuple[str | None, ...]
    has_status: bool = True
    trouble: str | None = None

    def page_links(self, base: str) -> list[str | None]:
        """The addresses of the operators' pages; base: of the job's."""
        return [f"{base}/{link}" if link else None for link in self.links]


@dataclass(frozen=True, slots=True)
class DecisionFacts:
    """One decision of the fastest config.

    answer: the fastest config's; rival: the next config's; without: times slower the best config is that answers
    otherwise, None where none was measured; tried: how many answers occur.
    """

    name: str
    answer: str
    rival: str
    without: float | None
    tried: int


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """A config: its key, latency in seconds with the quartiles of its repeats, and how many there were."""

    key: str
    secs: float
    low_secs: float
    high_secs: float
    repeats: int


@dataclass(frozen=True, slots=True)
class SpaceFacts:
    """The search space of an operator, and what a cost model makes of its trials.

    size: configs; choices: of each decision of each sketch; quality: the model's ranking accuracy over the trials;
    foreseen: the rank of the best config by a model fitted to what was measured before it, of so many; None where
    there were too few; trouble: why it is not known.
    """

    size: int = 0
    choices: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    quality: tuple[tuple[int, float], ...] = ()
    foreseen: tuple[int, int] | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class OperatorFacts:
    """One operator on one device.

    log: its address; connection: the URL of the device, None where no job named one;
    is_beyond_noise: whether best and rival differ beyond the scatter of their repeats; sketches: those tried, with the
    number of configs and the best latency of each; looked_at: the configs that decisions were counted in, of trials.
    failures: by kind; trials: (number, seconds) of those that ran; space: None where it was not looked at yet.
    """

    operator: OperatorReport
    log: str
    connection: str | None
    best: ConfigFacts | None
    rival: ConfigFacts | None
    is_beyond_noise: bool
    decisions: tuple[DecisionFacts, ...]
    sketches: tuple[tuple[str, int, float], ...]
    looked_at: int
    trials: tuple[tuple[int, float], ...]
    failures: tuple[tuple[str, int], ...]
    space: SpaceFacts | None = None

    @property
    def choices(self) -> Mapping[str, int]:
        """The number of choices of each decision of the best config's sketch, empty where they were not counted."""
        sketch = next((one.answer for one in self.decisions if one.name == "sketch"), "")
        return self.space.choices.get(sketch, {}) if self.space else {}
