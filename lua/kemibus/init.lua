--- kemibus: the policies of the Kamailio modules kazoo and nats, and their helpers, for plain Lua.
--
--     local kemibus = require "kemibus"
--     kemibus.routes.event_key({ ["Event-Category"] = "presence" }, {})
--
-- Each part is loaded on first use: `routes`, `routing_key`, `json`, `kemi`, and `core`, which is written in C.
--
-- @module kemibus

local parts = { routes = true, routing_key = true, json = true, kemi = true, core = true }

return setmetatable({}, {
  __index = function(kemibus, name)
    if not parts[name] then return nil end
    local part = require("kemibus." .. name)
    rawset(kemibus, name, part)
    return part
  end,
})
