"""The service: models are uploaded, jobs queued and run by the job engine, results read by REST and its client."""
