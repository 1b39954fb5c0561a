"""Records to and from MetaSchedule's databases and between stores."""
