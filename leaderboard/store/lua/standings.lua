-- Reads of a standings. None of them writes. Each begins with the gate, so that a page is never read by a definition
-- that is not the board's any more: keys 1 gate, args 1 revision · 2 season, reply {"stale"} on another one.

-- HMGET in pieces: unpack fails at about 8,000 items.
local function fetch_fields(hash_key, fields)
  local values = {}
  for first = 1, #fields, 1000 do
    local part = redis.call('HMGET', hash_key, unpack(fields, first, math.min(first + 999, #fields)))
    for i = 1, #part do values[first + i - 1] = part[i] end
  end
  return values
end

-- The entry that is laid over what everybody sees: that of a shadowed player who reads for itself. It is in the entries hash
-- only. nil for anybody else, and where the player has none or stands in the order as all do.
--   member, index  what it would be in the order, and where, from 0; distinct: its (score, tiebreaks) if no other has it
local function hidden_entry(standings, ties, tiebreaks, player)
  local bytes = player ~= '' and redis.call('HGET', standings.entries, player)
  if not bytes then return nil end
  local own = decode_entry(bytes, tiebreaks)
  own.member = own.prefix .. player
  if redis.call('ZSCORE', standings.order, own.member) then return nil end
  own.index = count_before(standings.order, own.score, own.member)
  local result = distinct_member(own.score, own.prefix, tiebreaks)
  if ties == 'dense' and not redis.call('ZSCORE', standings.distinct, result) then own.distinct = result end
  return own
end

-- The entries from one index to another, with the own one laid over: {member, score, …}.
local function range_with(standings, first, last, own)
  if not own then return redis.call('ZRANGE', standings.order, first, last, 'WITHSCORES') end
  local from, to = first > own.index and first - 1 or first, last >= own.index and last - 1 or last
  local found = to >= from and redis.call('ZRANGE', standings.order, from, to, 'WITHSCORES') or {}
  if first <= own.index and own.index <= last then
    local at = 2 * (own.index - first) + 1
    table.insert(found, at, number_text(own.score))
    table.insert(found, at, own.member)
  end
  return found
end

-- The index at which a page starts, for each way of asking for one.
--   after, before  a place (score, member): the page that follows it, or that ends just before it
local function page_start(mode, standings, tiebreaks, total, limit, own, a, b)
  if mode == 'offset' then return tonumber(a) end
  local index
  if mode == 'around' then
    local bytes = redis.call('HGET', standings.entries, a)
    if not bytes then return nil end
    local member = decode_entry(bytes, tiebreaks).prefix .. a
    if own and own.member == member then
      index = own.index
    else
      index = redis.call('ZRANK', standings.order, member)
      if not index then return nil end
      if own and index >= own.index then index = index + 1 end
    end
  else
    index = count_before(standings.order, tonumber(a), b)
    if own and stands_before(own, own.member, tonumber(a), b) then index = index + 1 end
  end
  if mode == 'around' or mode == 'score' then
    return math.max(0, math.min(index - math.floor(limit / 2), total - limit))
  end
  if mode == 'before' then return index - limit end
  return range_with(standings, index, index, own)[1] == b and index + 1 or index
end

-- page: consecutive entries, with what is needed to show them.
--   keys   1 gate · 2 order · 3 entries · 4 distinct · 5 names
--   args   1 revision · 2 season · 3 mode · 4 limit · 5 ties · 6 number of tiebreaks · 7 the shadowed player who reads for
--          itself, '' for none: what it has here is laid over · then by mode:
--          offset: 8 offset · after, before: 8 score 9 member · score: 8 score 9 '' · around: 8 player
--   reply  {total, index of the first, rank of the first, {member, score, …}, {entry, …}, {name or nil, …}}
--          {} when the player to be around has no entry
--   cost   O(log N + limit)
local function page(keys, args)
  if is_stale(read_gate(keys[1]), args[1], args[2]) then return {'stale'} end
  local standings, limit, ties, tiebreaks = standings_at(keys, 2, 1), tonumber(args[4]), args[5], tonumber(args[6])
  local own = hidden_entry(standings, ties, tiebreaks, args[7])
  local total = redis.call('ZCARD', standings.order) + (own and 1 or 0)
  local first = page_start(args[3], standings, tiebreaks, total, limit, own, args[8], args[9])
  if not first then return {} end
  local last = first + limit - 1
  first = math.max(0, first)
  local found = last >= first and range_with(standings, first, last, own) or {}
  if #found == 0 then return {total, first, 0, {}, {}, {}} end
  local players, head = {}, WIDTH * (tiebreaks + 1)
  for i = 1, #found, 2 do players[#players + 1] = string.sub(found[i], head + 1) end
  local rank = first + 1
  if ties ~= 'ordinal' then
    rank = (own and rank_at or rank_of)(standings, ties, tiebreaks, tonumber(found[2]), string.sub(found[1], 1, head),
      players[1], own)
  end
  return {total, first, rank, found, fetch_fields(standings.entries, players), fetch_fields(keys[5], players)}
end
register('page', page, {'no-writes'})

-- lookup: the entries of given players.
--   keys   1 gate · 2 order · 3 entries · 4 distinct · 5 names
--   args   1 revision · 2 season · 3 ties · 4 number of tiebreaks · 5 as 7 of page · then players
--   reply  {total, {entry or nil, …}, {name or nil, …}, {rank, …}, {ordinal rank, …}}; ranks are 0 for no entry, and for
--          one that is hidden
--   cost   O(P log N)
local function lookup(keys, args)
  if is_stale(read_gate(keys[1]), args[1], args[2]) then return {'stale'} end
  local standings, ties, tiebreaks = standings_at(keys, 2, 1), args[3], tonumber(args[4])
  local own = hidden_entry(standings, ties, tiebreaks, args[5])
  local players = {}
  for i = 6, #args do players[i - 5] = args[i] end
  local entries = fetch_fields(standings.entries, players)
  local ranks, ordinals = {}, {}
  for i, player in ipairs(players) do
    ranks[i], ordinals[i] = 0, 0
    if entries[i] then
      local entry = decode_entry(entries[i], tiebreaks)
      local ordinal = rank_of(standings, 'ordinal', tiebreaks, entry.score, entry.prefix, player)
      if own and (ordinal or player == args[5]) then
        ordinal = rank_at(standings, 'ordinal', tiebreaks, entry.score, entry.prefix, player, own)
      end
      ordinals[i] = ordinal or 0
      ranks[i] = ordinals[i]
      if ties ~= 'ordinal' and ordinals[i] > 0 then
        ranks[i] = (own and rank_at or rank_of)(standings, ties, tiebreaks, entry.score, entry.prefix, player, own)
      end
    end
  end
  return {redis.call('ZCARD', standings.order) + (own and 1 or 0), entries, fetch_fields(keys[5], players), ranks, ordinals}
end
register('lookup', lookup, {'no-writes'})

-- friends_entries: the entries of a player and its friends.
--   keys   1 gate · 2 order · 3 entries · 4 friends of the player
--   args   1 revision · 2 season · 3 number of tiebreaks · 4 as 7 of page · 5 player
--   reply  {player, entry, …} for those who have one that is not hidden, in no order
--   cost   O(F) for F friends
local function friends_entries(keys, args)
  if is_stale(read_gate(keys[1]), args[1], args[2]) then return {'stale'} end
  local tiebreaks, players = tonumber(args[3]), {args[5]}
  local sides = redis.call('HGETALL', keys[4])
  for i = 1, #sides, 2 do
    if string.sub(sides[i + 1], 1, 8) == 'friends;' then players[#players + 1] = sides[i] end
  end
  local entries, reply = fetch_fields(keys[3], players), {}
  for i, player in ipairs(players) do
    local bytes = entries[i]
    if bytes and (player == args[4]
      or redis.call('ZSCORE', keys[2], string.sub(bytes, WIDTH + 1, WIDTH * (tiebreaks + 2)) .. player)) then
      reply[#reply + 1] = player
      reply[#reply + 1] = entries[i]
    end
  end
  return reply
end
register('friends_entries', friends_entries, {'no-writes'})

-- distribution: how many entries have a score in each of some equal ranges.
--   keys   1 gate · 2 order · 3 entries · 4 distinct
--   args   1 revision · 2 season · 3 sign: 1 where the order is the score's, -1 where it is its negation · 4 buckets
--          5 number of tiebreaks · 6 as 7 of page
--   reply  {total, lowest score, width of a bucket, count, …}; fewer buckets where the scores span fewer values
--   cost   O(B log N)
local function distribution(keys, args)
  if is_stale(read_gate(keys[1]), args[1], args[2]) then return {'stale'} end
  local standings, sign, buckets = standings_at(keys, 2, 1), tonumber(args[3]), tonumber(args[4])
  local own = hidden_entry(standings, 'ordinal', tonumber(args[5]), args[6])
  local total = redis.call('ZCARD', standings.order) + (own and 1 or 0)
  if total == 0 then return {0, 0, 0} end
  local first = tonumber(range_with(standings, 0, 0, own)[2])
  local last = tonumber(range_with(standings, total - 1, total - 1, own)[2])
  local lowest, highest = math.min(sign * first, sign * last), math.max(sign * first, sign * last)
  local width = math.ceil((highest - lowest + 1) / buckets)
  local reply = {total, lowest, width}
  local from = lowest
  while from <= highest do
    local to = from + width - 1
    local low, high = math.min(sign * from, sign * to), math.max(sign * from, sign * to)
    local count = redis.call('ZCOUNT', standings.order, number_text(low), number_text(high))
    if own and low <= own.score and own.score <= high then count = count + 1 end
    reply[#reply + 1] = count
    from = from + width
  end
  return reply
end
register('distribution', distribution, {'no-writes'})
