"""Modules, inputs and outputs that lie elsewhere: files, HTTP, buckets, OCI registries, wheels."""
