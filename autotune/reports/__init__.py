"""Reports of jobs: numbers, charts and one HTML page."""
