"""Faults that really happen: kills at chosen calls, failing disks, power cuts, clock steps, damaged bytes."""
