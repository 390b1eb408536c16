"""What tests share: small modules, runs as a user starts them, a killer, an independent listing."""
