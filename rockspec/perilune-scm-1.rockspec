-- For `luarocks make rockspec/perilune-scm-1.rockspec` in a checkout.  It installs the
-- program; policies run inside of it and need no rock of their own.
rockspec_format = "3.0"
package = "perilune"
version = "scm-1"

-- `luarocks make` builds the checkout it runs in and does not fetch this.
source = {
  url = "git+file://.",
}

description = {
  summary = "A runtime that makes LLM applications faster and cheaper, with policies in Lua",
  detailed = [[
    Perilune stands between clients that speak OpenAI's HTTP API and the servers that
    answer.  It streams, and runs policies written in Lua on each request: routing,
    retries, fallbacks, timeouts, keys, or your own.  Policies reload without dropping
    a request.
  ]],
  license = "Apache-2.0",
}

supported_platforms = { "linux" }

dependencies = {
  "lua == 5.1", -- LuaJIT 2.1; the program links its library
}

external_dependencies = {
  LUAJIT = { header = "luajit-2.1/luajit.h" },
  LIBUV = { header = "uv.h" },
  CURL = { header = "curl/curl.h" },
  OPENSSL = { header = "openssl/ssl.h" },
}

build = {
  type = "make",
  build_target = "all",
  build_variables = { CC = "$(CC)" },
  install_target = "install",
  install_variables = { PREFIX = "$(PREFIX)" },
}
