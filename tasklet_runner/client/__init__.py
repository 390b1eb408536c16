"""Calls to members and stores."""
