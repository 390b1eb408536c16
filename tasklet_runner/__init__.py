"""What runs the work: the protocol, the sandbox, the member and the coordinator."""
