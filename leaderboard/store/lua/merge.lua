-- Merging: what is one player's under two ids becomes one's. First `state` in the hash of the one that goes, which everything
-- about a player reads: "merging;into", and in the same step what it has besides to the hash of the other, with `absorbs`;
-- then its entries and friends, piece by piece, each in one step for both; last "merged;into", which stays.
--
-- Every piece may be moved again: what was moved is not there any more. None is moved when one of the two was erased.

-- Is this merge still running? nil when it is; else why not.
local function merge_refuses(old_key, into_key, into)
  local state = redis.call('HGET', into_key, 'state')
  if state then return gone(state) end
  if redis.call('HGET', old_key, 'state') ~= 'merging;' .. into then return {'over'} end
end

local function read_fields(player_key)
  local flat, fields = redis.call('HGETALL', player_key), {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

-- Writes fields of a player, '' for none. In the journal `created_at` is beside the fields.
local function write_fields(player_key, player, now, fields)
  for field, value in pairs(fields) do
    if value == '' then
      redis.call('HDEL', player_key, field)
    else
      redis.call('HSET', player_key, field, value)
    end
  end
  fields.created_at = nil
  record('player', now, player, tonumber(redis.call('HGET', player_key, 'created_at')), fields)
end

-- Both sets of identities together; nil and the provider of which both have one, each another.
local function unite_identities(one, other)
  local united, count = {}, 0
  for _, packed in ipairs({one or '{}', other or '{}'}) do
    for provider, subject in pairs(cjson.decode(packed)) do
      if united[provider] and united[provider] ~= subject then return nil, provider end
      if not united[provider] then count = count + 1 end
      united[provider] = subject
    end
  end
  return united, count
end

-- What a player has besides entries and friends becomes the other's: fields of its profile where that one has none, its
-- identities and devices. That one has been there since the earlier of both, and their submissions are counted together. The
-- name stays with entries in standings that are settled.
--   old, into   their fields · identities  those of both
-- Returns what changes of each.
local function unite_profiles(old, into, identities)
  local changes, left = {}, {}
  for _, field in ipairs({'display_name', 'avatar_url', 'country', 'platform', 'attributes'}) do
    if old[field] and not into[field] then changes[field] = old[field] end
  end
  if old.identities then changes.identities = cjson.encode(identities) end
  for digest in string.gmatch(old.device or '', '%S+') do
    changes.device = add_word(changes.device or into.device, digest) or changes.device
  end
  if old.submissions then
    changes.submissions = number_text(tonumber(old.submissions) + tonumber(into.submissions or 0))
  end
  if tonumber(old.created_at) < tonumber(into.created_at) then changes.created_at = old.created_at end
  for _, field in ipairs({'platform', 'attributes', 'identities', 'device', 'submissions'}) do
    if old[field] then left[field] = '' end
  end
  return changes, left
end

-- begin_merge: from now on a player is another. Its sessions end, and its profile goes to that one.
--   keys   1 hash of the player that goes · 2 hash of the one that stays · 3 held of the one that goes · 4 names
--   args   1 the one that goes · 2 the one that stays · 3 now_ms · 4 the most identities a player may have
--   reply  {"merging"}: also where it began earlier · {"merged"}: it is done
--          {"missing", which} · {"erased", which} · {"elsewhere", which, into}: it was, or is being, merged into another
--          {"running", the player that is being merged into one of the two} · {"banned", which} · {"reviews"}
--          {"taken", provider}: both have an identity of it, each another · {"full"} · {"journal_full"}
--   cost   O(F) for F fields of the two
local function begin_merge(keys, args)
  local ids, now = {args[1], args[2]}, tonumber(args[3])
  -- They are written with others between spaces and behind a semicolon.
  if #keys ~= 4 or #args ~= 4 or ids[1] == ids[2] or string.find(ids[1] .. ids[2], '[%s;]') or ids[1] == ''
    or ids[2] == '' or not now or not tonumber(args[4]) then
    return redis.error_reply('LB_ARGUMENTS begin_merge')
  end
  local players = {read_fields(keys[1]), read_fields(keys[2])}
  local old, into = players[1], players[2]
  if old.state == 'merging;' .. ids[2] and not into.state then return {'merging'} end
  if old.state == 'merged;' .. ids[2] then return {'merged'} end
  for i, player in ipairs(players) do
    local elsewhere = player.state and merged_into(player.state)
    if elsewhere then return {'elsewhere', ids[i], elsewhere} end
    if player.state then return {'erased', ids[i]} end
    if not player.created_at then return {'missing', ids[i]} end
    if player.absorbs then return {'running', player.absorbs} end
  end
  for i, player in ipairs(players) do
    if player.ban then return {'banned', ids[i]} end
  end
  if redis.call('EXISTS', keys[3]) == 1 then return {'reviews'} end
  local united, count = unite_identities(old.identities, into.identities)
  if not united then return {'taken', count} end
  if count > tonumber(args[4]) then return {'full'} end
  if journal_is_full() then return {'journal_full'} end
  for field in pairs(old) do
    if string.sub(field, 1, 2) == 's:' then
      redis.call('HDEL', keys[1], field)
      record('end_session', now, ids[1], field)
    end
  end
  local changes, left = unite_profiles(old, into, united)
  changes.absorbs, left.state = ids[1], 'merging;' .. ids[2]
  write_fields(keys[2], ids[2], now, changes)
  write_fields(keys[1], ids[1], now, left)
  publish_name(keys[2], keys[4], ids[2])
  return {'merging'}
end
register_change('begin_merge', begin_merge, {})

-- check_sums: whether entries of two players, on a board with policy `sum`, can be united.
--   keys   entries of each standings
--   args   1 the one · 2 the other · 3 number of tiebreaks
--   reply  0, or the number of the standings, from 1, in which they cannot
local function check_sums(keys, args)
  local tiebreaks = tonumber(args[3])
  for i, entries in ipairs(keys) do
    local found = redis.call('HMGET', entries, args[1], args[2])
    if found[1] and found[2] and not unite_entries('sum', tiebreaks, decode_entry(found[1], tiebreaks),
      decode_entry(found[2], tiebreaks)) then return i end
  end
  return 0
end
register('check_sums', check_sums, {'no-writes'})

-- merge_entries: unite the entries of both in the given standings, those of one board.
--   keys   1 hash of the player that goes · 2 hash of the one that stays · 3 gate
--          then per standings: order, entries, distinct
--   args   1 the one that goes · 2 the one that stays · 3 now_ms · 4 revision · 5 season · 6 board · 7 policy · 8 ties
--          9 number of tiebreaks · then per standings: period id
--   reply  {"united", how many} · {"out_of_range", number of the standings, from 1}: the sum would be; nothing was changed
--          {"stale"} · {"over"} · {"erased"} · {"merged", into}: the one that stays · {"journal_full"}
--   cost   O(S log N) for S standings of N entries
local function merge_entries(keys, args)
  local old, into, now, board = args[1], args[2], tonumber(args[3]), args[6]
  local policy, ties, tiebreaks, steps = args[7], args[8], tonumber(args[9]), {}
  local refusal = merge_refuses(keys[1], keys[2], into)
  if refusal then return refusal end
  if is_stale(read_gate(keys[3]), args[4], args[5]) then return {'stale'} end
  if journal_is_full() then return {'journal_full'} end
  local ban = redis.call('HGET', keys[2], 'ban')
  local hidden = ban and not string.find(ban, '^%a+;0;')
  for i = 1, (#keys - 3) / 3 do
    local standings, period_id = standings_at(keys, 4, i), args[9 + i]
    local found = redis.call('HMGET', standings.entries, old, into)
    if found[1] then
      local gone_entry, before = decode_entry(found[1], tiebreaks), found[2] and decode_entry(found[2], tiebreaks) or nil
      local after = gone_entry
      if before then after = unite_entries(policy, tiebreaks, before, gone_entry) end
      if not after then return {'out_of_range', i} end
      steps[#steps + 1] = {standings = standings, period_id = period_id, gone = gone_entry, before = before, after = after}
    end
  end
  for _, step in ipairs(steps) do
    local standings, before, after, head = step.standings, step.before, step.after, encode_head(step.after)
    -- One after the other: neither may give its name to what was named after the other.
    leave_place(standings, old, step.gone, '', now, board, step.period_id)
    redis.call('ZREM', standings.order, step.gone.prefix .. old)
    if before and not same_place(before, after) then leave_place(standings, into, before, '', now, board, step.period_id) end
    -- The united one is there before the other goes, so that the entries keep their expiry.
    write_entry(standings, ties, tiebreaks, into, before, after, head, hidden)
    redis.call('HDEL', standings.entries, old)
    if ties == 'dense' then
      drop_distinct(standings, tiebreaks, step.gone)
      if before then drop_distinct(standings, tiebreaks, before) end
    end
    record('remove', now, board, step.period_id, old)
    record('entry', now, board, step.period_id, into, head, after.metadata, hidden and 1 or 0)
  end
  return {'united', #steps}
end
register_change('merge_entries', merge_entries, {})

-- merge_attempts: what the one that goes has opened on a board may be scored by the one that stays.
--   keys   1 hash of the player that goes · 2 hash of the one that stays · 3 open attempts of the one that goes
--          4 of the one that stays
--   args   1 the one that goes · 2 the one that stays · 3 now_ms · 4 board
--   reply  {"united"} · {"over"} · {"erased"} · {"merged", into}: the one that stays · {"journal_full"}
--   cost   O(A) for A open attempts
-- How many the one that goes had opened does not count: the limit is that of the one that stays.
local function merge_attempts(keys, args)
  local old, into, now, board = args[1], args[2], tonumber(args[3]), args[4]
  local refusal = merge_refuses(keys[1], keys[2], into)
  if refusal then return refusal end
  if journal_is_full() then return {'journal_full'} end
  local flat, created_at = redis.call('HGETALL', keys[3]), tonumber(redis.call('HGET', keys[2], 'created_at'))
  for i = 1, #flat, 2 do
    local attempt, packed = flat[i], flat[i + 1]
    drop_attempt(keys[3], now, board, old, attempt)
    redis.call('HSET', keys[4], attempt, packed)
    keep_attempts(keys[4], tonumber(string.match(packed, '^%d+;(%d+)')))
    record('attempt', now, into, created_at, board, attempt, packed, '')
  end
  return {'united'}
end
register_change('merge_attempts', merge_attempts, {})

-- Which of two things that a player sees of another holds: a block before all, then friendship, then who wants it.
local SIDE_ORDER = {blocked = 1, friends = 2, invited = 3, invitation = 4}

-- The side that is left of two, either or both false: {state, at, who}, or nil.
--   old, into  who says it under the one id says it under the other
local function unite_sides(one, other, old, into)
  local best
  for _, packed in pairs({one or nil, other or nil}) do
    local state, at, who = string.match(packed, '^(%a+);(%d+);(.*)$')
    local side = {state = state, at = at, who = who == old and into or who}
    if not best or SIDE_ORDER[state] < SIDE_ORDER[best.state]
      or (state == best.state and tonumber(at) < tonumber(best.at)) then best = side end
  end
  return best
end

local function put_side(friends_key, player, other, before, side, now)
  local after = side and table.concat({side.state, side.at, side.who}, ';') or ''
  if after == (before or '') then return end
  if side then
    redis.call('HSET', friends_key, other, after)
  else
    redis.call('HDEL', friends_key, other)
  end
  record('friend', now, player, other, after)
end

local function set_blocker(blockers_key, blocker, blocks)
  redis.call(blocks and 'SADD' or 'SREM', blockers_key, blocker)
end

-- merge_friend: unite what both and one other player see of each other.
--   keys   1 hash of the player that goes · 2 hash of the one that stays
--          3, 4, 5 friends of the one that goes, of the one that stays, of the other · 6, 7, 8 blockers of the same
--   args   1 the one that goes · 2 the one that stays · 3 now_ms · 4 the other
--   reply  {"united"} · {"over"} · {"erased"} · {"merged", into}: the one that stays · {"journal_full"}
-- A block by any side stays and ends a friendship. Else friends are friends; two that invited each other, under whatever
-- id, are, too. Nobody is a friend of oneself.
local function merge_friend(keys, args)
  local old, into, now, other = args[1], args[2], tonumber(args[3]), args[4]
  local refusal = merge_refuses(keys[1], keys[2], into)
  if refusal then return refusal end
  if journal_is_full() then return {'journal_full'} end
  if other == into then
    put_side(keys[3], old, into, redis.call('HGET', keys[3], into), nil, now)
    put_side(keys[4], into, old, redis.call('HGET', keys[4], old), nil, now)
    set_blocker(keys[6], into, false)
    set_blocker(keys[7], old, false)
    return {'united'}
  end
  local mine_of_old, mine_of_into = redis.call('HGET', keys[3], other), redis.call('HGET', keys[4], other)
  local theirs = redis.call('HMGET', keys[5], old, into)
  local mine, their = unite_sides(mine_of_old, mine_of_into, old, into), unite_sides(theirs[1], theirs[2], old, into)
  local i_block, they_block = mine and mine.state == 'blocked', their and their.state == 'blocked'
  if i_block or they_block then
    -- As befriend leaves it: who is blocked is not told, and an invitation without an answer is all it sees.
    if mine and not i_block and mine.state ~= 'invited' then mine = nil end
    if their and not they_block and their.state ~= 'invited' then their = nil end
  elseif mine and their and mine.state ~= their.state and (mine.state == 'friends' or their.state == 'friends') then
    local friends = mine.state == 'friends' and mine or their
    mine, their = friends, friends
  elseif mine and their and mine.state == 'invited' and their.state == 'invited' then
    local later = tonumber(mine.at) < tonumber(their.at) and their or mine
    local friends = {state = 'friends', at = later.at, who = later.who}
    mine, their = friends, friends
  end
  put_side(keys[3], old, other, mine_of_old, nil, now)
  put_side(keys[5], other, old, theirs[1], nil, now)
  put_side(keys[4], into, other, mine_of_into, mine, now)
  put_side(keys[5], other, into, theirs[2], their, now)
  set_blocker(keys[6], other, false)
  set_blocker(keys[8], old, false)
  set_blocker(keys[7], other, their and their.state == 'blocked')
  set_blocker(keys[8], into, mine and mine.state == 'blocked')
  return {'united'}
end
register_change('merge_friend', merge_friend, {})

-- move_device: a device signs in as the one that stays.
--   keys   1 device
--   args   1 the one that goes · 2 the one that stays
--   reply  1 when it was moved, else 0
local function move_device(keys, args)
  if redis.call('GET', keys[1]) ~= args[1] then return 0 end
  redis.call('SET', keys[1], args[2])
  return 1
end
register('move_device', move_device, {})

-- follow_merge: who was merged into a player is now the one that this one was merged into.
--   keys   1 hash of the player who was merged earlier
--   args   1 who that is · 2 the one that goes · 3 the one that stays · 4 now_ms
--   reply  1 when it was changed, else 0
local function follow_merge(keys, args)
  if redis.call('HGET', keys[1], 'state') ~= 'merged;' .. args[2] then return 0 end
  write_fields(keys[1], args[1], tonumber(args[4]), {state = 'merged;' .. args[3]})
  return 1
end
register_change('follow_merge', follow_merge, {'allow-oom'})

-- finish_merge: nothing is left of the one that goes but where it went, and its name.
--   keys   1 hash of the player that goes · 2 hash of the one that stays · 3 friends · 4 blockers of the one that goes
--          5 answer to the call
--   args   1 the one that goes · 2 the one that stays · 3 now_ms · 4 answer to keep, '' for none · 5 how long, ms
--   reply  {"done"} · {"again"}: it has got friends meanwhile, by a merge of theirs
--          {"over"} · {"erased"} · {"merged", into}: the one that stays
local function finish_merge(keys, args)
  local now = tonumber(args[3])
  local refusal = merge_refuses(keys[1], keys[2], args[2])
  if refusal then return refusal end
  if redis.call('EXISTS', keys[3], keys[4]) > 0 then return {'again'} end
  local merged = redis.call('HGET', keys[2], 'merged')
  merged = (merged and merged .. ' ' or '') .. args[1]
  local before = redis.call('HGET', keys[1], 'merged')
  if before then merged = merged .. ' ' .. before end
  write_fields(keys[2], args[2], now, {absorbs = '', merged = merged})
  write_fields(keys[1], args[1], now, {state = 'merged;' .. args[2], merged = before and '' or nil})
  -- What linking was cut off has left; the keys are free by now.
  for field in pairs(read_fields(keys[1])) do
    if string.sub(field, 1, 2) == 'c:' then redis.call('HDEL', keys[1], field) end
  end
  if args[4] ~= '' then redis.call('SET', keys[5], args[4], 'PX', args[5]) end
  return {'done'}
end
register_change('finish_merge', finish_merge, {'allow-oom'})
