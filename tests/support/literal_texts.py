"""Texts that look like markup of HTML, Rich or matplotlib, or that terminals obey, and a job full of them."""

import unicodedata

from hypothesis import strategies as st

from autotune.jobs.device_choice import compare_devices
from autotune.jobs.status import (
    BudgetStatus,
    DeviceStatus,
    JobState,
    JobStatus,
    Latency,
    ModelStatus,
    RunStatus,
    TaskStatus,
)

LITERAL = "<b>x</b> & $y$ [red]"
_SNIPPETS = (
    LITERAL, "</svg><script>x()</script>", "]]>", "--></style>", "\"' onload=x", "&lt;", "&#27;[2J", "{{ 7*7 }}",
    "{% x %}", "%s%n%(x)d", "{0}{x!r}{", "[/red]", "[/]", "[link=x]", ":smile:", "\\", "\\[red]", "$", "\\$",
    "$\\frac$", "_x", "^{", "\x1b[2J", "\x1b]0;x\x07", "\x9b2J", "\r", "\n", "\t", "\x00", "\x08", "\x7f", "\u2028",
    "\u202e", "\u2066", "\ufeff", "\u200b", "\udcff", "\ud800", "\uffff", "日本", "e\u0301", "\U0001f600", "ß" * 60,
    "x" * 400, " ",
)  # fmt: skip


def _joined(pieces: list[str]) -> str:
    """The pieces as one text; two surrogates that make a character are that character, as in what JSON reads."""
    return "".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


#: Texts of such pieces and of any characters.
HOSTILE_TEXTS = st.lists(st.sampled_from(_SNIPPETS) | st.text(st.characters(), max_size=5), max_size=4).map(
    _joined
)


def obeyed_characters(shown: str) -> set[str]:
    """The characters of an output that a terminal or a browser obeys, and does not show; line ends may be."""
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {one for one in shown if unicodedata.category(one) in hidden} - set("\n\u200c\u200d")


def literal_status(text: str = LITERAL) -> JobStatus:
    """A finished job with one model and one task on one device, the text in every name and message."""
    before, after = Latency(0.02, 0.019, 0.021, (0.02,)), Latency(0.01, 0.009, 0.011, (0.01,))
    model = ModelStatus(
        name=f"model {text}",
        device="toy",
        path="model.onnx",
        estimated_start_secs=0.02,
        estimated_secs=0.01,
        before=before,
        after=after,
        outputs_equal=True,
        needed_secs=0.1,
        calls={"key": 2},
    )
    device = DeviceStatus(
        name=f"device {text}",
        connection="toy",
        target="toy",
        fingerprint="print",
        threads=1,
        facts={"cpu_model": f"fact {text}"},
        trials=3,
        warning=f"warning {text}",
        quarantine=f"trouble {text}",
    )
    task = TaskStatus(
        name=f"task {text}",
        key="key",
        device="toy",
        calls=2,
        flops=1e6,
        trials=3,
        default_secs=0.01,
        best_secs=0.005,
        state="winner confirmed",
    )
    return JobStatus(
        name=f"job {text}",
        run_prefix="job-",
        state=JobState.FINISHED,
        activity=f"failed: {text}",
        log="log.jsonl",
        updated="2026-01-01T00:00:00+00:00",
        secs=60.0,
        eta_secs=0.0,
        budget=BudgetStatus(trials=3, secs=None, gain_per_hour=None),
        trials=3,
        expected_gain_per_hour=None,
        runs=(RunStatus(started="2026-01-01T00:00:00+00:00", secs=60.0, pid=1, state=JobState.FINISHED),),
        models=(model,),
        devices=(device,),
        offers=tuple(compare_devices([model], [device])),
        tasks=(task,),
        failures={"run_error": 1},
        warnings=(f"error {text}",),
    )
