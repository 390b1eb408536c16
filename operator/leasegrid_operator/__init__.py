"""The operator: gathers and applies on Kubernetes what the shared rules decide; one process with its broker."""
