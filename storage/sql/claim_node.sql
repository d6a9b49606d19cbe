-- Take over a node whose beat stands still: $1 node, $2 epoch and $3 beat as seen, $4 taker. One of all takers gets a row.
update node set epoch = epoch + 1, taker = $4, is_taken = false
where node = $1 and epoch = $2 and beat = $3
returning epoch
