"""Histories of fenced leases: a random schedule on real members is recorded, and a pure checker judges the record."""
