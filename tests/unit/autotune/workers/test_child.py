"""Children: the end of their output is kept, and their memory is seen."""

from __future__ import annotations

import os

from autotune.workers.child import OutputTail, resident_bytes


def test_of_a_flood_the_end_is_kept() -> None:
    read_end, written = os.pipe()
    tail = OutputTail(read_end)
    assert tail.text() == ""
    assert tail.descriptors == [read_end]
    os.write(written, b"flood " * 5000)
    tail.drain()
    os.write(written, "last words: größer\n".encode())
    os.close(written)
    assert tail.text().endswith("flood last words: größer")
    assert len(tail.text().encode()) <= 2000
    assert tail.descriptors == []
    tail.close()


def test_text_that_is_cut_within_a_character_is_still_text() -> None:
    read_end, written = os.pipe()
    tail = OutputTail(read_end)
    os.write(written, b"x" + "ö".encode() * 1000)
    os.close(written)
    assert tail.text() == "ö" * 1000
    tail.close()


def test_a_process_that_is_gone_holds_no_memory() -> None:
    assert resident_bytes(os.getpid()) > 1 << 20
    assert resident_bytes(2**22 + 1) == 0
