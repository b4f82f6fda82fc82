-- Defines the queue of one name: a sorted set of `ticket id` by priority (its order is the order of grants), and a hash id -> waiter.

-- A queue is kept this long without a sign from anybody; each check of a living waiter begins it anew.
local KEEP_QUEUE = 3600000
-- One call moves on past this many waiters at most; whoever comes next goes on from there.
local PUMP_BOUND = 1000
-- Of so many waiters one is looked for that must hear of a lease's end.
local FOREWARN_BOUND = 10

-- Equal scores are ordered by member, and tickets have 16 digits (microseconds) until the year 2286.
local function member_of(ticket, id)
  return string.format('%016.0f %s', ticket, id)
end

local function dequeue(s, id, member)
  redis.call('ZREM', s.queue, member)
  redis.call('HDEL', s.waiters, id)
end

-- Woken by SPUBLISH, on this node: the name's slot may have come here since, and the sharded channel be on its way.
local function here()
  local node = redis.pcall('CLUSTER', 'MYID')
  return 's' .. (type(node) == 'string' and node or '')
end

-- The channel on which the id's session hears: its inbox, or (s) its sharded channel of this name, in the slot of the name. Not made of the
-- key, which clients with a prefix of their own change.
local function channel_of(key, id, sharded)
  local session = string.match(id, '^[^.]+')
  if not sharded then return INBOX .. session end
  return string.sub(INBOX, 1, -7) .. string.match(key, '{[^{}]*}$') .. ':inbox:' .. session
end

-- Publishes to the id's session. 0 only if it is certain that nobody hears.
local function tell(key, id, wake, message)
  if wake == '-' then return 1 end
  local sharded = wake ~= 'p' and wake ~= 'c'
  local receivers = redis.pcall(sharded and 'SPUBLISH' or 'PUBLISH', channel_of(key, id, sharded), message)
  if receivers == 0 and sharded and wake ~= here() then return tell(key, id, 'c', message) end
  -- Without the right to publish, the waiter finds its grant at its next check. On a Cluster (c) PUBLISH counts one node's receivers only.
  if type(receivers) ~= 'number' or wake == 'c' then return 1 end
  return receivers
end

-- A waiter that nobody hears for was dropped. On a Cluster its connection to this node alone may be lost: told so, it comes back to its place.
local function recall(key, id, wake)
  if wake ~= 'p' then tell(key, id, 'c', 'c ' .. id) end
end

-- `id` is the second in the queue. The first, if it is of another session, hears of that: while it was alone, its process may have handed the
-- lock from one of its claims to the next without asking anybody.
local function end_solitude(s, id)
  for _, member in ipairs(redis.call('ZRANGE', s.queue, 0, 1)) do
    local other = string.sub(member, 18)
    if string.match(other, '^[^.]+') ~= string.match(id, '^[^.]+') then
      local record = redis.call('HGET', s.waiters, other)
      if record then tell(s.key, other, parse_waiter(record).wake, 'o ' .. other) end
    end
  end
end

-- Enters the queue, or shows life where one is in it already; returns the waiter's ticket, and how many wait. A ticket from an earlier reply
-- keeps the place that the claim had before the server forgot it, or before its turn passed unused.
local function enqueue(s, id, claim)
  local record = redis.call('HGET', s.waiters, id)
  local w = record and parse_waiter(record) or claim
  local first = not s.ticket
  w.seen, w.wake, w.ttl, w.info = now, claim.wake == 's' and here() or claim.wake, claim.ttl, claim.info
  if not record then
    w.since = now
    -- Several servers order their queues alike, because the time is proposed to them.
    w.ticket = claim.ticket > 0 and claim.ticket or VOTER and now_us or math.max((s.ticket or 0) + 1, now_us)
  end
  -- Also where there is a record of it: the queue may have been deleted or evicted alone.
  if redis.call('ZADD', s.queue, text(-w.priority), member_of(w.ticket, id)) == 1 then
    s.ticket = math.max(s.ticket or 0, w.ticket)
    redis.call('HSET', s.key, 'ticket', text(s.ticket))
    if w.mode == 'c' and not s.limit then
      s.limit = w.limit
      redis.call('HSET', s.key, 'limit', text(w.limit))
    end
  end
  redis.call('HSET', s.waiters, id, waiter_text(w))
  if first or record then
    redis.call('PEXPIRE', s.queue, text(KEEP_QUEUE))
    redis.call('PEXPIRE', s.waiters, text(KEEP_QUEUE))
  end
  local waiters = first and 1 or redis.call('ZCARD', s.queue)
  if waiters == 2 and not record then end_solitude(s, id) end
  return w.ticket, waiters
