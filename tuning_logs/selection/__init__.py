"""Selection of records: the best of a task, the best few, those of similar tasks."""
