"""Commands of `smsc` that have a module of their own."""
