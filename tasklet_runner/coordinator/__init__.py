"""The engine that executes a plan on a fabric."""
