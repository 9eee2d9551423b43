-- tokens.lua -- counting tokens: speed by kind of text, the worst cases, opening.
--
-- English and code are this project's own files; Chinese and chat JSON are made from a
-- few hundred words, so they repeat more than real ones do.  Real texts:
--
--   ENGLISH=FILE CHINESE=FILE CODE=FILE JSON=FILE tests/bench/run.sh tokens
--
-- The anchor is tiktoken (tests/tokens installs it), on the first 300 kB of the same.

package.path = "tests/?.lua;" .. package.path
local lib = require "bench.lib"
local files = require "support.files"

local PROGRAM = "build/release/bench_tokens" -- make bench builds it
local dir

local function write(name, text)
  local path = dir .. "/" .. name
  files.write(path, text)
  return path
end

-- -- Texts --------------------------------------------------------------------------------

local function all(pattern) return files.output("cat " .. pattern .. " 2>/dev/null") end
local function at_least(text, size) return text:rep(math.ceil(size / #text)) end

local seed = 1
local function below(n)
  seed = (seed * 16807) % 2147483647
  return seed % n
end

local WORDS = "我们 的 是 在 人工智能 模型 可以 使用 数据 系统 用户 请求 时间 问题 方法 处理 一个 这个 没有 因为 所以 但是 如果 需要 "
  .. "进行 通过 服务器 程序 语言 中国 世界 发展 技术 公司 工作 生活 学习 研究 结果 内容 信息 网络 平台 开发 测试 运行 性能 提高 降低 "
  .. "成本 质量 安全 管理 设计 实现 功能 接口 缓存 响应 延迟 并发 配置 文档 代码 项目 团队 经验 建议 非常 已经 还是 或者 以及 关于 "
  .. "今天 昨天 明年 第一 第二 最后 首先 然后 例如 比如 其中 之间 之后 以前 现在 将来 北京 上海 电脑 手机 软件 硬件 互联网 算法"
local words = {}
for w in WORDS:gmatch("%S+") do words[#words + 1] = w end
local MARKS = { "，", "，", "，", "。", "。\n", "；", "：", "、" }
local function chinese(size)
  local out, n = {}, 0
  while n < size do
    for _ = 1, 2 + below(6) do
      local w = words[1 + below(#words)]
      out[#out + 1] = w
      n = n + #w
    end
    out[#out + 1] = MARKS[1 + below(#MARKS)]
  end
  return table.concat(out)
end
local function chats(english, size)
  local out, n = {}, 0
  while n < size do
    local from = 1 + below(#english - 600)
    local text = english:sub(from, from + 100 + below(500)):gsub("[^\32-\126]", " "):gsub('[\\"]', "\\%0")
    local line = ('{"model":"gpt-4o","messages":[{"role":"system","content":"You are a helpful assistant."},'
      .. '{"role":"user","content":"%s"}],"temperature":0.%d,"stream":true}\n'):format(text, below(100))
    out[#out + 1], n = line, n + #line
  end
  return table.concat(out)
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

lib.run(function()
  dir = lib.folder()
  local english = all("README.md core/README.md policies/README.md tests/wire/README.md LICENSE")
  local texts = {
    { "english", os.getenv("ENGLISH") or write("english", at_least(english, 2e6)), 170 },
    { "chinese", os.getenv("CHINESE") or write("chinese", chinese(2e6)), 60 },
    { "code", os.getenv("CODE") or write("code", all("core/*/*.c core/*/*.h lua/perilune/*.lua")), 140 },
    { "json", os.getenv("JSON") or write("json", chats(english, 2e6)), 200 },
  }
  local letters = {}
  for i = 1, 65536 do letters[i] = string.char(97 + below(26)) end
  local worst = {
    { "64 KB of 'a'", write("a", ("a"):rep(65536)) },
    { "64 KB of random letters", write("letters", table.concat(letters)) },
    { "64 KB of one ideograph", write("han", ("汉"):rep(21845)) },
  }

  local paths = {}
  for _, t in ipairs(texts) do paths[#paths + 1] = t[2] end
  for _, t in ipairs(worst) do paths[#paths + 1] = t[2] end
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
    lib.figure(("%s (%.1f ms the first time)"):format(t[1], m.first / 1e6), m.count / 1e6, "ms", nil, 5)
  end
  lib.figure("open o200k_base", measured.open.first / 1e6, "ms", nil, 2)
end)
