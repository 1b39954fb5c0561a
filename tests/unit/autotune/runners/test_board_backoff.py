"""Boards that were lost: left alone, longer each time, and forgiven."""

from __future__ import annotations

from autotune.devices.rpc_tracker import Address
from autotune.runners.board_backoff import BoardBackoff
from autotune.workers.backoff import Backoff
from autotune.workers.remote_end import find_session_end, session_end_line
from autotune.workers.reply import Died, OverMemory

BOARD, OTHER = Address("10.0.0.7", 9090), Address("10.0.0.8", 9090)


def test_a_lost_board_is_left_alone_longer_each_time_and_not_for_ever() -> None:
    now = [0.0]
    backoff = BoardBackoff(lambda: now[0])
    pauses = []
    for _ in range(12):
        backoff.record_failure(BOARD)
        started = now[0]
        while BOARD in backoff.closed:
            now[0] += 1.0
        pauses.append(now[0] - started)
    assert pauses[:4] == [2.0, 4.0, 8.0, 16.0]
    assert pauses[-1] == 300.0


def test_pauses_never_end_in_an_overflow() -> None:
    assert Backoff(1.0, 30.0).pause_secs(10**6) == 30.0
    assert [Backoff(30.0).pause_secs(failures) for failures in (1, 2, 5)] == [30.0, 60.0, 480.0]


def test_other_boards_go_on_and_success_is_forgiveness() -> None:
    backoff = BoardBackoff(lambda: 0.0)
    backoff.record_failure(BOARD)
    backoff.record_failure(BOARD)
    assert backoff.closed == {BOARD}
    assert OTHER not in backoff.closed
    backoff.record_success(BOARD)
    assert backoff.closed == frozenset()


def test_the_end_of_a_session_is_found_in_an_errors_text() -> None:
    for fault in (Died(-11, 'last "words"\nof {two} lines', 0.0), OverMemory(5 << 30, 1 << 30, 0.0)):
        text = f"RPCError: Error caught\n{session_end_line(fault)}\nStack trace: {{}}"
        assert find_session_end(text) == fault
    assert find_session_end("RPCError: connection reset") is None
    assert find_session_end("autotune session ended {broken}\n") is None
