-- Carries out a list of operations on locks, each by itself: one that fails touches no other.
--
-- KEYS[i]          the state key of operation i; its queue is KEYS[i]:queue and its waiters KEYS[i]:waiters, in the same slot
-- ARGV[i]          operation i: a letter, and its fields behind it, separated by blanks (see ops/)
-- ARGV[#KEYS + 1]  what every inbox channel begins with
-- ARGV[#KEYS + 2]  the claim window in ms: how long a pushed grant stands unconfirmed
-- ARGV[#KEYS + 3]  after how many ms without a sign of life a waiter is dropped
-- Returns          { server's time in ms, reply of operation 1, reply of operation 2, ... }; a reply is an array which begins with a
--                  number: what it means is said in each operation's file; -1 is a failure, with the server's words behind it

--- @include "includes/settings"
--- @include "includes/alone"

-- Making some twenty functions costs as much as carrying out an operation: calls that meet nobody else get by without.
local function all_operations()
--- @include "includes/state"
--- @include "includes/queue"
--- @include "ops/acquire"
--- @include "ops/renew"
--- @include "ops/release"
--- @include "ops/force-release"
--- @include "ops/inspect"
  return { A = acquire, R = renew, L = release, F = force_release, Q = inspect }
end

local operations
local function carry_out(key, operation)
  local letter = string.sub(operation, 1, 1)
  local reply
  if letter == 'A' then
    reply = acquire_alone(key, operation)
  elseif letter == 'L' then
    reply = release_alone(key, operation)
  end
  if reply then return reply end
  operations = operations or all_operations()
  return operations[letter](key, string.sub(operation, 3))
end

local replies = { now }
for i = 1, #KEYS do
  local ok, reply = pcall(carry_out, KEYS[i], ARGV[i])
  if not ok then
    -- A failed redis.call raises a table on Redis 7 and later, a text before.
    reply = { -1, type(reply) == 'table' and reply.err or tostring(reply) }
  end
  replies[i + 1] = reply
end
return replies
