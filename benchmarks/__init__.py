"""Figures beside the physical limit and the peers, in one run."""
