-- Carries out a list of operations on locks that processes of the version of 2013 share: the state is that of batch.lua, so that processes of
-- both protocols exclude each other, and the lock of 2013 is kept beside it. Before this text stand the same settings; OLD_PREFIX is a text.
--
-- KEYS[i]   the state key of operation i
-- ARGV[i]   operation i, as for batch.lua
-- Returns   as batch.lua, always an array

--- @include "includes/settings"

local replies = { now_us_text }
--- @include "includes/state"
--- @include "includes/queue"
--- @include "ops/acquire"
--- @include "ops/renew"
--- @include "ops/release"
--- @include "ops/force-release"
--- @include "ops/inspect"
--- @include "setnx/old-lock"
--- @include "setnx/acquire"
--- @include "setnx/keep"
local operations = { A = acquire_beside, R = renew_beside, L = release_beside, F = force_release_beside, Q = inspect }
for i = 1, #ARGV do
  local ok, reply = pcall(operations[string.sub(ARGV[i], 1, 1)], KEYS[i], string.sub(ARGV[i], 3))
  if not ok then
    reply = { -1, type(reply) == 'table' and reply.err or tostring(reply) }
  end
  replies[i + 1] = reply
end
return replies
