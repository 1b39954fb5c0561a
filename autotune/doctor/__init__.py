"""What would spoil a job on this machine and its devices, found before it starts."""
