-- Defines how a holder and a waiter are written: blank-separated text, the free-form info last.
-- holder: mode permits expires lease token since info     mode x exclusive, c counted, w withdrawn (0 permits); times in ms
-- waiter: mode permits limit ttl priority ticket seen since wake info

local function holder_text(h)
  return table.concat({ h.mode, text(h.permits), text(h.expires), text(h.lease), text(h.token), text(h.since), h.info }, ' ')
end

local function parse_holder(record)
  local mode, permits, expires, lease, token, since, info = string.match(record, '^(%a) (%d+) (%d+) (%d+) (%d+) (%d+) (.*)$')
  return {
    mode = mode, permits = tonumber(permits), lease = tonumber(lease), token = tonumber(token), since = tonumber(since), info = info,
    -- When the server's clock stepped back, the lease would seem to last for ever: it never lasts longer than its length from now.
    expires = math.min(tonumber(expires), now + tonumber(lease)),
  }
end

local function waiter_text(w)
  return table.concat({
    w.mode, text(w.permits), text(w.limit), text(w.ttl), text(w.priority), text(w.ticket), text(w.seen), text(w.since), w.wake, w.info,
  }, ' ')
end

local function parse_waiter(record)
  local mode, permits, limit, ttl, priority, ticket, seen, since, wake, info =
    string.match(record, '^(%a) (%d+) (%d+) (%d+) (%-?%d+) (%d+) (%d+) (%d+) (%S) (.*)$')
  return {
    mode = mode, permits = tonumber(permits), limit = tonumber(limit), ttl = tonumber(ttl), priority = tonumber(priority),
    ticket = tonumber(ticket), seen = tonumber(seen), since = tonumber(since), wake = wake, info = info,
  }
end
