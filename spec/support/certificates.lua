-- Certificates for a spec, made by the program openssl.
local files = require "support.files"

local certificates = {}
local Authority = {}
Authority.__index = Authority

local function openssl(folder, ...)
  files.must_run(("cd %s && openssl %s"):format(files.quote(folder), files.quote_all { ... }))
end

local function request(folder, name, ...)
  openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" .. name,
    "-keyout", name .. ".key", ...)
end

-- An authority with its files in a new folder that any user may read: {folder, file = the path of its certificate}.
function certificates.authority(name)
  local folder = files.must_run("mktemp -d /tmp/kemibus-spec-XXXXXX"):match("%S+")
  files.must_run("chmod 755 " .. folder)
  request(folder, name, "-x509", "-days", "1", "-out", name .. ".pem")
  return setmetatable({ name = name, folder = folder, file = ("%s/%s.pem"):format(folder, name) }, Authority)
end

-- issue(name, {san = "IP:127.0.0.1", days = 1}): the paths of certificate and key. With days = -1 it has expired.
function Authority:issue(name, options)
  request(self.folder, name, "-out", name .. ".csr")
  files.write(("%s/%s.ext"):format(self.folder, name), "subjectAltName=" .. (options.san or "DNS:" .. name) .. "\n")
  openssl(self.folder, "x509", "-req", "-in", name .. ".csr", "-CA", self.name .. ".pem", "-CAkey", self.name .. ".key",
    "-CAcreateserial", "-days", options.days or 1, "-extfile", name .. ".ext", "-out", name .. ".pem")
  files.must_run("chmod 644 " .. files.quote(self.folder) .. "/*")
  return ("%s/%s.pem"):format(self.folder, name), ("%s/%s.key"):format(self.folder, name)
end

-- The path of a copy of a key that has a passphrase.
function Authority:encrypt(key)
  openssl(self.folder, "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", key .. ".secret")
  files.must_run("chmod 644 " .. files.quote(key .. ".secret"))
  return key .. ".secret"
end

function Authority:remove() files.must_run("rm -rf " .. self.folder) end

return certificates
