"""Leases on Kubernetes: objects to claims on the shared engine, and what becomes of them back into status."""
