"""What a cluster has and a bare control plane lacks: nodes that run pods, and thousands of stand-in members."""
