"""The running server: ingress, egress, receipts, configuration, metrics, command line."""

__version__ = '0.1.0'
