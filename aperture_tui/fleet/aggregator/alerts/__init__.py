"""Alerts: rules out of a file, what a tenant's store says of each, and which of them fire. Knows nothing of gRPC."""
