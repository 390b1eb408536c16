"""The leased worker: states, epochs, deadline, slots and its HTTP door."""
