"""What both fabrics do with leases: binding, admission at work, deadlines, endings; one engine per namespace."""
