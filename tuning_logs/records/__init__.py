"""The values: measurements, records, devices, and a record as a row of a data frame."""
