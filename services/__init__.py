"""The independent services; each knows the others only by their contracts."""
