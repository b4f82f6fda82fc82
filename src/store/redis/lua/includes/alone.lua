-- Defines acquire_alone and release_alone: the same as acquire and release (see ops/) where nobody else has to do with the name, which is
-- most of the time. They return nil, having changed nothing, where it is not so: then the operation itself decides.

local function acquire_alone(key, operation)
  local id, mode, permits, limit, ttl, info = string.match(operation, '^A (%S+) (%a) (%d+) (%d+) (%d+) %S+ 0 [01] %S (.*)$')
  if not id then return nil end
  local state = redis.call('HMGET', key, 'token', 'ends', 'ticket', id)
  if state[2] or state[3] or state[4] then return nil end
  local token = text(state[1] and math.max(tonumber(state[1]) + 1, now_us) or now_us)
  local lease = tonumber(ttl)
  local ends = text(now + lease)
  if mode == 'x' then
    redis.call('HSET', key, 'token', token, 'mode', 'x', 'used', '1', 'ends', ends, 'span', ttl, id, 'x' .. info)
  else
    local record = 'c' .. permits .. ' ' .. ends .. ' ' .. ttl .. ' ' .. token .. ' ' .. info
    redis.call('HSET', key, 'token', token, 'mode', 'c', 'used', permits, 'ends', ends, 'span', ttl, id, record, 'limit', limit)
  end
  redis.call('PEXPIRE', key, text(lease + KEEP_TOKEN))
  return { 1, token, lease }
end

local function release_alone(key, operation)
  local id = string.match(operation, '^L (%S+) 0 [01]$')
  if not id then return nil end
  local state = redis.call('HMGET', key, id, 'used', 'ends', 'span', 'ticket')
  local record = state[1]
  if not record or not state[3] or state[5] or tonumber(state[3]) <= now or tonumber(state[4]) > KEEP_TOKEN then return nil end
  if string.sub(record, 1, 1) ~= 'x' and string.match(record, '^c(%d+)') ~= state[2] then return nil end
  redis.call('HDEL', key, id, 'mode', 'used', 'limit', 'ends', 'span')
  return { 1 }
end
