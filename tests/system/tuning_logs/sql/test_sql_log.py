"""A database says the same as a file would, to many writers at once; on SQLite and on a real PostgreSQL."""

import itertools
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
import sqlalchemy
from postgresql_server import binaries, server
from repository import ROOT, SUPPORT

from autotune.testing.record_store_laws import RecordStoreLaws
from search_spaces.errors import AutotuneError, Misuse
from tuning_logs import Check, Failure, FailureKind, Timing, TuningLog
from tuning_logs.exchange.transfer import copy_records
from tuning_logs.sql.sql_log import SqlLog
from tuning_logs.sql.sql_tables import DEFINITIONS

JOB = SUPPORT / "storing_job.py"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def postgresql_server():
    """The address of a server without a database; where there is none, tests that need it are skipped by name."""
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with server(folder) as running:
        yield running.address


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return empty_database(request.getfixturevalue("postgresql_server"))


def empty_database(server):
    """The address of a new database of a PostgreSQL server."""
    name = f"store_{next(NUMBERS)}"
    admin = sqlalchemy.create_engine(
        server.replace("postgresql", "postgresql+psycopg", 1) + "/postgres", isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return f"{server}/{name}"


def engine(url):
    return sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))


def sample(record):
    return [
        record(0, check=Check(1e-6, 2e-6)),
        record(1, workload="conv2d · 3×3", tile=(2, 16), measurement=Timing((0.2, 0.3, 0.1), 0.1)),
        record(2, threads=8, job="job-2", measurement=Timing((0.4,), 0.1, censored=True)),
        record(
            3,
            measurement=Failure(FailureKind.WRONG_RESULT, "nul \0 and \u2028"),
            check=Check(1.0, float("nan")),
        ),
        record(4, target="llvm -mcpu=cascadelake", measurement=Timing((1e-9, 1e9), 1e-300)),
        record(5, workload="conv2d · 3×3", tile=(2, 16), measurement=Timing((0.05,), 0.1)),
    ]


def test_a_database_says_what_a_file_says(url, record):
    file = TuningLog.in_memory()
    file.append(sample(record))
    with SqlLog.open(url) as log:
        log.append(sample(record)[:2])
        log.append(sample(record)[2:])
    with SqlLog.open(url) as log:
        assert repr(list(log.iterate())) == repr(list(file.iterate()))
        assert len(log) == len(file)
        assert log.tasks() == file.tasks()
        assert log.devices() == file.devices()
        assert log.jobs() == file.jobs()
        assert log.damage == ()
        for task in file.tasks():
            assert log.best(task) == file.best(task)
            for device in file.devices():
                assert log.best(task, device) == file.best(task, device)
                found, expected = (each.where(task=task, device=device) for each in (log, file))
                assert repr(found) == repr(expected)
        assert log.to_pandas().equals(file.to_pandas())


def test_a_record_appended_again_is_there_once(url, record):
    with SqlLog.open(url) as log:
        log.append([record(0), record(1)])
        log.append([record(1), record(2)])
        assert [each.provenance.trial for each in log.iterate()] == [0, 1, 2]


def test_more_than_a_page_of_records_comes_back_in_order(url, record):
    with SqlLog.open(url) as log:
        log.append([record(trial) for trial in range(2500)])
        assert [each.provenance.trial for each in log.iterate()] == list(range(2500))
        assert len(log.where(task=record(0).task)) == 2500


def test_a_record_keeps_the_definitions_it_was_written_with(url, record):
    ours = record(0)
    renamed = type(ours.device)("another name", ours.device.facts)
    theirs = type(ours)(
        ours.task, renamed, ours.space_version, ours.config, ours.measurement, None, record(1).provenance
    )
    with SqlLog.open(url) as log:
        log.append([ours, theirs])
        assert [each.device.name for each in log.iterate()] == [ours.device.name, "another name"]
        assert len(log.devices()) == 1


def test_jobs_that_write_at_once_lose_nothing(url):
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    jobs = [
        subprocess.Popen(
            [sys.executable, str(JOB), url, f"job-{number}", "30"], env={**os.environ, "PYTHONPATH": paths}
        )
        for number in range(3)
    ]
    assert [job.wait(120) for job in jobs] == [0, 0, 0]
    with SqlLog.open(url) as log:
        found = Counter((each.provenance.job.id, each.provenance.trial) for each in log.iterate())
        assert len(log.tasks()) == 9
    assert found == Counter((f"job-{number}", trial) for number in range(3) for trial in range(270))


