"""The embedded fabric: leases of this machine's processes."""
