-- The module `perilune` for programs that run in LuaJIT:
--
--   luarocks make rockspec/perilune-scm-1.rockspec                      installs it from a checkout
--   luarocks make --pack-binary-rock rockspec/perilune-scm-1.rockspec   makes a .rock, for `luarocks install FILE.rock`
--
-- The program is installed by `make install`; policies run inside of it and need no rock.
rockspec_format = "3.0"
package = "perilune"
version = "scm-1"

-- `luarocks make` builds the checkout it runs in and does not fetch this.
source = {
  url = "git+file://.",
}

description = {
  summary = "Tokens, prompts, caches and streaming calls of language models, for LuaJIT programs",
  detailed = [[
    Counts tokens exactly and fast, makes prompts shorter, keeps what others said, parses
    event streams, and calls language models: in a loop of its own, in which everything
    that waits looks like a plain call.  The same library that Perilune's policies use.
  ]],
  license = "Apache-2.0",
}

supported_platforms = { "linux" }

dependencies = {
  "lua == 5.1", -- LuaJIT 2.1, that is: the module needs what Lua 5.1 by itself has not
}

-- What is needed for building pkg-config finds, also where distributions keep headers apart by architecture; the Makefile
-- says what is missing.

build = {
  type = "make",
  build_target = "rock-stripped",
  build_variables = { CC = "$(CC)", CFLAGS = "$(CFLAGS)" },
  install_pass = false,
  install = {
    lib = { perilune = "build/rock/stripped/perilune.so" },
    lua = { ["perilune.meta"] = "lua/perilune/meta.lua" }, -- for editors: LuaCATS
  },
}
