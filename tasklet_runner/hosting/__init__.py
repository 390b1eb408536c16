"""A coordinator in a process of its own, on a leased member: what the fabric ordered is run, reported and ended."""
