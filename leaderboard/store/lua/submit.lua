-- What becomes of a player's entry in one standings when a submission comes in. All in order space.
--   before      the entry as it is, or nil
--   submission  {score, tiebreaks, achieved, stamped, metadata}; stamped: achieved_at was given by the caller
-- Returns the entry after, or nil and the 0-based place of the number (0 the score) that would leave the range.
local function resolve(policy, before, submission, tiebreaks)
  local new = {
    score = submission.score,
    prefix = make_prefix(submission.tiebreaks, submission.achieved),
    achieved = submission.achieved,
    newest = submission.achieved,
    metadata = submission.metadata,
    submissions = 1,
  }
  if not before then return new end
  new.submissions = before.submissions + 1

  if policy == 'correct' then
    new.submissions = before.submissions
    return new
  end

  local kept = {
    score = before.score, prefix = before.prefix, achieved = before.achieved, newest = before.newest,
    metadata = before.metadata, submissions = new.submissions,
  }
  if policy == 'best' then
    -- `best` never reads newest_at; it is left equal to achieved_at, which takes no room.
    kept.newest = kept.achieved
    if comes_before(new, before) then return new end
    return kept
  end

  if policy == 'latest' then
    -- Two in the same millisecond: when both stamps were given, the better one, whatever came first; else the later.
    local newer = new.achieved > before.newest
      or (new.achieved == before.newest and (not submission.stamped or comes_before(new, before)))
    if same_result(new, before, tiebreaks) then
      kept.achieved = math.min(before.achieved, new.achieved)
      kept.prefix = make_prefix(submission.tiebreaks, kept.achieved)
      kept.newest = math.max(before.newest, new.newest)
      if newer then kept.metadata = new.metadata end
      return kept
    end
    if newer then return new end
    return kept
  end

  -- sum
  local sums, moved = {}, submission.score ~= 0
  local total = before.score + submission.score
  if math.abs(total) > LIMIT then return nil, 0 end
  for i = 1, tiebreaks do
    sums[i] = unpack_number(before.prefix, (i - 1) * WIDTH + 1) + submission.tiebreaks[i]
    if math.abs(sums[i]) > LIMIT then return nil, i end
    moved = moved or submission.tiebreaks[i] ~= 0
  end
  if submission.achieved >= before.newest then
    kept.newest, kept.metadata = submission.achieved, submission.metadata
  end
  if moved then
    kept.score = total
    kept.achieved = math.max(before.achieved, submission.achieved)
    kept.prefix = make_prefix(sums, kept.achieved)
  end
  return kept
end

