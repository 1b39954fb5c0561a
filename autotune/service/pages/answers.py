"""Answers in sentences to the questions that people ask of a job in the morning."""

from __future__ import annotations

from autotune.jobs.durations import show_duration, show_secs
from autotune.jobs.status import JobState, JobStatus
from autotune.reports.convergence import Convergence
from autotune.reports.report import OperatorReport
from autotune.reports.verdict import Change, ModelVerdict
from autotune.service.pages.job_facts import Drift, JobFacts, OperatorFacts
from tuning_logs.selection.significance import is_significant

# The part of the time that the operators named first hold.
_MOST = 0.8
# Operators that work this close to their bound have little to give.
_NEAR_BOUND = 0.8


def faster(one: ModelVerdict) -> str:
    """The answer to: is it faster, for sure, and by how much?"""
    if one.factor is None:
        return "not known yet: neither its builds nor all of its operators were measured."
    if one.change is Change.ESTIMATED:
        return (
            f"estimated {one.factor:.2f} times as fast, by the sums of its operators; "
            "the whole model was not measured before and after."
        )
    interval = f"95 % interval {one.low:.2f} to {one.high:.2f}, {one.turns} turns of both builds"
    match one.change:
        case Change.FASTER:
            return f"{one.factor:.2f} times as fast, for sure ({interval})."
        case Change.SLOWER:
            return f"slower: {one.factor:.2f} times as fast ({interval}); the build from before is kept."
    return f"no difference for sure: {one.factor:.2f} times as fast, and the interval holds 1 ({interval})."


def heaviest(operators: tuple[OperatorReport, ...]) -> str:
    """The answer to: which operators hold the time, and how far are they from their bound?"""
    if not operators or not operators[0].share:
        return "No operator was measured yet."
    held, count = 0.0, 0
    on_device = [one for one in operators if one.device == operators[0].device]
    while held < _MOST and count < len(on_device):
        held, count = held + on_device[count].share, count + 1
    text = f"{_counted(count, 'operator')} of {len(on_device)} {_verb(count)} {held:.0%} of the time"
    bounded = [(one, one.peak_share) for one in on_device if one.peak_share is not None and one.share]
    if not bounded:
        return f"{text}. How far they are from their bound is not known: no roofline was measured."
    far, peak = max(bounded, key=lambda one: one[0].share * max(1 - one[1], 0.0))
    if peak >= _NEAR_BOUND:
        return f"{text}, and all of these work near the bound of the roofline."
    return (
        f"{text}. Most is left in {far.name}: it reaches {peak:.0%} of what the roofline allows "
        f"(bound by {far.bound}), and holds {far.share:.0%} of the time."
    )


def converged(one: Convergence) -> str:
    """The answer to: did it converge?"""
    if one.factor <= 1.0:
        return "Nothing was found yet that is faster than the untuned operators."
    reached = f"95 % of the gain ({one.factor:.2f}×) was reached after {show_duration(one.nearly_all_secs)}"
    brought = f"the last {show_duration(one.last_secs)} brought {one.last_gain:.1%}"
    return f"{'Converged' if one.has_converged else 'Still falling'}: {reached}; {brought}."


def another_hour(status: JobStatus) -> str:
    """The answer to: what would another hour bring?"""
    gain = status.expected_gain_per_hour
    if gain is None:
        return "What another hour would bring is not known: the forecast needs more trials."
    return f"Another hour is expected to make it {gain:.1%} faster."


def failed(job: JobFacts) -> str:
    """The answer to: what failed, and why?"""
    count = sum(one.count for one in job.log.failures)
    if not count:
        return "No trial failed."
    first = job.log.failures[0]
    share = count / max(job.log.records, 1)
    most = f"most of them with {first.kind} ({first.count:,})"
    return f"{count:,} of {job.log.records:,} trials failed ({share:.1%}), {most}."


def steady(status: JobStatus, drift: Drift) -> str:
    """The answer to: what was the machine doing?"""
    parts = []
    if drift.points:
        worst = max(slowdown for _, slowdown in drift.points)
        parts.append(
            f"{drift.unsteady_share:.1%} of the trials looked at were slowed down, by {worst:.2f}× at most"
            if drift.unsteady_share
            else "its reference kernel ran as fast as usual throughout"
        )
    if status.machine:
        busy = max(one.busy_elsewhere for one in status.machine)
        mean = sum(one.busy_elsewhere for one in status.machine) / len(status.machine)
        parts.append(f"other programs used {mean:.1f} processors on average, {busy:.1f} at most")
    if not parts:
        return "Nothing is known of the machine: no trials and no looks at it."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def runner_up(facts: OperatorFacts) -> str:
    """The answer to: how close is the next config, and is the winner sure?"""
    best, rival = facts.best, facts.rival
    if best is None:
        return "No config ran yet."
    if rival is None:
        return "It is the only config that ran."
    gap = rival.secs / best.secs - 1
    p_value = facts.operator.winner_p_value
    if p_value is not None:
        sure = (
            f"the finals, in turns, tell them apart (p = {p_value:.3f})"
            if is_significant(p_value)
            else f"the finals, in turns, do not tell them apart (p = {p_value:.2f}): a tie"
        )
    elif facts.is_beyond_noise:
        sure = "their repeats do not overlap"
    else:
        sure = "their repeats overlap: it may be luck"
    return f"The next config is {gap:.1%} slower ({show_secs(rival.secs)}); {sure}."


def deciding(facts: OperatorFacts) -> str:
    """The answer to: which answers make the difference?"""
    known = [(one, one.without) for one in facts.decisions if one.without is not None]
    known = sorted((one for one in known if one[1] > 1.02), key=lambda one: -one[1])[:3]
    if not known:
        return "No single answer decides: with any of them changed, a config as fast was found."
    named = ", ".join(f"{one.name} = {one.answer} ({without:.2f}× slower without)" for one, without in known)
    return f"Deciding: {named}."


def never_tried(facts: OperatorFacts) -> str:
    """The answer to: what part of the space was never tried?"""
    space = facts.space
    if space is None:
        return "The choices of its search space were not counted yet."
    if space.trouble:
        return f"The choices of its search space cannot be counted: {space.trouble}"
    choices = facts.choices
    trials = max(facts.operator.trials, facts.looked_at)
    share = f"{trials:,} of {space.size:.1e} configs were measured"
    if not choices:
        return f"{share}."
    missed = sum(max(choices.get(one.name, one.tried) - one.tried, 0) for one in facts.decisions)
    total = sum(choices.get(one.name, one.tried) for one in facts.decisions)
    if not missed:
        return f"{share}; every choice of every decision of this sketch occurs in at least one of them."
    return (
        f"{share}; {missed} of the {total} choices of this sketch's decisions ({missed / total:.0%}) in none."
    )


def foreseen(facts: OperatorFacts) -> str:
    """The answer to: did the cost model see it coming?"""
    space = facts.space
    if space is None or space.trouble:
        return ""
    if space.foreseen is None:
        return "Too few trials ran before the best one to fit a cost model to them."
    rank, count = space.foreseen
    return f"A cost model fitted to the trials before it ranks it {rank} among the {count} measured from then on."


def state(job: JobFacts) -> str:
    """The state of a job in a word."""
    if not job.has_status:
        return "log only"
    status = job.report.status
    if status.state is JobState.STOPPED and status.activity.startswith("killed"):
        return "killed"
    return status.state.value


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _verb(count: int) -> str:
    return "holds" if count == 1 else "hold"
