-- Carries out a list of operations on locks, each by itself: one that fails touches no other. Before this text the store that sends it
-- writes a line with its settings (see script.ts): INBOX, CLAIM_WINDOW, WAITER_LIFE, OLD_PREFIX, VOTER.
--
-- KEYS[i]   the state key of operation i; its queue is KEYS[i]:queue and its waiters KEYS[i]:waiters, in the same slot. A Cluster is told of these
--           two behind the last operation's, so that while a slot moves a call finds all keys of its name or is sent elsewhere
-- ARGV[i]   operation i: a letter, and its fields behind it, separated by blanks (see ops/); before it, on one of several servers, the time in us
--           that whoever asks proposes: what tokens and tickets are made from
-- Returns   the server's time in us, reply of operation 1, reply of operation 2, ...: one text with a line for each, or an array where a reply
--           is one. A reply begins with a number; what it means is said in each operation's file. An array which begins with -1 is a
--           failure, with the server's words behind it

--- @include "includes/settings"

--- @include "includes/voter"

local replies = { now_us_text }
local operations, nested
-- Texts that are the same for all leases of one length in a call: making one takes half as long as a command.
-- A name whose last token is older than this (us) is looked at for a lock of 2013 before it is granted.
local LOOK_AFTER = 10000000
local same_ttl, same_ends, same_keep
for i = 1, #ARGV do
  local key, operation = KEYS[i], ARGV[i]
  if VOTER then
    now_us_text, operation = string.match(operation, '^(%d+) (.*)$')
    now_us = tonumber(now_us_text)
  end
  local letter = string.sub(operation, 1, 1)
  local ok, reply = true, nil
  -- The short ways: the most frequent cases of the two most frequent operations. They stand here and are no functions, because making a
  -- function takes as long as carrying out a command, and they never raise.
  if letter == 'A' then
--- @include "short/acquire"
  elseif letter == 'L' then
--- @include "short/release"
  end
  if not reply then
    if not operations then
--- @include "includes/state"
--- @include "includes/queue"
--- @include "ops/acquire"
--- @include "ops/renew"
--- @include "ops/release"
--- @include "ops/force-release"
--- @include "ops/inspect"
      operations = { A = acquire, R = renew, L = release, F = force_release, Q = inspect }
    end
    ok, reply = pcall(operations[letter], key, string.sub(operation, 3))
  end
  if not ok then
    -- A failed redis.call raises a table on Redis 7 and later, a text before.
    reply = { -1, type(reply) == 'table' and reply.err or tostring(reply) }
  end
  nested = nested or type(reply) == 'table'
  replies[i + 1] = reply
end
-- An array in an array takes the server as long as a command.
return nested and replies or table.concat(replies, '\n')
