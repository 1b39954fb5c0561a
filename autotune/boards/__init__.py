"""The other end of RPC: makes this machine a board that others tune on."""
