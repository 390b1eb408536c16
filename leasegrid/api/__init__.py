"""The resources as pydantic models."""
