"""Keys of configs in other processes."""

import json
import subprocess
import sys

from search_spaces import Config


def test_the_key_is_the_same_in_another_process() -> None:
    config = Config((("sketch", "sketch-1"), ("tile-0", (8, 4, 2, 1)), ("unroll", 64)))
    program = (
        "import json, sys; from search_spaces import Config;"
        "answers = json.loads(sys.argv[1]);"
        "print(Config(tuple((n, tuple(a) if isinstance(a, list) else a) for n, a in answers)).key)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program, json.dumps(config.answers)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.strip() == config.key
