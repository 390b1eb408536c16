"""What durability costs: checkpoints beside a plain write and fsync of the same bytes on the same disk."""