-- submit: apply one submission to every standings it counts in; there is no other way to write a score.
--   keys   1 player hash · 2 gate · 3 maintenance · 4 rate · 5 replay · 6 kept standings of the board · 7 rate of the player
--          on all boards · 8 pace · 9 held · 10 open attempts of the player on the board
--          then per standings: order, entries, distinct
--   args   1 player · 2 now_ms · 3 achieved_ms, '' for now · 4 session field, '' for a server
--          5 session_expires_ms, the renewed one · 6 replay digest (16 bytes), '' for none; behind it, for one that must
--            not count twice even when many others came since, the first moment (ms) it can have come
--          7 revision · 8 season
--          9 policy: best, latest, sum; correct for an admin's correction; refused for one that the caller will not
--            apply, but that may be a repeat · 10 ties
--          11 rate interval_ms, '' for no limit · 12 rate burst · 13, 14 the same of the player on all boards
--          15 rules (store/lua/rules.lua), '' for none · 16 id of the review, if it comes to one
--          17 who approves that review and why (JSON), '' for a submission that is new · 18 "1" for ranks · 19 metadata
--          20 number of tiebreaks T · 21 score · T tiebreaks ·
--          then per standings: period id, expires_at_ms ('' for never), its bit in `changed`, negative where the standings
--            are final (only an import counts there)
--          then the attempt that this is the score of, '' for none · then the board
--   reply  {"done", rate_left, rate_reset_ms, then per standings: changed, rank before, rank after, score}
--            ranks are 0 where there is none or none was asked for; rate_left is -1 without a limit
--          {"held", rate_left, rate_reset_ms} · {"broken", rule} · {"too_many_held"} · {"decided"}: not held any more
--          {"no_attempt"}: the player has no such attempt open on the board
--          {"repeat", changed bits, at_ms, season} · {"reused"}
--          {"limited", retry_after_ms, reset_ms, "board" or "player"}
--          {"doubtful", retry_after_ms}: it may have come before, and been forgotten for others
--          {"banned", ends_ms} · {"ended"}: its ban is over and to be lifted first
--          {"gone"}: standings that it would count in have expired
--          {"refused"} · {"unauthenticated"} · {"erased"} · {"merged", into} · {"maintenance"} · {"stale"} · {"closed", state}
--          {"journal_full"}
--          {"out_of_range", i}: the i-th number (0 the score, else a tiebreak) of a sum
--   cost   O(S log N) for S standings of N entries
local function submit(keys, args)
  local player, now, session, board = args[1], tonumber(args[2]), args[4], args[#args]
  local known = redis.call('HMGET', keys[1], 'state', 'created_at', 'submissions',
    session ~= '' and session or 'created_at', 'ban')
  local session_expires = session ~= '' and tonumber(known[4] or 0)
  if session_expires and session_expires <= now then return {'unauthenticated'} end
  local into = known[1] and merged_into(known[1])
  if known[1] and not into then return {'erased'} end

  local gate = read_gate(keys[2])
  local digest, epoch = args[6], tonumber(gate[4] or 0)
  local correction, approval = args[9] == 'correct', args[17] ~= ''
  local hidden = known[5]
  local banned = hidden and ban_refuses(hidden, now, correction or approval)
  if banned then return banned end
  if digest ~= '' then
    local refusal = replay_refuses(keys[5], digest, now, epoch)
    if refusal then
      -- Whoever answers a repeat needs the definition as it is.
      if refusal[1] == 'repeat' and is_stale(gate, args[7], args[8]) then return {'stale'} end
      return refusal
    end
  end
  -- Only now: what counted before its player was merged is still known by its key, and must not count once more.
  if into then return {'merged', into} end
  if args[9] == 'refused' then return {'refused'} end
  if is_stale(gate, args[7], args[8]) then return {'stale'} end
  -- An admin may correct entries and approve what is held while a board takes no submissions.
  if not correction and not approval then
    if redis.call('EXISTS', keys[3]) == 1 then return {'maintenance'} end
    if gate[3] ~= 'open' then return {'closed', gate[3]} end
  end
  if journal_is_full() then return {'journal_full'} end
  local approved_held = approval and redis.call('HGET', keys[9], args[16])
  if approval and not approved_held then return {'decided'} end

  if #digest > 16 then
    local doubtful_ms = replay_is_doubtful(keys[5], tonumber(string.sub(digest, 17)))
    if doubtful_ms then return {'doubtful', doubtful_ms} end
  end
  local rate, rate_after = {left = -1, reset_ms = 0}, nil
  if args[11] ~= '' then
    local allowed
    allowed, rate_after, rate = check_rate(keys[4], now, tonumber(args[11]), tonumber(args[12]))
    if not allowed then return {'limited', rate.retry_ms, rate.reset_ms, 'board'} end
  end
  local player_after
  if args[13] ~= '' then
    local allowed, overall
    allowed, player_after, overall = check_rate(keys[7], now, tonumber(args[13]), tonumber(args[14]))
    if not allowed then return {'limited', overall.retry_ms, overall.reset_ms, 'player'} end
  end
  local attempt, elapsed = args[#args - 1], nil
  if attempt ~= '' then
    elapsed = elapsed_of_attempt(keys[10], attempt, now, epoch)
    if not elapsed then return {'no_attempt'} end
  end

  local policy, ties, with_ranks, tiebreaks = args[9], args[10], args[18] == '1', tonumber(args[20])
  local submission = {
    score = tonumber(args[21]), tiebreaks = {}, metadata = args[19],
    achieved = args[3] == '' and now or tonumber(args[3]), stamped = args[3] ~= '',
  }
  for i = 1, tiebreaks do submission.tiebreaks[i] = tonumber(args[21 + i]) end

  -- Every standings is read and resolved before the first write: a function is atomic, not transactional.
  local steps = {}
  for i = 1, (#keys - 10) / 3 do
    local standings = standings_at(keys, 11, i)
    local bytes = redis.call('HGET', standings.entries, player)
    local before = bytes and decode_entry(bytes, tiebreaks) or nil
    local after, place = resolve(policy, before, submission, tiebreaks)
    if not after then return {'out_of_range', place} end
    local period_id, bit = args[19 + tiebreaks + 3 * i], tonumber(args[21 + tiebreaks + 3 * i])
    if submission.stamped or correction or approval then
      local kept = redis.call('ZSCORE', keys[6], period_id)
      if kept and tonumber(kept) <= now then return {'gone'} end
    end
    steps[i] = {standings = standings, before = before, after = after, bytes = bytes, period_id = period_id,
      expires_at = args[20 + tiebreaks + 3 * i], moved = not (before and same_place(before, after)), hidden = hidden,
      bit = math.abs(bit)}
    -- In what is final a ban hides nothing that is shown, and nothing shows what is hidden.
    if bit < 0 and before then
      steps[i].hidden = not redis.call('ZSCORE', standings.order, before.prefix .. player)
    end
  end

  local rules, pace, broken = args[15] ~= '' and cmsgpack.unpack(args[15]), nil, {}
  if rules then
    local refusing
    broken, refusing, pace = check_rules(rules, {
      player = player, now = now, policy = policy, submission = submission, steps = steps,
      submissions = tonumber(known[3] or 0), pace_key = keys[8], elapsed = elapsed,
    })
    local full = #broken > 0 and redis.call('HLEN', keys[9]) >= HELD_MOST
    if refusing or full then
      -- It counts as a try, so that nobody can feel for where the limit is.
      if rate_after then spend_rate(keys[4], now, rate_after) end
      if player_after then spend_rate(keys[7], now, player_after) end
      return refusing and {'broken', refusing} or {'too_many_held'}
    end
  end

  local reply, changed_bits, journaled, approved = {'done', rate.left, rate.reset_ms}, 0, {}, {}
  local place_of = hidden and rank_at or rank_of
  if #broken > 0 then
    reply[1], changed_bits = 'held', HELD_BIT
  else
    for _, step in ipairs(steps) do
      local standings, before, after, head = step.standings, step.before, step.after, encode_head(step.after)
      local rank_before = 0
      if with_ranks and before then
        rank_before = place_of(standings, ties, tiebreaks, before.score, before.prefix, player) or 0
      end
      if before and step.moved and (correction or approval or submission.stamped) then
        leave_place(standings, player, before, '', now, board, step.period_id)
      end
      if write_entry(standings, ties, tiebreaks, player, before, after, head, step.hidden) then
        begin_standings(keys[6], standings, now, board, step.period_id, step.expires_at)
      end
      if before and ties == 'dense' and not same_result(before, after, tiebreaks) then
        drop_distinct(standings, tiebreaks, before)
      end
      local changed = step.moved or before.metadata ~= after.metadata
      if changed then changed_bits = changed_bits + step.bit end
      local rank = rank_before
      if with_ranks and step.moved then
        rank = place_of(standings, ties, tiebreaks, after.score, after.prefix, player)
      end
      -- The metadata is the submission's or the one that stood there before.
      local own_metadata = after.metadata == submission.metadata and 1 or 0
      journaled[#journaled + 1] = {step.period_id, head, own_metadata + (step.hidden and 2 or 0)}
      if correction then audit_entry(step.bytes, head .. after.metadata) end
      if approval then approved[#approved + 1] = {step.period_id, step.bytes or '', head .. after.metadata} end
      reply[#reply + 1] = changed and 1 or 0
      reply[#reply + 1] = rank_before
      reply[#reply + 1] = rank
      reply[#reply + 1] = after.score
    end
  end

  if rate_after then spend_rate(keys[4], now, rate_after) end
  if player_after then spend_rate(keys[7], now, player_after) end
  if pace then keep_pace(keys[8], now, pace, #broken > 0) end
  local replay = ''
  if digest ~= '' then replay = remember_replay(keys[5], digest, changed_bits, now, tonumber(args[8]), epoch) end
  if attempt ~= '' then drop_attempt(keys[10], now, board, player, attempt) end
  if not known[2] then redis.call('HSET', keys[1], 'created_at', args[2]) end
  -- Renewed at most once a day, not by every submission.
  if session_expires and tonumber(args[5]) - session_expires > 86400000 then
    redis.call('HSET', keys[1], session, args[5])
    record('session', now, player, session, tonumber(args[5]))
  end
  if #broken > 0 then
    local held = pack_held(board, epoch, now, tonumber(args[8]), submission, rules, broken, steps)
    redis.call('HSET', keys[9], args[16], held)
    record('hold', now, player, args[16], tonumber(known[2] or now), held, replay)
    return reply
  end
  -- A correction is not counted; false leaves the number as it is.
  local count = not correction and redis.call('HINCRBY', keys[1], 'submissions', 1)
  record('submit', now, player, board, tonumber(known[2] or now), count, submission.score, submission.tiebreaks,
    submission.achieved, submission.metadata, changed_bits, replay, journaled)
  if approval then
    redis.call('HDEL', keys[9], args[16])
    record('decide', now, player, args[16], approved_held, 'approved', args[17], cmsgpack.pack(approved))
  end
  return reply
end
register_change('submit', submit, {})
