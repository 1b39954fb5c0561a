"""Pages of jobs: from frozen data to HTML, without reading or serving anything."""
