"""The number plan's files: the table of the world, imported ranges, and the plan that the server loads."""
