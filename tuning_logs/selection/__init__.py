"""Which records count: the best of a task, the best few, the nearest other task's."""
