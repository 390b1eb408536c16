"""Write-once objects on a disk, with an index and a quota."""
