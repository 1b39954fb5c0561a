"""The tuning loop: task scheduling, rounds of trials, finals, data collection, verification."""
