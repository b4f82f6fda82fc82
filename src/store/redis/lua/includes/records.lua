-- Defines how holders and waiters are written, as text with the free-form info last. The first letter of a holder's record is its mode:
--   x info                                  exclusive: the rest stands in the state's summary (1 permit, ends, span, token)
--   c permits expires lease token info      counted (times in ms; no blank behind a letter)
--   w expires                               an id that was withdrawn before its request came; holds nothing
-- waiter: mode permits limit ttl priority ticket seen since wake info
--   wake as in ops/acquire; behind an s stands the node on which its session was subscribed

local function holder_text(h)
  if h.mode == 'x' then return 'x' .. h.info end
  if h.mode == 'w' then return 'w' .. text(h.expires) end
  return string.format('c%.0f %.0f %.0f %.0f ', h.permits, h.expires, h.lease, h.token) .. h.info
end

-- When the server's clock stepped back, a lease would seem to last for ever: it never lasts longer than its length from now.
local function parse_holder(s, record)
  local mode = string.sub(record, 1, 1)
  if mode == 'x' then
    return { mode = 'x', permits = 1, expires = math.min(s.ends, now + s.span), lease = s.span, token = s.token, info = string.sub(record, 2) }
  elseif mode == 'w' then
    return { mode = 'w', permits = 0, expires = math.min(tonumber(string.sub(record, 2)), now + KEEP_WITHDRAWN) }
  end
  local permits, expires, lease, token, info = string.match(record, '^c(%d+) (%d+) (%d+) (%d+) (.*)$')
  lease = tonumber(lease)
  expires = math.min(tonumber(expires), now + lease)
  return { mode = 'c', permits = tonumber(permits), expires = expires, lease = lease, token = tonumber(token), info = info }
end

local function waiter_text(w)
  return string.format(
    '%s %.0f %.0f %.0f %.0f %.0f %.0f %.0f %s ', w.mode, w.permits, w.limit, w.ttl, w.priority, w.ticket, w.seen, w.since, w.wake) .. w.info
end

local function parse_waiter(record)
  local mode, permits, limit, ttl, priority, ticket, seen, since, wake, info =
    string.match(record, '^(%a) (%d+) (%d+) (%d+) (%-?%d+) (%d+) (%d+) (%d+) (%S+) (.*)$')
  return {
    mode = mode, permits = tonumber(permits), limit = tonumber(limit), ttl = tonumber(ttl), priority = tonumber(priority),
    ticket = tonumber(ticket), seen = tonumber(seen), since = tonumber(since), wake = wake, info = info,
  }
end
