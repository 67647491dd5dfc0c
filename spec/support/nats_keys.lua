-- Keys and JWTs of NATS, new ones for each spec that asks (nats_keys.c says which).
local files = require "support.files"

local nats_keys = {}
local Keys = {}

-- The values that the program prints, by name, and a folder for files of them: `folder`.
function nats_keys.make()
  local self = setmetatable({ folder = files.new_folder("nats_keys") }, { __index = Keys })
  for name, value in files.must_run(files.root .. "/build/spec/nats_keys"):gmatch("(%S+) (%S+)\n") do self[name] = value end
  return self
end

-- Writes a file that only its owner may read, and returns its path.
function Keys:file(name, text)
  local path = self.folder .. "/" .. name
  files.write(path, text)
  files.must_run("chmod 600 " .. files.quote(path))
  return path
end

-- The form that NATS's own tools write.
function Keys:creds(name, jwt, seed)
  return self:file(name, ("-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n"
    .. "-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n"):format(jwt, seed))
end

-- For nats-server: users of the account, known by the operator's signature.
function Keys:operator_conf()
  local operator = self:file("operator.jwt", self.operator_jwt)
  return ("operator: %q\nresolver: MEMORY\nresolver_preload: { %s: %s }"):format(operator, self.account, self.account_jwt)
end

return nats_keys
