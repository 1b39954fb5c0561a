"""Leases are exclusive, fair, and end where nobody renews them."""

from __future__ import annotations

from collections import Counter

import pytest
from fake_crew import Clock

from autotune.cluster.lease_book import LEASE_SECS, LeaseBook


class Jobs:
    """Jobs that work with their leases, and let them go when they are told to."""

    def __init__(self, names: list[str], units: list[str]) -> None:
        self.clock = Clock()
        self.book = LeaseBook(self.clock)
        self.units = units
        self.names = names
        self.held: dict[str, list[str]] = {name: [] for name in names}
        self.used: Counter[str] = Counter()

    def run(self, secs: float, step_secs: float = 2.0) -> None:
        end = self.clock.now + secs
        while self.clock.now < end:
            for name in self.names:
                self.held[name] = self.book.refresh(name, "pi4", self.units, self.held[name])
                self.held[name] = self.book.refresh(name, "pi4", self.units, self.held[name])
            holders = [unit for units in self.held.values() for unit in units]
            assert len(holders) == len(set(holders)), self.held
            for name, units in self.held.items():
                self.used[name] += len(units) * int(step_secs)
            self.clock.now += step_secs


@pytest.mark.parametrize("boards", [1, 3, 16])
def test_ten_jobs_share_devices_fairly(boards: int) -> None:
    jobs = Jobs([f"job-{number}" for number in range(10)], [f"board-{number}" for number in range(boards)])
    jobs.run(1800.0)
    shares = [jobs.used[name] for name in jobs.names]
    assert sum(shares) ** 2 / (10 * sum(share**2 for share in shares)) >= 0.95
    assert sum(shares) >= 0.9 * boards * 1800


def test_one_job_has_all_devices_until_another_comes() -> None:
    jobs = Jobs(["first"], ["a", "b"])
    jobs.run(60.0)
    assert jobs.held["first"] == ["a", "b"]
    jobs.names.append("second")
    jobs.held["second"] = []
    jobs.run(60.0)
    assert [len(jobs.held[name]) for name in jobs.names] == [1, 1]


def test_a_job_that_was_killed_loses_its_lease() -> None:
    jobs = Jobs(["first", "second"], ["a"])
    jobs.run(1.0)
    assert jobs.held == {"first": ["a"], "second": []}
    jobs.names.remove("first")
    jobs.held.pop("first")
    jobs.run(LEASE_SECS + 2.0)
    assert jobs.held == {"second": ["a"]}


def test_a_device_is_not_granted_while_another_still_works_with_it() -> None:
    clock = Clock()
    book = LeaseBook(clock)
    assert book.refresh("first", "pi4", ["a"], []) == ["a"]
    for _ in range(100):
        clock.now += 1.0
        book.refresh("first", "pi4", ["a"], ["a"])  # a measurement that takes long
        assert book.refresh("second", "pi4", ["a"], []) == []
    book.refresh("first", "pi4", ["a"], [])
    assert book.refresh("second", "pi4", ["a"], []) == ["a"]


def test_bookings_name_the_holder_and_the_jobs_that_wait() -> None:
    book = LeaseBook(Clock())
    book.refresh("first", "pi4", ["a"], [])
    book.refresh("second", "pi4", ["a"], [])
    [booking] = book.bookings()
    assert (booking.device, booking.unit, booking.job, booking.waiting) == ("pi4", "a", "first", ("second",))
    book.give_back("first")
    assert book.bookings() == []


def test_a_book_that_was_started_anew_believes_who_holds_a_device() -> None:
    book = LeaseBook(Clock())
    assert book.refresh("first", "pi4", ["a"], ["a"]) == ["a"]
    assert book.refresh("second", "pi4", ["a"], []) == []
