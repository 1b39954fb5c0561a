"""Result of a capacity study, as a value and as a JSON document."""

from __future__ import annotations

import msgspec

from autotune.devices.price import price_per_million
from autotune.throughput.load_point import LoadPoint
from autotune.throughput.screening import Screened
from autotune.throughput.serving_setup import ServingSetup

#: Of the document; a field that changes its meaning raises it.
SCHEMA = 1


class CapacityResult(msgspec.Struct, frozen=True):
    """The load that a model holds within a latency limit.

    device, connection:    the machine, and the URL of its device, as in local?threads=1;
    served_by:             what answered the requests, for which alone the figures hold;
    throughput_per_second: the largest Poisson load that held the limit: at which the upper end of the 95 % interval of
                           the 99th percentile was within it; 0 where no load was;
    expected_per_second:   the largest load at which the percentile itself was within it, the best single guess;
    missed_per_second:     the smallest load at which it was not, None where there was none;
    predicted_per_second:  what the simulation expected, before any run;
    setup:                 the one that this is true of, None where a server has its own;
    one_after_the_other:   the setup with one instance on all processors and one request a call, and its expected load;
    curve:                 latencies against offered load, of the setup, ascending; runs: all that were made;
    screened:              the setups of the search.
    """

    model: str
    device: str
    connection: str
    processors: int
    p99_limit_secs: float
    setup: ServingSetup | None
    throughput_per_second: float
    expected_per_second: float
    missed_per_second: float | None
    predicted_per_second: float
    one_after_the_other: ServingSetup | None
    one_after_the_other_per_second: float
    price_per_hour: float | None
    curve: tuple[LoadPoint, ...]
    runs: tuple[LoadPoint, ...]
    screened: tuple[Screened, ...]
    batch_wait_secs: float
    secs: float
    served_by: str = ""
    notices: tuple[str, ...] = ()
    schema: int = SCHEMA

    @property
    def dollars_per_million(self) -> float | None:
        """The price of a million requests at the throughput; None without a price, or where nothing holds."""
        return price_per_million(self.price_per_hour, self.throughput_per_second)

    @property
    def gain(self) -> float | None:
        """The expected load by that of one request after the other; None where the latter is none."""
        alone = self.one_after_the_other_per_second
        return self.expected_per_second / alone if alone > 0.0 else None


def result_document(result: CapacityResult) -> dict[str, object]:
    """The result as it is printed and written, with what follows from it."""
    found: dict[str, object] = msgspec.to_builtins(result)
    return {**found, "dollars_per_million": result.dollars_per_million, "gain": result.gain}
