-- Defines hand_over: releases an exclusive lock and grants it to the head of the queue, if that wants it exclusively too, shows life and hears
-- of it: what release and pump do. Returns nil, having changed nothing, in all other cases.

local function hand_over(key, id, token)
  local queue, waiters = key .. ':queue', key .. ':waiters'
  -- pcall: what is wrong with the queue must not keep the holder from letting go.
  local members = redis.pcall('ZRANGE', queue, 0, 1)
  local member = members[1]
  local heir = member and string.sub(member, 18)
  local waiter = heir and redis.pcall('HGET', waiters, heir)
  if type(waiter) ~= 'string' then return nil end
  local ttl, seen, info = string.match(waiter, '^x %d+ %d+ (%d+) %-?%d+ %d+ (%d+) %d+ p (.*)$')
  if not ttl or now - tonumber(seen) > WAITER_LIFE then return nil end
  local window = math.min(CLAIM_WINDOW, tonumber(ttl))
  -- Of a shorter lease, others must be forewarned.
  if window < CLAIM_WINDOW / 2 then return nil end
  token = text(math.max(token + TOKEN_STEP, now_us))
  local channel = INBOX .. string.match(heir, '^[^.]+')
  local message = 'g ' .. heir .. ' ' .. token .. ' ' .. text(now) .. ' ' .. text(window) .. (members[2] and ' 1' or ' 0')
  local receivers = redis.pcall('PUBLISH', channel, message)
  if type(receivers) ~= 'number' or receivers == 0 then return nil end
  -- The removals come first: they are never refused for want of memory, and after them no write of this script is.
  redis.call('HDEL', key, id)
  redis.call('ZREM', queue, member)
  redis.call('HDEL', waiters, heir)
  redis.call('HSET', key, 'token', token, 'ends', text(now + window), 'span', text(window), heir, 'x' .. info)
  redis.call('PEXPIRE', key, text(window + KEEP_TOKEN))
  return '1'
end
