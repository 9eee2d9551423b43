-- tokens.lua -- counting tokens: speed by kind of text, the worst cases, opening.
--
-- The texts are those of texts.lua, small and mixed.  Other ones instead of the small:
--
--   ENGLISH=FILE CHINESE=FILE CODE=FILE JSON=FILE tests/bench/run.sh tokens
--
-- The anchor is tiktoken (tests/tokens installs it), on the first 300 kB of the same.

package.path = "tests/?.lua;" .. package.path
local lib = require "bench.lib"
local files = require "support.files"
local texts_of = require "bench.texts"

local PROGRAM = "build/release/bench_tokens"
local dir

local function write(name, text)
  local path = dir .. "/" .. name
  files.write(path, text)
  return path
end

-- -- Anchor ---------------------------------------------------------------------------------

local function tiktoken(path)
  local script = write("anchor.mjs", ([[
    import { createRequire } from "node:module";
    import { readFileSync } from "node:fs";
    const { get_encoding } = createRequire(process.cwd() + "/tests/tokens/x.js")("tiktoken");
    const e = get_encoding("o200k_base"), t = readFileSync("%s", "utf8").slice(0, 300000);
    e.encode(t.slice(0, 1000), [], []);
    const from = process.cpuUsage();
    e.encode(t, [], []);
    const used = process.cpuUsage(from);
    console.log((used.user + used.system) * 1000 / Buffer.byteLength(t));]]):format(path))
  return tonumber((files.output("node " .. script .. " 2>/dev/null")))
end

-- -- Figures ---------------------------------------------------------------------------------

local KINDS = { "english", "chinese", "code", "json" }
local BARS = { english = 170, chinese = 60, code = 140, json = 200 } -- MB/s

lib.run(function()
  lib.build(PROGRAM)
  dir = lib.folder()
  local texts, worst, paths = {}, {}, {}
  local function add(list, name, bar, path)
    list[#list + 1] = { name, path, bar }
    paths[#paths + 1] = path
  end
  local small, mixed = { texts_of.small() }, { texts_of.mixed(1e7) }
  for i, kind in ipairs(KINDS) do
    add(texts, kind, BARS[kind], os.getenv(kind:upper()) or write(kind, small[i]))
  end
  for i, kind in ipairs(KINDS) do
    if mixed[i] == "" then print(("no 1 MB of %s lies on this machine: not measured"):format(kind))
    else add(texts, kind .. ", mixed", BARS[kind], write("mixed_" .. kind, mixed[i])) end
  end
  add(worst, "64 KB of 'a'", 5, write("a", ("a"):rep(65536)))
  add(worst, "64 KB of random letters", 5, write("letters", texts_of.letters()))
  add(worst, "64 KB of one ideograph", 5, write("han", ("汉"):rep(21845)))

  local measured = {}
  for name, bytes, tokens, first, count, encode in
      files.output(PROGRAM .. " o200k_base " .. table.concat(paths, " ")):gmatch("(%S+) (%d+) (%d+) (%d+) (%d+) (%d+)\n") do
    measured[name] = { bytes = tonumber(bytes), tokens = tonumber(tokens), first = tonumber(first),
                       count = tonumber(count), encode = tonumber(encode) }
  end

  for _, t in ipairs(texts) do
    local m = assert(measured[t[2]], "no figures for " .. t[2])
    local per_byte, anchor = m.count / m.bytes, tiktoken(t[2])
    lib.figure(("count %s (%.0f MB/s)"):format(t[1], 1000 / per_byte), per_byte, "ns/B", anchor, 1000 / t[3])
    lib.figure(("  for the first time (%.0f MB/s)"):format(m.bytes * 1000 / m.first), m.first / m.bytes, "ns/B")
    lib.figure(("  encode (%.0f MB/s)"):format(m.bytes * 1000 / m.encode), m.encode / m.bytes, "ns/B")
  end
  for _, t in ipairs(worst) do
    local m = measured[t[2]]
    lib.figure(t[1], m.count / 1e6, "ms", nil, t[3])
    lib.figure("  for the first time", m.first / 1e6, "ms", nil, t[3])
  end
  lib.figure("open o200k_base", measured.open.first / 1e6, "ms", nil, 2)
end)
