-- rock.lua -- tokens of 4 KB, in a LuaJIT program that has the rock: pieces that differ, each counted once.
--
-- The anchor is npm's tiktoken (tests/tokens installs it), which counts the same pieces in the same way.

package.path = "tests/?.lua;" .. package.path
local lib = require "bench.lib"
local files = require "support.files"
local texts_of = require "bench.texts"

local PIECE = 4096
local BAR = 1 / 20 -- of the anchor's time
local dir

local ROCK = [[
local perilune = require "perilune"
local f = assert(io.open(arg[1], "rb"))
local text, pieces = f:read "*a", {}
for at = 1, #text - %d, %d do pieces[#pieces + 1] = text:sub(at, at + %d - 1) end
perilune.tokens(pieces[1], "gpt-4o")
local sum, begun = 0, os.clock()
for i = 2, #pieces do sum = sum + (perilune.tokens(pieces[i], "gpt-4o")) end
print((os.clock() - begun) * 1e6 / (#pieces - 1), sum)
]]

local NODE = [[
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const { get_encoding } = createRequire(process.cwd() + "/tests/tokens/x.js")("tiktoken");
const e = get_encoding("o200k_base"), text = readFileSync(process.argv[2], "utf8"), pieces = [];
for (let at = 0; at < text.length - %d; at += %d) pieces.push(text.slice(at, at + %d));
e.encode(pieces[0], [], []);
let sum = 0;
const from = process.cpuUsage();
for (const p of pieces.slice(1)) sum += e.encode(p, [], []).length;
const used = process.cpuUsage(from);
console.log((used.user + used.system) / (pieces.length - 1), sum);
]]

local function measure(command)
  local time, sum = files.output(command .. " 2>&1"):match("([%d.]+)%s+(%d+)")
  return tonumber(time), sum
end

--- Pieces are cut by bytes here and by characters there, so they must be the same.
local function ascii(text) return (text:gsub("[\128-\255]", "")) end

lib.run(function()
  dir = lib.folder()
  local rock, node = dir .. "/rock.lua", dir .. "/node.mjs"
  files.write(rock, ROCK:format(PIECE, PIECE, PIECE))
  files.write(node, NODE:format(PIECE, PIECE, PIECE))
  local small = { texts_of.small() }
  local kinds = { { "english", small[1] }, { "code", small[3] }, { "json", small[4] } }
  for _, k in ipairs(kinds) do
    local kind, text = k[1], ascii(k[2])
    if #text > 8 * PIECE then
      files.write(dir .. "/" .. kind, text)
      local mine, sum = measure("LUA_CPATH=build/rock/?.so luajit " .. rock .. " " .. dir .. "/" .. kind)
      local anchor, same = measure("node " .. node .. " " .. dir .. "/" .. kind)
      assert(mine, "the rock did not count")
      if anchor then assert(sum == same, "they count differently: " .. sum .. ", " .. same) end
      lib.figure("rock: tokens of 4 KB of " .. kind, mine, "us", anchor, BAR, true)
      if not anchor then lib.note("no anchor: node, or tiktoken in tests/tokens (make tokens), is not there") end
    end
  end
end)
