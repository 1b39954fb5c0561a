"""The loop: which task next, propose, build, run, record; finals, data collection, verification."""
