"""Features of programs and configs."""
