"""What can be measured on: how it is named, reached, recognised, and how fast it is at most."""
