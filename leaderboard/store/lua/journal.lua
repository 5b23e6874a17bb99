-- The journal: a stream of everything that changed, written in the same step as the change.
--
-- Its ids are 1-1, 1-2, 1-3, …: consecutive, so that its reader notices when one is missing or comes twice. A record is
-- one field, a MessagePack array that begins with its kind and when it happened, and says how things stand after the
-- change. leaderboard/journal.py reads them, and is their catalogue.

-- The journal of the call that runs, and how many records it may hold.
local journal_key, journal_most

-- Registers a function that changes what is to be kept. Every such function is given the journal as its last key and the
-- most records the journal may hold as its last argument, and may reply, before anything else is looked at,
--   {"lost"}  the store is not, or no longer, one that was claimed: it was emptied, or is being rebuilt
-- and, where it asks journal_is_full, {"journal_full"}.
local function register_change(name, callback, flags)
  register(name, function(keys, args)
    journal_key, journal_most = table.remove(keys), tonumber(table.remove(args))
    if redis.call('EXISTS', journal_key) == 0 then return {'lost'} end
    return callback(keys, args)
  end, flags)
end

-- What takes something away does not ask: it must be possible always, and it is little.
local function journal_is_full()
  return redis.call('XLEN', journal_key) >= journal_most
end

local function record(...)
  redis.call('XADD', journal_key, '1-*', 'r', cmsgpack.pack({...}))
end
