-- A node lives: $1 node, $2 its epoch, $3 its low-water mark. No row when its work was taken over.
update node set beat = beat + 1, low_water = $3 where node = $1 and epoch = $2 returning beat
