"""Where leases come from: the protocol that coordinators know."""
