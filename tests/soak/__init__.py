"""Campaigns that try to make the project lose something: short in tests/process, long in `make soak`."""
