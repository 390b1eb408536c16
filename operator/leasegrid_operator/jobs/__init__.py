"""Jobs and TaskGraphs: their objects on one side, their leases and their coordinator on the other."""
