"""PostgreSQL, the only store a single node needs: the messages, the queues beyond memory, the parked receipts."""
