"""The leasegrid command."""
