-- Defines the state of one name: a hash with one field per holder (its id, which has a dot in it) and these summary fields:
--   token   the last fencing token                 mode    of the present holders: x exclusive, c counted
--   used    permits in use                         limit   of counted claims, while the name is in use
--   ends    no holder's lease ends before this     span    the longest lease in use
--   ticket  the last place given, while there is a queue       gone  1 while there are withdrawn ids

local function load(key, id)
  local f = redis.call('HMGET', key, 'token', 'mode', 'used', 'limit', 'ends', 'span', 'ticket', 'gone', id)
  return {
    key = key, queue = key .. ':queue', waiters = key .. ':waiters',
    token = tonumber(f[1] or 0), mode = f[2], used = tonumber(f[3] or 0), limit = tonumber(f[4] or nil), ends = tonumber(f[5] or nil),
    span = tonumber(f[6] or 0), ticket = tonumber(f[7] or nil), gone = f[8], mine = f[9] and parse_holder(f[9]) or nil,
  }
end

-- Writes the summary if it is not what the server has, or clears an idle name down to its last token.
local function save(s)
  if s.used == 0 and not s.ticket then
    if s.gone then
      redis.call('HDEL', s.key, 'mode', 'used', 'limit')
    else
      redis.call('HDEL', s.key, 'mode', 'used', 'limit', 'ends', 'span')
    end
    if s.span > KEEP_TOKEN then redis.call('PEXPIRE', s.key, text(KEEP_TOKEN)) end
  elseif s.dirty then
    redis.call('HSET', s.key, 'used', text(s.used))
    if s.ends then redis.call('HSET', s.key, 'ends', text(s.ends), 'span', text(s.span)) end
  end
  s.dirty = false
end

-- The state outlives the longest lease in it by KEEP_TOKEN.
local function keep(s, lease)
  local ttl = lease + KEEP_TOKEN
  if s.span <= lease or redis.call('PTTL', s.key) < ttl then
    redis.call('PEXPIRE', s.key, text(ttl))
  end
end

-- Takes a lease that ends at `expires` into the bounds `ends` and `span`.
local function bound(s, expires, lease)
  s.ends = s.ends and math.min(s.ends, expires) or expires
  s.span = math.max(s.span, lease)
end

local function fits(s, mode, permits, limit)
  if s.used == 0 then return true end
  if mode == 'x' or s.mode == 'x' then return false end
  return limit == 0 or s.used + permits <= limit
end

-- Whether there is a claim that could be granted now.
local function has_room(s)
  return s.used == 0 or (s.mode == 'c' and (s.limit == 0 or s.used < s.limit))
end

local function next_token(s)
  return math.max(s.token + 1, now_us)
end

-- Gives `id` what it claims for `lease` ms; returns the fencing token.
local function grant(s, id, claim, lease)
  if s.used == 0 and not s.gone then
    s.ends, s.span = nil, 0
  end
  local token = next_token(s)
  bound(s, now + lease, lease)
  s.token, s.mode, s.used = token, claim.mode, s.used + claim.permits
  local record = holder_text({
    mode = claim.mode, permits = claim.permits, expires = now + lease, lease = lease, token = token, since = now, info = claim.info,
  })
  local fields = { 'token', text(token), 'mode', s.mode, 'used', text(s.used), 'ends', text(s.ends), 'span', text(s.span), id, record }
  if claim.mode == 'c' and not s.limit then
    s.limit = claim.limit
    fields[13], fields[14] = 'limit', text(claim.limit)
  end
  redis.call('HSET', s.key, unpack(fields))
  s.dirty = false
  keep(s, lease)
  return token
end

-- Makes the lease of holder `h` last `lease` ms from now, unless it lasts longer already.
local function extend(s, id, h, lease)
  if now + lease > h.expires then
    h.expires, h.lease = now + lease, lease
  end
  if h.permits == s.used and not s.gone then
    s.ends, s.span = h.expires, h.lease
  else
    s.span = math.max(s.span, h.lease)
  end
  redis.call('HSET', s.key, id, holder_text(h), 'ends', text(s.ends), 'span', text(s.span))
  keep(s, h.lease)
end

-- Drops every holder whose lease is over. `ends` tells when that can be the case at all; a clock that stepped back shows in it too.
local function sweep(s)
  if not s.ends or (s.ends > now and s.ends - now <= s.span) then return end
  local fields = redis.call('HGETALL', s.key)
  s.used, s.ends, s.span, s.gone = 0, nil, 0, nil
  for i = 1, #fields, 2 do
    local id = fields[i]
    if string.find(id, '.', 1, true) then
      local h = parse_holder(fields[i + 1])
      if h.expires <= now then
        redis.call('HDEL', s.key, id)
      else
        local record = holder_text(h)
        if record ~= fields[i + 1] then redis.call('HSET', s.key, id, record) end
        s.used = s.used + h.permits
        bound(s, h.expires, h.lease)
        if h.mode == 'w' then s.gone = '1' end
      end
    end
  end
  if s.mine and s.mine.expires <= now then s.mine = nil end
  if not s.gone then redis.call('HDEL', s.key, 'gone') end
  if not s.ends then redis.call('HDEL', s.key, 'ends', 'span') end
  if s.used == 0 and not s.ticket then s.limit = nil end
  s.dirty = true
  save(s)
end
