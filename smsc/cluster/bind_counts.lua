-- How often accounts are bound, over all nodes.
--
-- KEYS: a hash an account; its fields are nodes. ARGV[1], JSON:
--   node, moment  who speaks, and a number that grows: what comes late is not heard
--   now           in seconds; 0 is Redis's own clock
--   living        all nodes that live, as PostgreSQL has it
--   accounts      for each key: sessions here, how many may be bound everywhere (0 just tells the count), and how many
--                 others have at least, as far as this node knows
-- Returns for each key 1 if there is room for one session more, which then counts, and 0 if not; and the sessions elsewhere.

local FRESH_S, KEPT_S = 3, 3600

local living = {}
for _, node in ipairs(question.living) do living[tostring(node)] = true end
local me = tostring(question.node)

-- How many sessions other nodes have; what dead nodes left is dropped.
local function elsewhere(key)
  local total, flat = 0, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local entry = cjson.decode(flat[i + 1])
    if flat[i] ~= me then
      if living[flat[i]] or now - entry.seen < FRESH_S then
        total = total + entry.count
      else
        redis.call('HDEL', key, flat[i])
      end
    end
  end
  return total
end

local function is_late(key)
  local known = redis.call('HGET', key, me)
  return known and cjson.decode(known).moment >= question.moment
end

local answers = {}
for i, key in ipairs(KEYS) do
  local count, bound, more = question.accounts[i][1], question.accounts[i][2], 0
  local others = math.max(elsewhere(key), question.accounts[i][3])
  if not is_late(key) then
    if bound > 0 and count + others < bound then more = 1 end
    if count + more == 0 then
      redis.call('HDEL', key, me)
    else
      redis.call('HSET', key, me, cjson.encode({count = count + more, seen = now, moment = question.moment}))
      redis.call('EXPIRE', key, KEPT_S)
    end
  end
  answers[i] = {more, others}
end
return answers
