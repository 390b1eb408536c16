"""What stands in front of every HTTP server of the project: connections counted, peers timed, bodies at a pace."""
