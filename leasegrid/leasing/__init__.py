"""What both fabrics do with members and leases: binding, admission at work, deadlines, endings; one engine per namespace."""
