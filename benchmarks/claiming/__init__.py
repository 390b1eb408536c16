"""The load, the rig and the counters behind `benchmarks.claims`: claims on a real control plane."""
