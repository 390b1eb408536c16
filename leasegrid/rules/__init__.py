"""Pure decisions that both fabrics obey."""
