"""No bytes whatsoever crash the reader: it gives records, names damage, or refuses the file."""

import json
import tempfile
import zlib
from pathlib import Path

import pytest
import repository
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profiles import examples

from search_spaces.errors import AutotuneError
from tuning_logs import TuningLog, TuningRecord

GOLDEN = (repository.GOLDEN / "tuning_log_1.0.jsonl").read_bytes()
LINES = (repository.GOLDEN / "tuning_log_1.2.jsonl").read_bytes().splitlines(keepends=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
EDITS = st.lists(
    st.tuples(st.integers(0, len(GOLDEN)), st.integers(0, 40), st.binary(max_size=40)), min_size=1, max_size=5
)


def read_and_mend(content: bytes) -> list[TuningRecord]:
    """The records that a reader sees, after making sure that a writer sees the same and is back in order."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.jsonl")
        path.write_bytes(content)
        try:
            read = list(TuningLog.read(path).iterate())
        except AutotuneError:
            with pytest.raises(AutotuneError):
                TuningLog.open(path)
            assert path.read_bytes() == content
            return []
        with TuningLog.open(path) as log:
            assert repr(list(log.iterate())) == repr(read)
            log.to_pandas()
            for task in log.tasks():
                log.best(task)
        assert path.read_bytes()[-1:] in (b"", b"\n")
        return read


@examples(200)
@given(EDITS)
def test_an_edited_log_gives_only_records_that_were_in_it(edits):
    content = GOLDEN
    for start, length, inserted in edits:
        content = content[:start] + inserted + content[start + length :]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "log.jsonl").write_bytes(GOLDEN)
        before = [repr(record) for record in TuningLog.read(Path(folder, "log.jsonl")).iterate()]
    assert {repr(record) for record in read_and_mend(content)} <= set(before)


@examples(100)
@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_read_or_refused(content):
    read_and_mend(content)
    read_and_mend(GOLDEN + content)


@examples(300)
@given(st.integers(0, len(LINES) - 1), st.data())
def test_a_forged_line_with_a_true_checksum_is_read_or_named(number, data):
    fields = json.loads(LINES[number])
    place = fields
    name = data.draw(st.sampled_from([name for name in fields if name != "crc"]))
    while isinstance(place[name], dict) and place[name] and data.draw(st.booleans()):
        place = place[name]
        name = data.draw(st.sampled_from(list(place)))
    place[name] = data.draw(JSON)
    fields.pop("crc")
    head = json.dumps(fields, separators=(",", ":")).encode()[:-1]
    forged = head + b',"crc":"%08x"}\n' % zlib.crc32(head)
    for record in read_and_mend(b"".join([*LINES[:number], forged, *LINES[number + 1 :]])):
        assert record.secs > 0
