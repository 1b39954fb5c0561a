"""Programs and configs as rows of numbers."""