end

-- Whether somebody may hear what is told to the id: false only if it is certain that nobody does.
local function is_heard(key, id, wake)
  local sharded = wake ~= 'p'
  if wake == 'c' or wake == '-' or (sharded and wake ~= here()) then return true end
  local reply = redis.pcall('PUBSUB', sharded and 'SHARDNUMSUB' or 'NUMSUB', channel_of(key, id, sharded))
  return reply.err ~= nil or reply[2] ~= 0
end

-- A lease now ends in `lease` ms, sooner than those who wait may count with. Each asks at least twice in its own lease, and several times
-- in a claim window: the first whom that does not bring here in time is told to ask, and so hears of the end.
local function forewarn(s, lease)
  if lease >= CLAIM_WINDOW / 2 then return end
  for _, member in ipairs(redis.call('ZRANGE', s.queue, 0, FOREWARN_BOUND - 1)) do
    local id = string.sub(member, 18)
    local record = redis.call('HGET', s.waiters, id)
    local w = record and parse_waiter(record)
    if w and w.ttl / 2 >= lease and tell(s.key, id, w.wake, 'c ' .. id) > 0 then return end
  end
end

-- Grants to the heads of the queue while they fit. The claim `own`, whose caller reads the reply, gets its whole lease and no message;
-- returns its token if it was granted, and whether others wait behind it. Everybody else gets a claim window and is told; who has gone is passed over.
local function pump(s, own, lease)
  local own_token, own_followed, shortest
  for _ = 1, PUMP_BOUND do
    if not s.ticket or not has_room(s) then break end
    local members = redis.call('ZRANGE', s.queue, 0, 1)
    local member, followed = members[1], members[2] and 1 or 0
    if not member then
      s.ticket = nil
      redis.call('HDEL', s.key, 'ticket')
      if s.used == 0 then
        s.limit = nil
        redis.call('HDEL', s.key, 'limit')
      end
      break
    end
    local id = string.sub(member, 18)
    local record = redis.call('HGET', s.waiters, id)
    local w = record and parse_waiter(record)
    if not w or now - w.seen > WAITER_LIFE then
      dequeue(s, id, member)
    elseif not fits(s, w.mode, w.permits, w.limit) then
      -- Who has gone does not stand in the way of those behind, who may fit.
      if id == own or is_heard(s.key, id, w.wake) then break end
      dequeue(s, id, member)
      recall(s.key, id, w.wake)
    else
      -- The removal comes first: it is never refused for want of memory, and after it the writes of this script are not either.
      dequeue(s, id, member)
      if id == own then
        own_token, own_followed = grant(s, id, w, lease), followed
      else
        local window = math.min(CLAIM_WINDOW, w.ttl)
        local message = table.concat({ 'g', id, text(next_token(s)), text(now), text(window), followed }, ' ')
        if tell(s.key, id, w.wake, message) > 0 then
          grant(s, id, w, window)
          shortest = math.min(shortest or window, window)
        else
          recall(s.key, id, w.wake)
        end
      end
    end
  end
  if shortest and s.ticket then forewarn(s, shortest) end
  return own_token, own_followed
end