def test_a_batch_with_a_record_that_cannot_be_written_is_refused_as_a_whole(url, record):
    with SqlLog.open(url) as log:
        with pytest.raises(Misuse, match="trial 1 of 'matmul'"):
            log.append([record(0), record(1, measurement=Timing((-1.0,), 0.1))])
        assert len(log) == 0


def test_appending_after_closing_is_misuse(url, record):
    log = SqlLog.open(url)
    log.close()
    with pytest.raises(Misuse, match="open it again"):
        log.append([record(0)])
    assert log.where() == []


def test_a_damaged_row_is_reported_and_the_others_are_read(url, record):
    with SqlLog.open(url) as log:
        log.append([record(0), record(1), record(2, workload="conv2d")])
    with engine(url).begin() as connection:
        connection.execute(
            sqlalchemy.text("UPDATE records SET line = replace(line, 'weight', 'height') WHERE id = 1")
        )
        connection.execute(sqlalchemy.text("UPDATE definitions SET line = '{' WHERE line LIKE '%conv2d%'"))
    with SqlLog.open(url) as log:
        assert [each.provenance.trial for each in log.iterate()] == [1]
        assert [damage.line for damage in log.damage] == [1, 3]
        assert "checksum" in log.damage[0].reason
        assert "Workload cannot be read" in log.damage[1].reason


def test_the_tables_of_a_later_version_are_refused(url, record):
    with SqlLog.open(url) as log:
        log.append([record(0)])
    with engine(url).begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = '99'"))
    with pytest.raises(AutotuneError, match="newer version of autotune"):
        SqlLog.open(url)


def test_a_store_from_before_traces_keeps_its_records_and_takes_traces(url, record):
    from alembic import command
    from alembic.config import Config

    with SqlLog.open(url) as log:
        log.append(sample(record))
    config = Config()
    config.set_main_option("script_location", str(ROOT / "tuning_logs" / "sql" / "migrations"))
    with engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "1")
        columns = sqlalchemy.inspect(connection).get_columns("records")
        assert "trace_digest" not in {column["name"] for column in columns}
    with SqlLog.open(url) as log:
        assert repr(list(log.iterate())) == repr(sample(record))
        log.append([*sample(record), replace(record(6), trace="how")])
        assert len(log) == 7
        assert list(log.iterate())[-1].trace == "how"


def test_traces_go_from_file_to_store_and_back(url, record, tmp_path):
    records = [replace(record(trial), trace=f"how-{trial % 2}") for trial in range(4)] + [record(4)]
    with TuningLog.open(tmp_path / "one.jsonl") as file:
        file.append(records)
    with SqlLog.open(url) as store:
        assert copy_records(TuningLog.read(tmp_path / "one.jsonl"), store) == 5
        assert copy_records(TuningLog.read(tmp_path / "one.jsonl"), store) == 0
        kinds = [row.kind for row in store._store.rows(sqlalchemy.select(DEFINITIONS.c.kind))]
        assert kinds.count("trace") == 2
        with TuningLog.open(tmp_path / "two.jsonl") as file:
            assert copy_records(store, file) == 5
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()


def test_a_record_whose_trace_was_lost_is_still_there(url, record):
    with SqlLog.open(url) as log:
        log.append([replace(record(0), trace="how")])
    with engine(url).begin() as connection:
        connection.execute(
            sqlalchemy.update(DEFINITIONS).where(DEFINITIONS.c.kind == "trace").values(line="damaged")
        )
    assert list(SqlLog.open(url).iterate()) == [record(0)]


def test_the_migrations_make_the_tables_that_the_store_uses(url):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from tuning_logs.sql.sql_tables import METADATA

    SqlLog.open(url).close()
    with engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


@pytest.mark.parametrize(
    "address",
    ["mysql://user:secret@host/db", "no address", "postgresql//user:secret@host", "oracle://secret"],
)
def test_an_address_of_no_known_kind_is_misuse_and_its_password_is_not_shown(address):
    with pytest.raises(Misuse) as caught:
        SqlLog.open(address)
    assert "secret" not in str(caught.value)


def test_a_database_that_is_not_there_is_an_error_without_the_password():
    with pytest.raises(AutotuneError, match=r"expected postgresql://tuner:\*\*\*@127.0.0.1:1/x") as caught:
        SqlLog.open("postgresql://tuner:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)


class TestPostgresql(RecordStoreLaws):
    @pytest.fixture
    def store(self, postgresql_server):
        with SqlLog.open(empty_database(postgresql_server)) as store:
            yield store
