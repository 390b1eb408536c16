"""Bytes that no encoder of ours has written, for every decoder: seconds in the unit tier, minutes in `make soak`."""
