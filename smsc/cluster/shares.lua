-- Shares of limits: what one node may use of each, given what all of them hold and want.
--
-- KEYS: a hash a limit; its fields are nodes, beside `born`. ARGV[1], JSON:
--   node, moment  who asks, and a number that grows with each question: one that comes late is not heard
--   now           in seconds; 0 is Redis's own clock
--   living        all nodes that live, as PostgreSQL has it
--   leaving       whether this node wants nothing any more
--   limits        for each key: limit, holding, demand, floor, weight
-- `holding` is what the node works with since before it asked; `floor` it gets in any case, as long as the limit allows;
-- what nobody asks for is divided by `weight`. All are whole numbers a second. Returns the new share for each key, -1
-- for a question that came late.
--
-- An entry: {moment, seen, share, old, old_until, demand, floor, weight}. `share` is what the node may work with now;
-- until `old_until` it may have used `old` within the last second. The sum of these never grows beyond the limit.

local LEASE_S, GRACE_S, KEPT_S, WINDOW_S, ROTATE_S = 3, 2, 3600, 1.05, 5

local living = {}
for _, node in ipairs(question.living) do
  living[tostring(node)] = true
end
local me = tostring(question.node)

local function reserved(entry)
  return now < entry.old_until and math.max(entry.old, entry.share) or entry.share
end

-- The other nodes' entries, and how many living ones have none; entries of dead nodes are dropped.
local function read(key)
  local entries, born, flat = {}, now, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    if flat[i] == 'born' then
      born = tonumber(flat[i + 1])
    else
      local entry = cjson.decode(flat[i + 1])
      if flat[i] ~= me and not living[flat[i]] and now - entry.seen > LEASE_S then
        redis.call('HDEL', key, flat[i])
      else
        entries[flat[i]] = entry
      end
    end
  end
  local unknown = 0
  for node in pairs(living) do
    if node ~= me and not entries[node] then unknown = unknown + 1 end
  end
  return entries, born, unknown
end

-- Those who want something first, the others after them; who is first among them changes every few seconds.
local function in_turn(nodes, entries)
  local first, rest, turn = {}, {}, math.floor(now / ROTATE_S)
  for i = 1, #nodes do
    local node = nodes[(i + turn) % #nodes + 1]
    table.insert(entries[node].demand > 0 and first or rest, node)
  end
  for _, node in ipairs(rest) do table.insert(first, node) end
  return first
end

local function add_floors(target, nodes, entries, rest)
  local wanted = 0
  for _, node in ipairs(nodes) do wanted = wanted + entries[node].floor end
  if wanted <= rest then
    for _, node in ipairs(nodes) do target[node] = entries[node].floor end
    return rest - wanted
  end
  for _, node in ipairs(in_turn(nodes, entries)) do
    if rest > 0 and entries[node].floor > 0 then
      target[node] = 1
      rest = rest - 1
    end
  end
  return rest
end

-- Demands are met evenly, the small ones whole.
local function add_demands(target, nodes, entries, rest)
  while rest > 0 do
    local hungry = {}
    for _, node in ipairs(nodes) do
      if target[node] < entries[node].demand then table.insert(hungry, node) end
    end
    if #hungry == 0 then return rest end
    local each = math.max(1, math.floor(rest / #hungry))
    for _, node in ipairs(hungry) do
      local more = math.min(each, entries[node].demand - target[node], rest)
      target[node] = target[node] + more
      rest = rest - more
    end
  end
  return rest
end

local function add_rest(target, nodes, entries, rest)
  local total, heaviest = 0, nil
  for _, node in ipairs(nodes) do
    total = total + entries[node].weight
    if not heaviest or entries[node].weight > entries[heaviest].weight then heaviest = node end
  end
  if total == 0 then return end
  local left = rest
  for _, node in ipairs(nodes) do
    local more = math.floor(rest * entries[node].weight / total)
    target[node] = target[node] + more
    left = left - more
  end
  target[heaviest] = target[heaviest] + left
end

local function targets(entries, limit)
  local target, nodes = {}, {}
  for node in pairs(entries) do
    target[node] = 0
    table.insert(nodes, node)
  end
  table.sort(nodes)
  local rest = add_floors(target, nodes, entries, limit)
  rest = add_demands(target, nodes, entries, rest)
  if rest > 0 then add_rest(target, nodes, entries, rest) end
  return target
end

local function is_short(entries, target)
  for node, entry in pairs(entries) do
    local need = math.min(target[node], math.max(entry.floor, entry.demand))
    if node ~= me and entry.share < need then return true end
  end
  return false
end

local function decide(asked, entries, mine, unknown, is_young)
  local limit, holding = asked[1], asked[2]
  local target = targets(entries, limit)
  local free = limit - unknown * math.ceil(limit / math.max(2, #question.living))
  for node, entry in pairs(entries) do
    if node ~= me then free = free - reserved(entry) end
  end
  local wanted = target[me]
  if wanted > holding then
    if unknown > 0 and is_young then return holding end
    return math.max(holding, math.min(wanted, free))
  end
  local is_falling = now < mine.old_until
  local far = holding - wanted >= math.max(1, limit / 10)
  if wanted < holding and not is_falling and (holding > free or far or is_short(entries, target)) then return wanted end
  return holding
end

local answers = {}
for i, key in ipairs(KEYS) do
  local asked = question.limits[i]
  local entries, born, unknown = read(key)
  local mine = entries[me]
  if mine and mine.moment >= question.moment then
    answers[i] = -1
  else
    local holding = asked[2]
    local fallen = mine and mine.share > holding
    mine = mine or {old = 0, old_until = 0}
    if fallen then
      mine.old, mine.old_until = reserved(mine), now + WINDOW_S
    end
    mine.moment, mine.seen, mine.share = question.moment, now, holding
    mine.demand, mine.floor, mine.weight = asked[3], asked[4], asked[5]
    entries[me] = mine
    local share = question.leaving and holding or decide(asked, entries, mine, unknown, now - born < GRACE_S)
    mine.share = math.max(share, holding)
    redis.call('HSET', key, me, cjson.encode(mine))
    redis.call('HSETNX', key, 'born', now)
    redis.call('EXPIRE', key, KEPT_S)
    answers[i] = share
  end
end
return answers
