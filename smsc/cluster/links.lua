-- Which node has which links of upstreams: numbered places, each held by one node.
--
-- KEYS: a hash an upstream; fields `p<place>`, `n<node>` and, since when there has been anything, `b`. ARGV[1], JSON:
--   node      who asks
--   now       in seconds; 0 is Redis's own clock
--   living    all nodes that live, as PostgreSQL has it
--   upstreams for each key: count of places, places held, places that are being given back, whether more are wanted,
--             whether it is in vain: the node can bind none of them
-- Returns for each key: places lost, places taken, how many to give back; -1 when it has none, and all try in vain.
--
-- A place belongs to its node until that gives it back, or is dead. Free places go to whoever has fewest; one with two
-- more than another is to give some back, unless that settles itself. A node that tries in vain gives all to those that
-- do not, and has no part as long as there are any. A Redis that has begun with nothing is told of all places that are
-- held before it gives any away.

local FRESH_S, KEPT_S = 3, 3600

local living = {}
for _, node in ipairs(question.living) do living[node] = true end
local me = question.node

local function set_of(list)
  local set = {}
  for _, one in ipairs(list) do set[one] = true end
  return set
end

-- {places: node by place, members: {held, fresh} by node, whether all are known}; what dead nodes left is dropped.
local function read(key)
  local places, members, heard, is_young, flat = {}, {}, {}, false, redis.call('HGETALL', key)
  if #flat == 0 then
    flat = {'b', cjson.encode({node = 0, seen = now, held = 0})}
    redis.call('HSET', key, flat[1], flat[2])
  end
  for i = 1, #flat, 2 do
    local kind, number, entry = flat[i]:sub(1, 1), tonumber(flat[i]:sub(2)), cjson.decode(flat[i + 1])
    local node = kind == 'n' and number or entry.node
    local fresh = now - entry.seen < FRESH_S
    heard[node] = true
    if kind == 'b' then
      is_young = fresh
    elseif node ~= me and not fresh and not living[node] then
      redis.call('HDEL', key, flat[i])
    elseif kind == 'p' then
      places[number] = node
    elseif node ~= me then
      members[node] = {held = entry.held, fresh = fresh, in_vain = entry.in_vain}
    end
  end
  local all_heard = true
  for node in pairs(living) do all_heard = all_heard and (node == me or heard[node] or false) end
  return places, members, all_heard or not is_young
end

local function take(key, place)
  redis.call('HSET', key, 'p' .. place, cjson.encode({node = me, seen = now}))
end

-- Keep what is held; return the places lost to others, and how many are held and stay.
local function keep(key, places, count, held, closing)
  local lost, mine = {}, 0
  for place, node in pairs(places) do
    if node == me and not held[place] then
      redis.call('HDEL', key, 'p' .. place)
      places[place] = nil
    end
  end
  for place in pairs(held) do
    if places[place] and places[place] ~= me then
      table.insert(lost, place)
    elseif place <= count or closing[place] then
      take(key, place)
      places[place] = me
      if not closing[place] then mine = mine + 1 end
    end
  end
  return lost, mine
end

-- Whether another one does not try in vain, as far as is known.
local function others_hope(members)
  for _, member in pairs(members) do
    if member.fresh and not member.in_vain then return true end
  end
  return false
end

-- Among those alike: all members, or all but those that try in vain.
local function balance(members, mine, count, in_vain)
  local nodes, least, total, someone_has_room = 1, mine, mine, false
  for _, member in pairs(members) do
    member.counts = in_vain or not member.in_vain
    if member.counts and (member.fresh or member.held > 0) then nodes = nodes + 1 end
    total = total + member.held
  end
  local fair = math.floor(count / nodes)
  for _, member in pairs(members) do
    if member.counts and member.fresh then
      least = math.min(least, member.held)
      someone_has_room = someone_has_room or member.held < fair
    end
  end
  return fair, math.ceil(count / nodes), least, total, someone_has_room
end

local function ask(key, upstream)
  local count, held, closing, wants_more = upstream[1], set_of(upstream[2]), set_of(upstream[3]), upstream[4]
  local in_vain = upstream[5]
  local places, members, all_known = read(key)
  local lost, mine = keep(key, places, count, held, closing)
  local taken, give = {}, 0
  if wants_more and in_vain and others_hope(members) then
    give = mine
  elseif wants_more then
    local fair, most, least, total, someone_has_room = balance(members, mine, count, in_vain)
    local bound = someone_has_room and fair or most
    for place = 1, count do
      if all_known and not places[place] and mine < bound then
        take(key, place)
        table.insert(taken, place)
        mine = mine + 1
      end
    end
    if total == count and mine - least >= 2 then give = math.floor((mine - least) / 2) end
    if in_vain and mine == 0 then give = -1 end
  end
  if wants_more then
    redis.call('HSET', key, 'n' .. me, cjson.encode({seen = now, held = mine, in_vain = in_vain}))
  else
    redis.call('HDEL', key, 'n' .. me)
  end
  redis.call('EXPIRE', key, KEPT_S)
  return {lost, taken, give}
end

local answers = {}
for i, key in ipairs(KEYS) do
  answers[i] = ask(key, question.upstreams[i])
end
return answers
