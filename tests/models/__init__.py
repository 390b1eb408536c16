"""State machines beside simple models of what they promise: few steps in the unit tier, many in `make soak`."""
