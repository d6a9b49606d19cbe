"""What goes wrong with the private PostgreSQL, in words for the operator."""


class EmbeddedPostgresError(Exception):
    """The private PostgreSQL cannot be used as things are; the text names what was found and the remedy."""
