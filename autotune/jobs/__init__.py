"""A night's work: several models on several devices, from the job file to status.json."""
