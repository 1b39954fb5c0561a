"""Whole models: built with the best schedules of a log, run and timed beside other engines."""
