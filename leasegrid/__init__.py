"""Compute that exists only while somebody leases it."""
