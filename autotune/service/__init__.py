"""The service: models are uploaded, jobs are queued and run by the job engine, results are read in many ways."""
