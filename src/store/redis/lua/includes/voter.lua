-- Defines the end of the call on a server that may not vote. VOTER is false, or, on one of several independent servers, the name of a hash
-- whose field `until` says from when on (the server's ms) it may grant: by then what it may have granted and forgotten is over. Where there is
-- none, the server has lost its memory or never had one; where `run` is not this run of the server, it was restarted, perhaps with an old
-- snapshot: whoever asks finds out which, and writes it. To ask for the run takes as long as a whole call. LASTSAVE, which a restart changes too, does
-- not: while it is `saved`, noted in a later second than its own and so in this run, there was none.
if VOTER then
  local mark = redis.call('HMGET', VOTER, 'until', 'run', 'saved')
  if not mark[1] then return redis.error_reply('NOVOTE no memory of what was granted') end
  local saved = redis.pcall('LASTSAVE')
  if type(saved) ~= 'number' or text(saved) ~= mark[3] then
    local info = redis.pcall('INFO', 'server')
    local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
    if run and run ~= mark[2] then return redis.error_reply('NOVOTE restarted') end
    if type(saved) == 'number' and saved < math.floor(now / 1000) then redis.pcall('HSET', VOTER, 'saved', text(saved)) end
  end
  if tonumber(mark[1]) > now then return redis.error_reply('NOVOTE for ' .. text(mark[1] - now) .. ' ms') end
end
