-- luarocks make rockspec/kemibus-scm-1.rockspec [--tree DIR] [--lua-version 5.1]
package = "kemibus"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "The policies of the Kamailio modules kazoo and nats, for plain Lua",
  detailed = [[
    Event keys, route names, routing keys and JSON paths, as the message-bus modules for Kamailio use them: to write
    policies and KEMI scripts, and to test them without Kamailio.]],
  license = "GPL-2.0-or-later",
}
-- lua-cjson is needed too, but is not listed: distributions package it for Lua itself (Debian: lua-cjson), where
-- luarocks does not see it and would download and build another one. Without such a package: luarocks install lua-cjson
dependencies = { "lua >= 5.1" }
-- of util-linux; Debian: uuid-dev
external_dependencies = { UUID = { header = "uuid/uuid.h", library = "uuid" } }
build = {
  type = "builtin",
  modules = {
    ["kemibus"] = "lua/kemibus/init.lua",
    ["kemibus.json"] = "lua/kemibus/json.lua",
    ["kemibus.kemi"] = "lua/kemibus/kemi.lua",
    ["kemibus.routes"] = "lua/kemibus/routes.lua",
    ["kemibus.routing_key"] = "lua/kemibus/routing_key.lua",
    ["kemibus.core"] = {
      sources = {
        "src/rock/core.c", "src/rock/ring.c", "src/core/buf.c", "src/core/json.c", "src/core/json_rewrite.c",
        "src/core/json_copy.c", "src/core/json_scan.c", "src/core/json_unique.c", "src/core/headers.c", "src/core/message.c", "src/core/number.c", "src/core/ring.c",
        "src/core/assert.c", "src/core/log.c", "src/core/routing_key.c", "src/core/uuid.c",
      },
      defines = { "_GNU_SOURCE" },
      incdirs = { "src", "$(UUID_INCDIR)" },
      libdirs = { "$(UUID_LIBDIR)" },
      libraries = { "uuid" },
    },
  },
}
