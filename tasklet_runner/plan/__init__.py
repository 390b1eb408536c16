"""Pure: what a job is compiled to, chunk ids, partitions, retry and renewal."""
