"""Options of the server, from its command line and its environment."""

from __future__ import annotations

import pytest

from autotune.packaging.server.draining import Stop
from autotune.packaging.server.options import Options, read_options


def test_without_options_the_server_listens_on_loopback() -> None:
    assert read_options([], {}, "server") == Options(
        host="127.0.0.1",
        port=8000,
        instances=1,
        threads=None,
        batch=1,
        queue=64,
        connections=1000,
        request_secs=30,
        body_bytes=None,
        stop=Stop(0, 30),
    )


def test_the_environment_gives_defaults_which_options_replace() -> None:
    environment = {
        "SERVER_INSTANCES": "2",
        "SERVER_DRAIN_SECS": "5",
        "SERVER_HOST": "0.0.0.0",
        "SERVER_QUEUE": "",
    }
    found = read_options(["--instances", "3", "--max-body-mb", "1.5"], environment, "server")
    assert (found.instances, found.host, found.queue) == (3, "0.0.0.0", 64)
    assert (found.stop.drain_secs, found.body_bytes) == (5, 1_500_000)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--instances", "0"], {}),
        (["--queue", "²"], {}),
        (["--threads", "9" * 5000], {}),
        (["--port", "65536"], {}),
        (["--timeout-secs", "0"], {}),
        (["--drain-secs", "-1"], {}),
        (["--shutdown-secs", "inf"], {}),
        ([], {"SERVER_INSTANCES": "many"}),
    ],
)
def test_wrong_values_are_named(
    arguments: list[str], environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_options(arguments, environment, "server")
    assert ended.value.code == 2
    assert "expected a " in capsys.readouterr().err.splitlines()[-1]


def test_the_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options(["--help"], {"SERVER_HOST": "100%s"}, "server")
    text = capsys.readouterr().out
    for name in ("--host", "--instances", "--threads", "--queue", "--drain-secs", "100%s"):
        assert name in text
