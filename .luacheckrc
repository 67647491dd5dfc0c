-- Lua 5.1 is what the modules run; the rock is for all versions.
std = "lua51"
max_line_length = 125
files["lua"] = { std = "min" }
files["src/policy"] = { std = "luajit" }
files["src/policy/main.lua"] = { globals = { "require" } }
files["spec"] = { std = "+busted" }
files["spec/system"] = { std = "+busted" }
files["examples"] = { globals = { "KSR" }, allow_defined_top = true }
