"""Jobs: several models tuned on several devices, from the job file to status.json."""
