"""Watching the folder of a job: its files read on as they grow, and served as pages on this machine."""
