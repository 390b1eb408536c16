"""Checkpoints on disk: two slots per key with deltas beside them, of which the newest whole one counts."""
