-- anchor.lua -- nginx, the yardstick: plain, and with the same decision in Lua; to upstreams
-- in the clear, or over TLS with proxy_ssl_verify.
--
-- Debian's lua module wants the fork luajit2, which cannot be installed beside
-- libluajit-5.1-dev.  So its packages are only unpacked into build/anchor/ and
-- found there by load_module and LD_LIBRARY_PATH; nothing of the system changes.
-- Where that fails, M.has_lua() says why and benchmarks compare with plain nginx.

local files = require "support.files"
local net = require "support.net"
local loop = require "support.loop"
local proc = require "support.proc"
local server = require "support.server"

local M = {}

local FOLDER = "build/anchor"
local PACKAGES = "libnginx-mod-http-lua libnginx-mod-http-ndk libluajit2-5.1-2 "
  .. "libluajit2-5.1-common lua-resty-core lua-resty-lrucache lua-cjson libpcre3"

local function here() return files.lines("pwd")() end
local function exists(path)
  local f = io.open(path, "rb")
  if f then f:close() end
  return f ~= nil
end

local function found(pattern) return files.lines("find " .. FOLDER .. "/root -path '" .. pattern .. "' 2>/dev/null")() end

--- The parts that were unpacked, or nil and why not.
function M.has_lua()
  if not proc.which("nginx") then return nil, "there is no nginx" end
  if not (found("*/ngx_http_lua_module.so") and found("*/libpcre.so.3")) then
    if not proc.which("apt-get") then return nil, "there is no apt-get to fetch the lua module" end
    os.execute(("mkdir -p %s && cd %s && apt-get download %s >/dev/null 2>&1 && "
      .. "for d in *.deb; do dpkg -x \"$d\" root; done"):format(FOLDER, FOLDER, PACKAGES))
  end
  local parts = {
    lua = found("*/ngx_http_lua_module.so"), ndk = found("*/ndk_http_module.so"),
    jit = found("*/libluajit-5.1.so.2"), cjson = found("*/lua/5.1/cjson.so"),
    pcre = found("*/libpcre.so.3"), core = found("*/lua/5.1/resty/core.lua") or found("*/resty/core.lua"),
  }
  for _, name in ipairs({ "lua", "ndk", "jit", "cjson", "pcre", "core" }) do
    if not parts[name] then return nil, "the nginx lua module could not be unpacked (" .. name .. ")" end
    parts[name] = here() .. "/" .. parts[name]
  end
  return parts
end

local CONFIG = [[
daemon off; master_process off; error_log %(dir)s/error.log; pid %(dir)s/pid;
%(load)s
events { worker_connections 12000; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s;
  client_body_temp_path %(dir)s/body; proxy_temp_path %(dir)s/proxy;
  fastcgi_temp_path %(dir)s/f; uwsgi_temp_path %(dir)s/u; scgi_temp_path %(dir)s/s;
  client_body_buffer_size 128k;
  upstream small { server 127.0.0.1:%(upstream)d; keepalive 5000; keepalive_requests 1000000000; }
  upstream big   { server 127.0.0.1:%(upstream)d; keepalive 5000; keepalive_requests 1000000000; }
  %(http)s
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
    location / {
      %(location)s
      proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
      %(ssl)s
    }
  }
}
]]

-- The decision of policies/route.lua: how long is the conversation, which upstream,
-- its model instead of the client's.
local DECISION = [[
      set $to "";
      access_by_lua_block {
        ngx.req.read_body()
        local body = cjson.decode(ngx.req.get_body_data())
        local size = 0
        for _, m in ipairs(body.messages) do
          if type(m.content) == "string" then size = size + #m.content end
        end
        if size / 4 < 400 then
          ngx.var.to, body.model = "small", "small-model"
        else
          ngx.var.to, body.model = "big", "big-model"
        end
        ngx.req.set_body_data(cjson.encode(body))
      }
      proxy_pass %(scheme)s://$to;
]]

