-- Writes what a server knows of itself as one of several (see includes/voter.lua). What it knows already about when it may vote stays.
--
-- KEYS[1]   the hash: `until` the server's ms from which on it may grant; `longest` the longest lease that it may ever have granted, in ms; `run` the
--           server's run that wrote it, empty where that may not be asked; `saved` see there
-- ARGV[1]   for how many ms from now it must not grant, if it knows nothing about that; -: nothing is said about it
-- ARGV[2]   a lease of so many ms may be granted
-- ARGV[3]   for how many ms to remember
-- ARGV[4]   1: what a former run of the server wrote about when it may vote counts as nothing
-- Returns   1

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if ARGV[1] ~= '-' then
  local info = redis.pcall('INFO', 'server')
  local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
  local mark = redis.call('HMGET', KEYS[1], 'until', 'run')
  if not mark[1] or (ARGV[4] == '1' and mark[2] ~= run) then
    local sits_out = math.max(tonumber(mark[1] or 0), now + tonumber(ARGV[1]))
    redis.call('HSET', KEYS[1], 'until', string.format('%.0f', sits_out), 'run', run)
    redis.call('HDEL', KEYS[1], 'saved')
  end
end
if tonumber(ARGV[2]) > tonumber(redis.call('HGET', KEYS[1], 'longest') or 0) then
  redis.call('HSET', KEYS[1], 'longest', ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
