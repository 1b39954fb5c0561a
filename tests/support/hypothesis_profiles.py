"""Hypothesis profiles: `full`, the default, and `quick`, few and always the same examples, for `make quick`."""

from __future__ import annotations

from hypothesis import settings

QUICK_EXAMPLES = 25

settings.register_profile("full", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=QUICK_EXAMPLES, derandomize=True)
settings.load_profile("full")


def examples(count: int) -> settings:
    """So many examples, fewer in the quick profile."""
    is_quick = settings.get_current_profile_name() == "quick"
    return settings(max_examples=min(count, QUICK_EXAMPLES) if is_quick else count)
