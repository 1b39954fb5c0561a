"""Warm worker processes that a call may crash, hang or fill: forked, limited, replaced."""
