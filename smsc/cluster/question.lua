-- What every script begins with: the question, as JSON in ARGV[1], and the time, whose 0 is Redis's own clock.
local question = cjson.decode(ARGV[1])
local now = question.now
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end
