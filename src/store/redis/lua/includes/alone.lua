-- Defines acquire_alone and release_alone: the same as acquire and release (see ops/) in the two most frequent cases: nobody else has to do
-- with the name, or it goes from one exclusive holder to the next. They return nil, having changed nothing, in all others: then the
-- operation itself decides.

local function acquire_alone(key, operation)
  local id, mode, permits, limit, ttl, info = string.match(operation, '^A (%S+) (%a) (%d+) (%d+) (%d+) %S+ 0 [01] %S (.*)$')
  if not id then return nil end
  local state = redis.call('HMGET', key, 'token', 'ends', 'ticket', id)
  if state[2] or state[3] or state[4] then return nil end
  local token = state[1] and math.max(tonumber(state[1]) + 1, now_us) or now_us
  local lease = tonumber(ttl)
  local ends = text(now + lease)
  if mode == 'x' then
    redis.call('HSET', key, 'token', text(token), 'mode', 'x', 'used', '1', 'ends', ends, 'span', ttl, id, 'x' .. info)
  else
    local record = 'c' .. permits .. ' ' .. ends .. ' ' .. ttl .. ' ' .. text(token) .. ' ' .. info
    local last = text(token + SPARE_TOKENS)
    redis.call('HSET', key, 'token', last, 'mode', 'c', 'used', permits, 'ends', ends, 'span', ttl, id, record, 'limit', limit)
  end
  redis.call('PEXPIRE', key, text(lease + KEEP_TOKEN))
  return { 1, text(token), lease, 0 }
end

-- Hands an exclusive lock on to the head of the queue, if that wants it exclusively too, shows life and hears of it: what pump does.
local function hand_over(key, id, token)
  local queue, waiters = key .. ':queue', key .. ':waiters'
  -- pcall: what is wrong with the queue must not keep the holder from letting go.
  local members = redis.pcall('ZRANGE', queue, 0, 1)
  local member = members[1]
  local heir = member and string.sub(member, 18)
  local waiter = heir and redis.pcall('HGET', waiters, heir)
  if type(waiter) ~= 'string' then return nil end
  local ttl, seen, info = string.match(waiter, '^x %d+ %d+ (%d+) %-?%d+ %d+ (%d+) %d+ p (.*)$')
  if not ttl or now - tonumber(seen) > tonumber(ARGV[#KEYS + 3]) then return nil end
  local claim_window = tonumber(ARGV[#KEYS + 2])
  local window = math.min(claim_window, tonumber(ttl))
  -- Of a shorter lease, others must be forewarned.
  if window < claim_window / 2 then return nil end
  token = text(math.max(token + 1, now_us))
  local channel = ARGV[#KEYS + 1] .. string.match(heir, '^[^.]+')
  local message = 'g ' .. heir .. ' ' .. token .. ' ' .. text(now) .. ' ' .. text(window) .. (members[2] and ' 1' or ' 0')
  local receivers = redis.pcall('PUBLISH', channel, message)
  if type(receivers) ~= 'number' or receivers == 0 then return nil end
  -- The removals come first: they are never refused for want of memory, and after them no write of this script is.
  redis.call('HDEL', key, id)
  redis.call('ZREM', queue, member)
  redis.call('HDEL', waiters, heir)
  redis.call('HSET', key, 'token', token, 'ends', text(now + window), 'span', text(window), heir, 'x' .. info)
  redis.call('PEXPIRE', key, text(window + KEEP_TOKEN))
  return { 1 }
end

local function release_alone(key, operation)
  local id, used = string.match(operation, '^L (%S+) 0 [01] (%d+)$')
  if not id then return nil end
  local state = redis.call('HMGET', key, id, 'used', 'ends', 'span', 'ticket', 'token')
  local record = state[1]
  if not record or not state[3] or tonumber(state[3]) <= now then return nil end
  local exclusive = string.sub(record, 1, 1) == 'x'
  local token = math.max(tonumber(state[6]), tonumber(used))
  if state[5] then return exclusive and hand_over(key, id, token) or nil end
  if tonumber(state[4]) > KEEP_TOKEN then return nil end
  if not exclusive and string.match(record, '^c(%d+)') ~= state[2] then return nil end
  redis.call('HDEL', key, id, 'mode', 'used', 'limit', 'ends', 'span')
  if used ~= '0' then redis.call('HSET', key, 'token', text(token)) end
  return { 1 }
end