local SSL = [[
      proxy_ssl_verify on; proxy_ssl_trusted_certificate %(ca)s;
      proxy_ssl_name localhost; proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3;
]]

local function interpolate(text, vars)
  return (text:gsub("%%%((%w+)%)([sd])", function(name) return tostring(vars[name]) end))
end

-- upstream: of bench.upstream() or bench.tls_upstream().
local function start(dir, upstream, vars, env)
  vars.port, vars.upstream = net.free_port(), upstream.port
  vars.scheme = upstream.ca and "https" or "http"
  vars.ssl = upstream.ca and interpolate(SSL, { ca = here() .. "/" .. upstream.ca }) or ""
  dir = dir .. "/nginx-" .. vars.port
  os.execute("mkdir -p '" .. dir .. "'")
  vars.dir = dir
  vars.location = interpolate(vars.location, vars)
  files.write(dir .. "/nginx.conf", interpolate(CONFIG, vars))
  local p = proc.spawn({ proc.which("nginx"), "-c", dir .. "/nginx.conf", "-p", dir, "-e", dir .. "/error.log" },
    { output = dir .. "/nginx.out", env = env })
  local up = loop.until_true(5, function()
    if not p:alive() then return "dead" end
    local conn = net.connect(vars.port, 1)
    if conn then conn:close() end
    return conn and "up"
  end)
  if up ~= "up" then
    local said = p:text()
    p:stop()
    return nil, "nginx did not start: " .. said
  end
  return { port = vars.port, pid = p.pid, stop = function() p:stop() end }
end

--- nginx that only forwards.
function M.plain(dir, upstream)
  if not proc.which("nginx") then return nil, "there is no nginx" end
  return start(dir, upstream, { load = "", http = "", location = "proxy_pass %(scheme)s://small;" })
end

-- What policies/cache_exact.lua does: an answer is kept under the hash of its question, and given again.
local CACHE = [[
      proxy_set_header Accept-Encoding ""; proxy_pass %(scheme)s://small;
      access_by_lua_block {
        ngx.req.read_body()
        local key = ngx.md5_bin(ngx.req.get_body_data())
        local answer = ngx.shared.answers:get(key)
        if not answer then ngx.ctx.key, ngx.ctx.pieces = key, {} return end
        ngx.header["Content-Type"], ngx.header["Content-Length"] = "application/json", #answer
        ngx.header["X-Cache"] = "hit"
        ngx.print(answer)
        return ngx.exit(200)
      }
      body_filter_by_lua_block {
        local key, pieces = ngx.ctx.key, ngx.ctx.pieces
        if not key then return end
        pieces[#pieces + 1] = ngx.arg[1]
        if ngx.arg[2] and ngx.status == 200 then ngx.shared.answers:set(key, table.concat(pieces), 3600) end
      }
]]

--- nginx that decides like the route policy.
function M.lua(dir, upstream) return M.lua_at(dir, upstream, "", DECISION) end

--- nginx that answers again out of a shared dictionary.
function M.cache(dir, upstream) return M.lua_at(dir, upstream, "lua_shared_dict answers 64m;", CACHE) end

--- With these directives of http, and of the location.
function M.lua_at(dir, upstream, http, location)
  local parts, why = M.has_lua()
  if not parts then return nil, why end
  local load = ("load_module %s;\nload_module %s;"):format(parts.ndk, parts.lua)
  local paths = ('lua_package_path "%s/?.lua;;";\n  lua_package_cpath "%s/?.so;;";\n  '
    .. 'init_by_lua_block { cjson = require "cjson" }'):format(
    parts.core:match("^(.*)/resty/core%.lua$"), parts.cjson:match("^(.*)/cjson%.so$"))
  return start(dir, upstream, { load = load, http = paths .. "\n  " .. http, location = location },
    { LD_LIBRARY_PATH = parts.jit:match("^(.*)/[^/]+$") .. ":" .. parts.pcre:match("^(.*)/[^/]+$") })
end

M.exists = exists
return M
