"""HTTP server of a packaged model, copied into packages: NumPy, Starlette, Uvicorn and prometheus_client alone."""
