-- Defines release. Fields: id keep(ms) withdraw(0|1) token
--   keep: the name stays taken for that long; withdraw: also leave the queue, and refuse the id should its request come later;
--   token: the last that was used under the grant, or 0
-- Reply: 1 released | 0 nothing was held under this id

-- Behind the id of a holder that was released and is kept for a while.
local KEPT = '.kept'

-- An id that is neither holder nor waiter may still be under way: remember for a while that it is not wanted.
local function withdraw(s, id)
  local record = redis.call('HGET', s.waiters, id)
  if record then
    dequeue(s, id, member_of(parse_waiter(record).ticket, id))
    return
  end
  local expires = now + KEEP_WITHDRAWN
  s.gone = math.min(s.gone or expires, expires)
  redis.call('HSET', s.key, id, holder_text({ mode = 'w', expires = expires }), 'gone', text(s.gone))
  if redis.call('PTTL', s.key) < KEEP_TOKEN then redis.call('PEXPIRE', s.key, text(KEEP_TOKEN)) end
end

local function release(key, fields)
  local id, keep_ms, withdrawn, token = string.match(fields, '^(%S+) (%d+) ([01]) (%d+)$')
  keep_ms = tonumber(keep_ms)
  local s = load(key, id)
  local h = s.mine
  local held = h and h.mode ~= 'w' and h.expires > now
  if held and keep_ms > 0 then
    -- From here on it belongs to nobody: under another id, it can't be renewed or released any more.
    redis.call('HDEL', s.key, id)
    note_token(s, tonumber(token))
    h.expires, h.lease = now + keep_ms + 1, keep_ms + 1
    s.ends = h.mode == 'x' and h.expires or math.min(s.ends, h.expires)
    s.span = h.mode == 'x' and h.lease or math.max(s.span, h.lease)
    redis.call('HSET', s.key, id .. KEPT, holder_text(h), 'ends', text(s.ends), 'span', text(s.span))
    keep(s, h.lease)
    if s.ticket then forewarn(s, h.lease) end
    return '1'
  end
  if held then
    -- First, and by a command that is never refused for want of memory.
    redis.call('HDEL', s.key, id)
    s.used, s.mine, s.dirty = s.used - h.permits, nil, true
    note_token(s, tonumber(token))
  elseif not h and withdrawn == '1' then
    withdraw(s, id)
  end
  -- What is wrong with the queue is told to those who wait in it; the release has been done.
  pcall(function()
    sweep(s)
    pump(s)
  end)
  save(s)
  return held and '1' or '0'
end
