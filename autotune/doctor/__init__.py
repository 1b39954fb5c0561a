"""Checks of the machine and its devices before a job."""
