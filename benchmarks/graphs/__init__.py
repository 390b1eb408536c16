"""What a whole graph costs: a shuffle beside Dask's, and a chain of tiny tasks."""
