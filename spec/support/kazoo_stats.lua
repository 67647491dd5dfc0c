-- What the specs of kazoo's statistics share.
local stats = require "support.stats"

local kazoo_stats = {}

-- Routes for requests that nobody takes; amqp_query_timeout_avp is $avp(ms).
kazoo_stats.ask_nobody = [[kazoo_query("", "unanswered", "{}");]]
kazoo_stats.ask_nobody_briefly = [[$avp(ms) = 300; kazoo_query("", "unanswered", "{}");]]

-- Levels and not counts: they have specs of their own.
local levels = { outbox_bytes_high = true, query_us_p50 = true, query_us_p90 = true, query_us_p99 = true }

-- Waits until the action has moved exactly these numbers of kazoo.stats by so much.
function kazoo_stats.moves(server, expected, action, ...)
  stats.moves(server, "kazoo.stats", levels, expected, action, ...)
end

-- For the body of mod_init: a subscription to a durable topic exchange, with these fields more.
function kazoo_stats.subscribe(fields)
  return ([[kazoo_subscribe("{'type':'topic', 'durable':1, 'auto_delete':0, %s}");]]):format(fields)
end

return kazoo_stats
