"""Pools on Kubernetes: members as pods, kept by the rules that hold on one machine too."""
