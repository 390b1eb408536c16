"""What a Python program holds: `Durable`, state that survives its process."""
