"""A log in a database that many share."""
