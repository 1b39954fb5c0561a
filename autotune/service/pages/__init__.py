"""Pages of jobs and of the service: from frozen data to HTML, without reading or serving anything."""
