"""What a request costs the gateway, beside nginx in the same run. See README.md."""
