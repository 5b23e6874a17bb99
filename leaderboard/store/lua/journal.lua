-- The journal: a stream of everything that changed, written in the same step as the change.
--
-- Its ids are 1-1, 1-2, 1-3, …: consecutive, so that its reader notices when one is missing or comes twice. A record is
-- one field, a MessagePack array that begins with its kind and when it happened, and says how things stand after the
-- change. leaderboard/journal.py reads them, and is their catalogue.

-- The journal of the call that runs, and how many records it may hold.
local journal_key, journal_most

-- The act of an admin that this call is (JSON, leaderboard/audit.py), '' for none; the entry it changes, before and
-- after; and when the call wrote its last record, nil while there is none.
local admin_act, entry_before, entry_after, recorded_at

local function record(kind, at, ...)
  recorded_at = at
  redis.call('XADD', journal_key, '1-*', 'r', cmsgpack.pack({kind, at, ...}))
end

-- Registers a function that changes what is to be kept. Every such function is given the journal as its last key, and as
-- its last arguments the most records the journal may hold and the act of an admin that it is, '' for none. Whatever it
-- records is followed by that act, in the same step. It may reply, before anything else is looked at,
--   {"lost"}  the store is not, or no longer, one that was claimed: it was emptied, or is being rebuilt
-- and, where it asks journal_is_full, {"journal_full"}.
local function register_change(name, callback, flags)
  register(name, function(keys, args)
    admin_act, journal_key = table.remove(args), table.remove(keys)
    journal_most = tonumber(table.remove(args))
    if redis.call('EXISTS', journal_key) == 0 then return {'lost'} end
    entry_before, entry_after, recorded_at = '', '', nil
    local reply = callback(keys, args)
    if admin_act ~= '' and recorded_at then record('audit', recorded_at, admin_act, entry_before, entry_after) end
    return reply
  end, flags)
end

-- What takes something away does not ask: it must be possible always, and it is little.
local function journal_is_full()
  return redis.call('XLEN', journal_key) >= journal_most
end

-- What an admin's act makes of an entry: packed, false or nil where there is none.
local function audit_entry(before, after)
  entry_before, entry_after = before or '', after or ''
end

-- note_act: write an act into the audit that is not one change: an import, a rebuild.
--   args   1 now_ms
--   reply  {"noted"}
local function note_act(_, args)
  recorded_at = tonumber(args[1])
  return {'noted'}
end
register_change('note_act', note_act, {'allow-oom'})
