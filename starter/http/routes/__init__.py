"""The gateway's operations, by resource."""
