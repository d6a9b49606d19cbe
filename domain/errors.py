"""The vocabulary of errors that rooms share (style.md, errors)."""


class StoreUnavailable(Exception):
    """The store cannot be reached now; temporary. Peers are told so at once, nothing that was accepted is dropped."""


class Refused(Exception):
    """A request is not accepted: `command_status` goes into the response, `text` is safe for logs and for the peer."""

    def __init__(self, command_status: int, text: str) -> None:
        super().__init__(text)
        self.command_status = command_status
        self.text = text
