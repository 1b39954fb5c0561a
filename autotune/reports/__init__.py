"""What a job found, in numbers, charts and one HTML page."""
