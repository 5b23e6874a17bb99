-- Registers a function under its full name: @PREFIX@ and @SUFFIX@ are filled in when the library is put together
-- (leaderboard/store/library.py), so that versions and installations live side by side in one store.
local function register(name, callback, flags)
  redis.register_function{function_name = '@PREFIX@_' .. name .. '_@SUFFIX@', callback = callback, flags = flags}
end
