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

-- The index at which a page starts, for each way of asking for one.
--   after, before  a place (score, member): the page that follows it, or that ends just before it
local function page_start(mode, standings, tiebreaks, total, limit, a, b)
  if mode == 'offset' then return tonumber(a) end
  if mode == 'around' then
    local bytes = redis.call('HGET', standings.entries, a)
    if not bytes then return nil end
    local index = redis.call('ZRANK', standings.order, decode_entry(bytes, tiebreaks).prefix .. a)
    if not index then return nil end
    return math.max(0, math.min(index - math.floor(limit / 2), total - limit))
  end
  local index = count_before(standings.order, tonumber(a), b)
  if mode == 'score' then
    return math.max(0, math.min(index - math.floor(limit / 2), total - limit))
  end
  if mode == 'before' then return index - limit end
  local found = redis.call('ZRANGE', standings.order, index, index)[1]
  return found == b and index + 1 or index
end

-- page: consecutive entries, with what is needed to show them.
--   keys   1 gate · 2 order · 3 entries · 4 distinct · 5 names
--   args   1 revision · 2 season · 3 mode · 4 limit · 5 ties · 6 number of tiebreaks · then by mode:
--          offset: 7 offset · after, before: 7 score 8 member · score: 7 score 8 '' · around: 7 player
--   reply  {total, index of the first, rank of the first, {member, score, …}, {entry, …}, {name or nil, …}}
--          {} when the player to be around has no entry
--   cost   O(log N + limit)
local function page(keys, args)
  if is_stale(read_gate(keys[1]), args[1], args[2]) then return {'stale'} end
  local standings, limit, ties, tiebreaks = standings_at(keys, 2, 1), tonumber(args[4]), args[5], tonumber(args[6])
  local total = redis.call('ZCARD', standings.order)
  local first = page_start(args[3], standings, tiebreaks, total, limit, args[7], args[8])
  if not first then return {} end
  local last = first + limit - 1
  first = math.max(0, first)
  local found = last >= first and redis.call('ZRANGE', standings.order, first, last, 'WITHSCORES') or {}
  if #found == 0 then return {total, first, 0, {}, {}, {}} end
  local players, head = {}, WIDTH * (tiebreaks + 1)
  for i = 1, #found, 2 do players[#players + 1] = string.sub(found[i], head + 1) end
  local rank = first + 1
  if ties ~= 'ordinal' then
    rank = rank_of(standings, ties, tiebreaks, tonumber(found[2]), string.sub(found[1], 1, head), players[1])
  end
  return {total, first, rank, found, fetch_fields(standings.entries, players), fetch_fields(keys[5], players)}
end
register('page', page, {'no-writes'})

-- lookup: the entries of given players.
--   keys   1 gate · 2 order · 3 entries · 4 distinct · 5 names
--   args   1 revision · 2 season · 3 ties · 4 number of tiebreaks · then players
--   reply  {total, {entry or nil, …}, {name or nil, …}, {rank, …}, {ordinal rank, …}}; ranks are 0 for no entry
--   cost   O(P log N)
local function lookup(keys, args)
  if is_stale(read_gate(keys[1]), args[1], args[2]) then return {'stale'} end
  local standings, ties, tiebreaks = standings_at(keys, 2, 1), args[3], tonumber(args[4])
  local players = {}
  for i = 5, #args do players[i - 4] = args[i] end
  local entries = fetch_fields(standings.entries, players)
  local ranks, ordinals = {}, {}
  for i, player in ipairs(players) do
    ranks[i], ordinals[i] = 0, 0
    if entries[i] then
      local entry = decode_entry(entries[i], tiebreaks)
      ordinals[i] = rank_of(standings, 'ordinal', tiebreaks, entry.score, entry.prefix, player) or 0
      ranks[i] = ordinals[i]
      if ties ~= 'ordinal' and ordinals[i] > 0 then
        ranks[i] = rank_of(standings, ties, tiebreaks, entry.score, entry.prefix, player)
      end
    end
  end
  return {redis.call('ZCARD', standings.order), entries, fetch_fields(keys[5], players), ranks, ordinals}
end
register('lookup', lookup, {'no-writes'})

-- friends_entries: the entries of a player and its friends.
--   keys   1 gate · 2 entries · 3 friends of the player
--   args   1 revision · 2 season · 3 player
--   reply  {player, entry, …} for those who have one, in no order
--   cost   O(F) for F friends
local function friends_entries(keys, args)
  if is_stale(read_gate(keys[1]), args[1], args[2]) then return {'stale'} end
  local players = {args[3]}
  local sides = redis.call('HGETALL', keys[3])
  for i = 1, #sides, 2 do
    if string.sub(sides[i + 1], 1, 8) == 'friends;' then players[#players + 1] = sides[i] end
  end
  local entries, reply = fetch_fields(keys[2], players), {}
  for i, player in ipairs(players) do
    if entries[i] then
      reply[#reply + 1] = player
      reply[#reply + 1] = entries[i]
    end
  end
  return reply
end
register('friends_entries', friends_entries, {'no-writes'})

-- distribution: how many entries have a score in each of some equal ranges.
--   keys   1 gate · 2 order
--   args   1 revision · 2 season · 3 sign: 1 where the order is the score's, -1 where it is its negation · 4 buckets
--   reply  {total, lowest score, width of a bucket, count, …}; fewer buckets where the scores span fewer values
--   cost   O(B log N)
local function distribution(keys, args)
  if is_stale(read_gate(keys[1]), args[1], args[2]) then return {'stale'} end
  local order_key, sign, buckets = keys[2], tonumber(args[3]), tonumber(args[4])
  local total = redis.call('ZCARD', order_key)
  if total == 0 then return {0, 0, 0} end
  local first = tonumber(redis.call('ZRANGE', order_key, 0, 0, 'WITHSCORES')[2])
  local last = tonumber(redis.call('ZRANGE', order_key, -1, -1, 'WITHSCORES')[2])
  local lowest, highest = math.min(sign * first, sign * last), math.max(sign * first, sign * last)
  local width = math.ceil((highest - lowest + 1) / buckets)
  local reply = {total, lowest, width}
  local from = lowest
  while from <= highest do
    local to = from + width - 1
    local low, high = math.min(sign * from, sign * to), math.max(sign * from, sign * to)
    reply[#reply + 1] = redis.call('ZCOUNT', order_key, number_text(low), number_text(high))
    from = from + width
  end
  return reply
end
register('distribution', distribution, {'no-writes'})
