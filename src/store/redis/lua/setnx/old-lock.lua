-- Defines the lock of 2013 beside ours: a text at <prefix><name>, the Unix second in which it ends. Whose a lock is stands in the state, never
-- in that text: a process of 2013 that lost a race has written over it.

-- Clocks of hosts differ, and theirs decide when a process of 2013 takes over.
local GRACE = 1000

local function old_key(key)
  local tag = string.sub(key, #OLD_PREFIX + 2, -2)
  if tag == '%' then return OLD_PREFIX end
  return OLD_PREFIX .. string.gsub(string.gsub(string.gsub(tag, '%%7D', '}'), '%%7B', '{'), '%%25', '%%')
end

-- How many ms it stands in the way; 0 where it does not, and nil where it is no lock, with the reason.
local function old_lock(key, s)
  local value = redis.pcall('GETRANGE', old_key(key), 0, 63)
  if type(value) == 'table' then
    if string.find(value.err, 'WRONGTYPE', 1, true) then return nil, 'type' end
    error(value)
  end
  -- Our own, written at the last grant: whether that stands is in the state.
  if value == '' or (s.token > 0 and string.match(value, '%.(%d+)$') == text(s.token)) then return 0 end
  if not string.match(value, '^%s*%d+%.?%d*%s*$') then return nil, 'text' end
  return math.max(0, math.floor(tonumber(value)) * 1000 + GRACE - now)
end

-- Says by it what the state says: taken until a second after the lease, at the least, or free.
local function show(key)
  local used, ends, token = unpack(redis.call('HMGET', key, 'used', 'ends', 'token'))
  if not used then
    redis.call('DEL', old_key(key))
    return
  end
  local second = math.floor(tonumber(ends) / 1000) + 2
  redis.call('SET', old_key(key), text(second) .. '.' .. token, 'PX', text(math.max(1, second * 1000 - now)))
end
