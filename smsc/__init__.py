"""The running server: ingress, egress, receipts, configuration, metrics, command line."""
