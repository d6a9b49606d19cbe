"""What the rooms above share: the message, its states and ids. No I/O, no clock."""
