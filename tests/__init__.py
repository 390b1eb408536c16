"""Tests: unit (Python alone) and process (real processes)."""
