-- Defines the state of one name: a hash with one field per holder (its id, which has a dot in it) and these summary fields:
--   token   the last fencing token that was given  mode    of the present holders: x exclusive, c counted
--   used    permits in use                         limit   of counted claims, while the name is in use
--   ends    the exclusive holder's lease ends then, or: no counted holder's lease ends before
--   span    the exclusive holder's lease, or: the longest of the counted ones
--   ticket  the last place given, while there is a queue       gone  the first mark of a withdrawn id ends then

-- An id that was withdrawn before its request arrived is refused for this long.
local KEEP_WITHDRAWN = 30000

--- @include "includes/records"

local function load(key, id)
  local f = redis.call('HMGET', key, 'token', 'mode', 'used', 'limit', 'ends', 'span', 'ticket', 'gone', id)
  local s = {
    key = key, queue = key .. ':queue', waiters = key .. ':waiters',
    token = tonumber(f[1] or 0), mode = f[2], used = tonumber(f[3] or 0), limit = tonumber(f[4] or nil), ends = tonumber(f[5] or nil),
    span = tonumber(f[6] or 0), ticket = tonumber(f[7] or nil), gone = tonumber(f[8] or nil),
  }
  s.mine = f[9] and parse_holder(s, f[9]) or nil
  return s
end

-- Writes the summary if it is not what the server has, or clears an idle name down to its last token.
local function save(s)
  if s.used == 0 and not s.ticket then
    redis.call('HDEL', s.key, 'mode', 'used', 'limit', 'ends', 'span')
    if s.span > KEEP_TOKEN then redis.call('PEXPIRE', s.key, text(KEEP_TOKEN)) end
  elseif s.dirty and s.used == 0 then
    redis.call('HDEL', s.key, 'mode', 'used', 'ends', 'span')
  elseif s.dirty then
    redis.call('HSET', s.key, 'used', text(s.used), 'ends', text(s.ends), 'span', text(s.span))
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
  return math.max(s.token + TOKEN_STEP, now_us)
end

-- Gives `id` what it claims for `lease` ms; returns the fencing token.
local function grant(s, id, claim, lease)
  local first = s.used == 0
  local holder = {
    mode = claim.mode, permits = claim.permits, expires = now + lease, lease = lease, token = next_token(s), info = claim.info,
  }
  s.token = claim.mode == 'c' and holder.token + SPARE_TOKENS or holder.token
  s.mode, s.used = claim.mode, s.used + claim.permits
  s.ends = first and holder.expires or math.min(s.ends, holder.expires)
  s.span = first and lease or math.max(s.span, lease)
  local fields = { 'token', text(s.token), 'mode', s.mode, 'used', text(s.used), 'ends', text(s.ends), 'span', text(s.span), id, holder_text(holder) }
  if claim.mode == 'c' and not s.limit then
    s.limit = claim.limit
    fields[13], fields[14] = 'limit', text(claim.limit)
  end
  redis.call('HSET', s.key, unpack(fields))
  s.dirty = false
  keep(s, lease)
  return holder.token
end

-- The last token that a holder used under its grant, where it handed the lock on inside its process.
local function note_token(s, token)
  if token <= s.token then return end
  s.token = token
  redis.call('HSET', s.key, 'token', text(token))
end

-- Makes the lease of holder `h` last `lease` ms from now, unless it lasts longer already.
local function extend(s, id, h, lease)
  if now + lease > h.expires then
    h.expires, h.lease = now + lease, lease
  end
  if h.permits == s.used then
    s.ends, s.span = h.expires, h.lease
  else
    s.span = math.max(s.span, h.lease)
  end
  -- A removal is never refused for want of memory, and after it the other writes of this script are not either.
  redis.call('HDEL', s.key, id)
  redis.call('HSET', s.key, id, holder_text(h), 'ends', text(s.ends), 'span', text(s.span))
  keep(s, h.lease)
end

-- Whether a time that lies at most `span` ahead has come. A clock that stepped back shows in it as well.
local function is_due(at, span)
  return at and (at <= now or at - now > span)
end

-- Drops every holder whose lease is over, and every mark of a withdrawn id that is. Looks at nothing while none can be.
local function sweep(s)
  if not is_due(s.ends, s.span) and not is_due(s.gone, KEEP_WITHDRAWN) then return end
  local fields = redis.call('HGETALL', s.key)
  local used, ends, span, gone = 0, nil, 0, nil
  for i = 1, #fields, 2 do
    local id = fields[i]
    if string.find(id, '.', 1, true) then
      local h = parse_holder(s, fields[i + 1])
      if h.expires <= now then
        redis.call('HDEL', s.key, id)
      elseif h.mode == 'w' then
        gone = math.min(gone or h.expires, h.expires)
      else
        local record = holder_text(h)
        if record ~= fields[i + 1] then redis.call('HSET', s.key, id, record) end
        used, ends, span = used + h.permits, math.min(ends or h.expires, h.expires), math.max(span, h.lease)
      end
    end
  end
  if gone ~= s.gone then
    redis.call('HDEL', s.key, 'gone')
    if gone then redis.call('HSET', s.key, 'gone', text(gone)) end
  end
  s.used, s.ends, s.span, s.gone, s.dirty = used, ends, span, gone, true
  if s.mine and s.mine.expires <= now then s.mine = nil end
  if used == 0 and not s.ticket then s.limit = nil end
  save(s)
end
