"""The vocabulary of errors that rooms share (style.md, errors)."""


class StoreUnavailable(Exception):
    """The store cannot be reached now; temporary. Peers are told so at once, nothing that was accepted is dropped."""


class Fenced(Exception):
    """Another process has this node's number, or has taken its work over: this one must end and commit nothing more."""

    def __init__(self, node: int) -> None:
        super().__init__(f'another process has the number {node} of this node, or has taken its work over')


class TakenBack(Exception):
    """A node whose work was being taken over has come back and goes on with it by itself."""

    def __init__(self, node: int) -> None:
        super().__init__(f'node {node} has come back')


class Refused(Exception):
    """A request is not accepted: `command_status` goes into the response, `text` is safe for logs and for the peer."""

    def __init__(self, command_status: int, text: str) -> None:
        super().__init__(text)
        self.command_status = command_status
        self.text = text
