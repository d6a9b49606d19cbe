-- All nodes there have been, and whether each has work that somebody else should take over were it dead.
select node, epoch, beat, taker, is_taken, started_at, version, address from node order by node
