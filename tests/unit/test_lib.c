/* test_lib.c -- the C functions that Lua calls (core/bridge/l_*.c, lib.c), one by one.
 *
 * A case is a line of Lua and what comes of it.  Each is run as it is, and then again with
 * its first, second, third ... allocation failing, once alone and once with all behind it:
 * then it gives the same, or an error that speaks of memory.  Anything else would be a
 * wrong answer.  And whatever happens, all memory is given back.
 *
 * Values of every kind, in every order, are for arguments_of_any_kind: errors are welcome
 * there, crashes are not. */
#include <stdlib.h>

#include "lua_world.h"

struct item {
    const char *code, *want;
};

/* must(): results of functions that return nil and a sentence, or a failure. */
#define PRELUDE                                                                                     \
    "local core = ...\n"                                                                            \
    "local result = core.result\n"                                                                  \
    "local function must(v, e, ...)\n"                                                              \
    "  if v == nil and e ~= nil then error(type(e) == 'table' and e.message or e, 0) end\n"         \
    "  return v, e, ...\n"                                                                          \
    "end\n"

static void open_item(struct world *w, const struct item *c) {
    static char code[4096];
    snprintf(code, sizeof(code), "%s%s", PRELUDE, c->code);
    world_open(w, code);
}

static void run_item(const struct item *c) {
    struct world w;
    long before = mem_live();
    NOTE("%s", c->code);
    open_item(&w, c);
    world_run(&w);
    CHECK_STR(world_text(&w), c->want);
    world_close(&w);
    CHECK_INT(mem_live(), before);
}

/* The same, or not for want of memory (for a larger stack newer LuaJITs call it an overflow). */
static bool is_fair(const char *text, const char *want) {
    return strcmp(text, want) == 0 || strcmp(text, "raised: ?") == 0 || strstr(text, "memory") != NULL ||
           strstr(text, "stack overflow") != NULL;
}

static void starve_item(const struct item *c, bool forever) {
    bool reached = true;
    long before = mem_live();
    for (long n = 1; reached; n += n < 100 ? 1 : n / 16) {
        struct world w;
        open_item(&w, c);
        mem_fail_at(n, forever);
        world_run(&w);
        reached = mem_fail_count() >= n;
        mem_fail_at(0, false);
        const char *text = world_text(&w);
        NOTE("allocation %ld%s: %s: %s", n, forever ? " and all behind it" : "", text, c->code);
        CHECK(reached ? is_fair(text, c->want) : strcmp(text, c->want) == 0);
        world_close(&w);
        CHECK_INT(mem_live(), before);
    }
}

static void run_items(const struct item *items) {
    for (; items->code != NULL; items++) {
        run_item(items);
        starve_item(items, false);
        starve_item(items, true);
    }
}

/* -- JSON -------------------------------------------------------------------------------- */

static const struct item json[] = {
    { "local v = must(core.json_decode('{\"a\":[1,null,\"\\\\u0041b\",{}],\"b\":[]}'))\n"
      "return v.a[1], v.a[2] == core.null, v.a[3], core.json_encode(v.b)", "1 true 'Ab' '[]'" },
    { "return core.json_decode('')", "nil 'unexpected end of text at byte 0'" },
    { "return core.json_decode('[1,]')", "nil 'value missing before a closing bracket at byte 3'" },
    { "return pcall(core.json_decode)", "false 'bad argument #1 to '?' (string expected, got no value)'" },
    { "return core.json_encode{ 1, true, 'a\\0b', core.null, core.json_array() }",
      "'[1,true,\"a\\u0000b\",null,[]]'" },
    { "return core.json_encode(0/0), core.json_encode(1/0)", "'null' 'null'" },
    { "return pcall(core.json_encode, { 1, [5] = 2 })",
      "false 'cannot encode as JSON: a list of 1 has an element [5] behind a hole; nil in a list is "
      "perilune.json.null'" },
    { "local t = {} t[1] = t return pcall(core.json_encode, t)",
      "false 'cannot encode as JSON: nested deeper than 256 (a cycle?)'" },
    { "return pcall(core.json_encode, print)", "false 'cannot encode a function as JSON'" },
    { "return pcall(core.json_array, 1)", "false 'bad argument #1 to '?' (table expected, got number)'" },
    { "local v = must(core.json_view('{\"a\":{\"x\":1},\"b\":[1,\"\\\\u0041\"],\"c\":2}'))\n"
      "v.c, v.d, v.a.x = nil, 'new', 3\n"
      "return core.json_encode(v), v.b[2], core.fields(v).d",
      "'{\"a\":{\"x\":3},\"b\":[1,\"\\u0041\"],\"d\":\"new\"}' 'A' 'new'" },
    { "local v = must(core.json_view('[[{\"a\":1}],2]')) return v[1][1].a, v[2]", "1 2" },
    { "return core.json_view('\"\\\\u0041\"')", "'A'" },
    { "return core.json_view('{')", "nil 'not valid JSON: unexpected end of text at byte 1'" },
    { "return pcall(core.fields, {})", "false 'bad argument #1 to '?' (not a JSON object)'" },
    { "local s = core.json_stream{ seek = true, max_depth = 3 }\n"
      "local a, b = must(s:feed('x {\"a\":[1,\"\\\\u0041'))  local c = must(s:feed('\",{}]}'))\n"
      "must(s:finish())\n"
      "return #a, a[1] and a[1].path, c[1] and c[1].value, s:done()", "1 '/a/0' 'A' true" },
    { "local s = core.json_stream() return s:feed('[1,}')", "nil 'a value is expected at byte 3'" },
    { "return pcall(core.json_stream, { max_depth = 0/0 })",
      "false 'perilune.json_stream: max_depth must be a whole number from 1 to 128'" },
    { "return pcall(core.json_stream, { [1] = 2 })",
      "false 'perilune.json_stream: unknown option '?'; there are max_depth, max_size, max_value, seek'" },
    { NULL, NULL },
};

TEST_NOFAULT(json_functions) { run_items(json); }

/* -- Small ones -------------------------------------------------------------------------- */

static const struct item small[] = {
    { "return core.base64_encode('Ma\\0'), core.base64_encode('M'), core.base64_encode('Ma'), core.base64_encode('')",
      "'TWEA' 'TQ==' 'TWE=' ''" },
    { "return core.base64_encode('\\251\\255\\190'), core.base64_encode('\\251\\255', 'url'), core.base64_decode('-_8', 'url')",
      "'+/++' '-_8' '\\251\\255'" },
    { "return must(core.base64_decode('TWEA')), core.base64_decode('TQ=='), core.base64_decode('TWE='), core.base64_decode('')",
      "'Ma\\0' 'M' 'Ma' ''" },
    { "return core.base64_decode('TW*A')", "nil 'not base64: another character at byte 3'" },
    { "return core.base64_decode('-_8=')", "nil 'not base64: another character at byte 1'" },
    { "return core.base64_decode('TQ')", "nil 'not base64: the text is cut off or its padding is wrong at byte 3'" },
    { "return core.base64_decode('TR==')", "nil 'not base64: bits are left over at byte 2'" },
    { "return core.base64_decode('TW E')", "nil 'not base64: another character at byte 3'" },
    { "return pcall(core.base64_encode, 'x', 'uri')", "false 'bad argument #2 to '?' (invalid option 'uri')'" },
    { "return core.base64_decode(core.base64_encode(('\\255x'):rep(50000))) == ('\\255x'):rep(50000)", "true" },
    { "return core.url_encode('a b/\\195\\164~-._9?'), core.url_encode('a b+', 'form'), core.url_decode('a%20b%2f+%C3%A4')",
      "'a%20b%2F%C3%A4~-._9%3F' 'a+b%2B' 'a b/+\\195\\164'" },
    { "return core.url_decode('a+b%2B', 'form'), core.url_decode('%zz')", "'a b+' nil 'a % without two hexadecimal digits at byte 1'" },
    { "return core.url_decode('x%4')", "nil 'a % without two hexadecimal digits at byte 2'" },
    { "return core.hmac_sha256('key', 'The quick brown fox jumps over the lazy dog')",
      "'f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8'" },
    { "return #core.hmac_sha256('', '', 'raw'), core.hmac_sha256('', '')",
      "32 'b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad'" },
    { "return core.date(784111777), core.date(784111777.9, 'iso'), core.date(0), core.date(253402300799, 'iso')",
      "'Sun, 06 Nov 1994 08:49:37 GMT' '1994-11-06T08:49:37Z' 'Thu, 01 Jan 1970 00:00:00 GMT' '9999-12-31T23:59:59Z'" },
    { "return pcall(core.date, -1), pcall(core.date, 0/0)", "false false 'bad argument #1 to '?' (must be seconds since 1970, up to the year 9999)'" },
    { "local req = must(core.new_request('POST', '/v1/chat/completions', {}, '{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}'))\n"
      "local res = must(result(core.scripted(req, 'up', { { '{\"choices\":[]}', 0 } }, 0, 'application/json')))\n"
      "req = nil collectgarbage() collectgarbage()\n" /* the question goes first */
      "local other = core.respond{ text = 'x' }\n"
      "res = nil collectgarbage() collectgarbage()\n"
      "return other.status", "200" },
    { "return core.sha256('a\\0b')", "'59b271ae1bbcb1d31d41929817f4b16fb439eb4f31520b5ad1d5ce98920a7138'" },
    { "return core.env('PERILUNE_NO_SUCH_NAME'), core.env('')", "nil nil" },
    { "return core.now() >= 0, core.random() < 1", "true true" },
    { "core.log('info', 'text', { a = 1 }) return 1", "1" },
    { "return pcall(core.log, 'loud', 'x')",
      "false 'bad argument #1 to '?' (must be \"error\", \"warn\", \"info\" or \"debug\")'" },
    { "return core.upstreams(), core.health('nobody'), core.health('up').healthy", "{'up',} nil true" },
    { "return core.check(1, nil, 'x')", "1 nil 'x'" },
    { "return #core.policy_names() > 5, #must(core.policy_source('retry')) > 100", "true true" },
    { "return core.policy_source('../retry')", "nil ''../retry' is not the name of a policy or module (letters, digits, _ and -, dots for folders)'" },
    { "return (select(2, core.policy_source('none'))):find('no policy or module') ~= nil", "true" },
    { NULL, NULL },
};

TEST_NOFAULT(small_functions) { run_items(small); }

/* -- Memory of the gateway ---------------------------------------------------------------- */

static const struct item memory[] = {
    { "return core.memo_get('k')", "nil" },
    { "return core.memo_set('k\\0', ('v'):rep(200), 10, 'me'), #core.memo_get('k\\0')", "true 200" },
    { "core.memo_set('k', 'v', 10) core.memo_set('k', nil) return core.memo_get('k')", "nil" },
    { "return pcall(core.memo_set, 'k', 'v', 0/0)",
      "false 'bad argument #3 to '?' (a time to live is a number of seconds above 0)'" },
    { "return pcall(core.memo_set, 'k', 'v', -1)",
      "false 'bad argument #3 to '?' (a time to live is a number of seconds above 0)'" },
    { "local s = core.shared('x') s:set('k', ('v'):rep(200), 10) return s:get('k'):gsub('v', 'w', 1) == 'w' "
      ".. ('v'):rep(199)",
      "true" },
    { "local s = core.shared('x') s:set('', true) s:set('n\\0', -0.5) s:set('e', '')\n"
      "return s:get(''), s:get('n\\0'), s:get('e'), s:get('none')", "true -0.5 '' nil" },
    { "local s = core.shared('x') s:incr('n') s:incr('n', 2, 7) local n = s:incr('n', 2, 7) s:delete('n')\n"
      "return n, s:get('n'), s:incr('m', 2, 7)", "5 nil 9" },
    { "local s = core.shared('x') s:set('k', 'v') s:set('k') return s:get('k')", "nil" },
    { "local s = core.shared('x') return pcall(s.set, s, 'k', 1, 0/0)",
      "false 'bad argument #4 to '?' (a time to live is a number of seconds)'" },
    { "local s = core.shared('x') return pcall(s.set, s, 'k', {})",
      "false 'bad argument #3 to '?' (must be a string, a number, a boolean or nil)'" },
    { "local s = core.shared('x') s:set('k', 'v') return pcall(s.incr, s, 'k')",
      "false 'incr: the value under this key is not a number'" },
    { "local s = core.shared('x') return pcall(s.set, s, 'k', ('v'):rep(2e6))",
      "false 'perilune.shared is full (16 MiB): give entries a time to live'" },
    { "return pcall(core.shared, 'a\\0b')", "false 'bad argument #1 to '?' (must be a name without NUL bytes)'" },
    { "return pcall(core.shared('x').get, {}, 'k')",
      "false 'bad argument #1 to '?' (perilune.shared expected, got table)'" },
    { NULL, NULL },
};

TEST_NOFAULT(memory_functions) { run_items(memory); }

/* -- Texts ------------------------------------------------------------------------------- */

static const struct item texts[] = {
    { "local t = must(core.text_spans('see https://a.b/c or 12 kg', { types = { 'url', 'number' }, merge = true }))\n"
      "return #t, t[1].first, t[1].last, t[1].type", "2 5 17 'url'" },
    { "return core.text_spans('\\255')", "nil 'the text is not UTF-8 (byte 1)'" },
    { "return pcall(core.text_spans, 'x', { types = { 'none' } })", "false ''none' is no type of span'" },
    { "return pcall(core.text_spans, 'x', { types = { {} } })", "false ''table' is no type of span'" },
    { "return core.text_spans(('x'):rep(2^20 + 1))",
      "nil 'the text has 1048577 bytes, the limit is 1048576: take it in parts'" },
    { "local list, kinds = must(core.text_sentences('One. Two?\\n\\n- three')) return list, kinds",
      "{'One. ','Two?\\10\\10','- three',} {'sentence','sentence','item',}" },
    { "return core.text_sentences('')", "{} {}" },
    { "local r = must(core.text_rank({ 'a cat', 'a dog', '' }, 'dog')) return r[1] == 0, r[2] > 0, #r",
      "true true 3" },
    { "return core.text_rank({})", "{}" },
    { "return pcall(core.text_rank, { 'a', 1 })", "false 'element 2 is a number, not a string'" },
    { "return pcall(core.text_rank, { 'a\\255' })", "false 'element 1 is not UTF-8'" },
    { "return core.text_rank({ 'a' }, '\\255')", "nil 'the question is not UTF-8'" },
    { "local t, info = must(core.text_extract('One cat. One dog.\\n\\nA third one about dogs.', 'dog', { "
      "ratio = 0.5, pieces = true }))\n"
      "return #t > 0, info.before >= info.after, #info.pieces == info.units", "true true true" },
    { "return pcall(core.text_extract, 'x', nil, { ratio = 0/0 })", "false ''ratio' must be a number from 0 to 1'" },
    { "return pcall(core.text_extract, 'x', nil, { min_tokens = -1 })",
      "false ''min_tokens' must be a number from 0 to 1000000000'" },
    { "local t, n = must(core.text_dedupe(('the very same line of text\\n'):rep(9), { min_bytes = 4, mark = "
      "true })) return #t < 200, n.lines",
      "true 8" },
    { "return core.text_minify_json('[ 1, {\"a\" : 2} ]')", "'[1,{\"a\":2}]'" },
    { "return core.text_minify_json('[')", "nil 'unexpected end of text at byte 2'" },
    { "return core.text_json_lines('{\"a\":[1,{\"b\":2}]}')", "'a: 1\\10b: 2\\10'" },
    { "return core.text_strip_ansi('\\27[1mx\\27[0m\\0')", "'x'" },
    { "return core.text_elide_base64('x', { min = 50 })", "'x' 0" },
    { "return pcall(core.text_elide_base64, 'x', { min = 'y' })",
      "false ''min' must be a number from 0 to 1000000000'" },
    { "local rules, n = core.trim_rules{ start = { 'please' }, tail = { 'thanks' } }\n"
      "local t, cuts = must(core.trim(rules, 'Please say why. Thanks', true, true)) return n, t, #cuts",
      "2 'say why. Thanks' 1" },
    { "return core.trim(core.trim_rules{}, 'x\\255')", "nil 'the text is not valid UTF-8'" },
    { "return pcall(core.trim_rules, { start = 'x' })", "false ''start' must be a list of patterns'" },
    { "return pcall(core.trim_rules, { start = { 5 } })", "false ''start': pattern 1 is not a string'" },
    { "return pcall(core.trim_rules, { start = { '(' } })",
      "false ''start': pattern \"(\" has a bracket that is not closed'" },
    { "return pcall(core.trim, {}, 'x')",
      "false 'bad argument #1 to '?' (perilune.trim_rules expected, got table)'" },
    { NULL, NULL },
};

TEST_NOFAULT(text_functions) { run_items(texts); }

/* -- Tokens ------------------------------------------------------------------------------- */

static const struct item tokens[] = {
    { "return core.tokens('hello world\\0', 'gpt-4o')", "3 true" },
    { "return core.tokens('')", "0 false" },
    { "return core.tokens('hello world', 'up', false, 0)", "1 false" },
    { "return core.tokens('a\\255', 'gpt-4o')", "nil 'the text is not UTF-8: byte 1'" },
    { "return core.tokens('a\\255', 'gpt-4o', true)", "2 true" },
    { "return pcall(core.tokens, 'a', nil, false, 0/0)",
      "false 'bad argument #4 to '?' (a limit is a number of tokens, 0 or more)'" },
    { "return core.truncate('hello world and more', 2, 'gpt-4o')", "'hello world' true" },
    { "return core.truncate('hello', 1e14)", "'hello' false" },
    { "return core.truncate('\\255', 1)", "nil 'the text is not UTF-8: byte 0'" },
    { "return pcall(core.truncate, 'x', -1)", "false 'bad argument #2 to '?' (a number of tokens is 0 or more)'" },
    { "return pcall(core.truncate, 'x', 0/0)", "false 'bad argument #2 to '?' (a number of tokens is 0 or more)'" },
    { "return core.message_tokens{ role = 'user', content = 'hello' }", "5 false" },
    { "return core.message_tokens(5), core.message_tokens('x'), core.message_tokens(core.null)", "3 3 3 false" },
    { "return core.message_tokens{ role = 'user', content = 0/0 }", "4 false" },
    { "local ok, _, why = core.tokenizers{ { pattern = 'x*', vocabulary = 'cl100k_base', chat = 'chatml' } }\n"
      "must(ok, why) return core.tokens('hello', 'x1')", "1 true" },
    { "return core.tokenizers{ { pattern = 'x*', vocabulary = 'none' } }",
      "nil 'x*' 'there is no vocabulary 'none', and no file; there are cl100k_base, o200k_base and o200k_harmony'" },
    { "return core.tokenizers{ { pattern = 'x*', vocabulary = 'cl100k_base', chat = 'none' } }",
      "nil 'x*' 'there is no chat form 'none''" },
    { "return pcall(core.tokenizers, { { vocabulary = 'cl100k_base' } })",
      "false 'tokenizers: 'pattern' must be a string'" },
    { "return pcall(core.tokenizers, { { pattern = 'x' } })", "false 'tokenizers: 'vocabulary' must be a string'" },
    { "return pcall(core.tokenizers, { { pattern = 5, vocabulary = 6 } })",
      "false 'tokenizers: 'pattern' must be a string'" },
    { "return pcall(core.tokenizers, { 5 })", "false 'bad argument #2 to '?' (table expected, got number)'" },
    { "core.tokenizers{} return pcall(core.tokenizers, {})",
      "false 'tokenizers are set while a configuration is loaded'" },
    { NULL, NULL },
};

TEST_NOFAULT(token_functions) { run_items(tokens); }

/* -- Requests ------------------------------------------------------------------------------- */

static const struct item requests[] = {
    { "local r = core.request() return r.model, r.n, r.method, r.path, r.tenant, r.ctx.x, #r.messages",
      "'gpt-4o' 1000 'POST' '/v1/chat/completions' nil nil 2" },
    { "core.request() return pcall(core.request)", "false 'there is no request here'" },
    { "local r = core.request() r.model = 'other' return #must(r:body()) > 50, (r:fingerprint())",
      "true '9b16585ba5b9e18663fe94473cb522c68f73aa390bd8500824b0fb826aa5a35e'" },
    { "local r = core.request() return (r:fingerprint())",
      "'aa5abf32028aeeece469dfc66443996cb0f08d83a27ab919ace0a2f43d2c501e'" },
    { "local r = core.request() r.messages[1].content = 'new' return #r:fingerprint(), (r:tokens())", "64 13" },
    { "local r = core.request() local all, alone = r:prefixes(true) return #all, #all[0], #alone, #alone[1]",
      "2 32 2 16" },
    { "local r = core.request() return (r:tokens()), (r:tokens(3))", "13 4" },
    { "local r = core.request() return pcall(r.tokens, r, 0/0)",
      "false 'bad argument #2 to '?' (a limit is a number of tokens, 0 or more)'" },
    { "local r = core.request() r.messages = 5 return pcall(r.body, r)",
      "false 'the policy left an invalid request: 'messages' must be an array (byte 37)'" },
    { "local r = core.request() r.tenant = 'a' r.upstream = 'up' return r.tenant, r.upstream, "
      "pcall(function() r.upstream = 'x' end)",
      "'a' 'up' false '[string \"local core = ......\"]:7: unknown upstream 'x'; known: up'" },
    { "local r = core.request() return pcall(function() r.tenant = ('x'):rep(128) end)",
      "false '[string \"local core = ......\"]:7: req.tenant is longer than 127 bytes'" },
    { "local r = core.request() return pcall(function() r[5] = 1 end)",
      "false '[string \"local core = ......\"]:7: field names of a JSON object are strings'" },
    { "local r = core.request() return pcall(function() r.headers.a = 1 end)",
      "false '[string \"local core = ......\"]:7: request headers can be taken away (nil) and not be set; "
      "what goes upstream is chosen by the upstream's forward_headers and headers'" },
    { "local r = core.request() r:log('info', 'x', { a = {} }) return r:time_left()", "1000000000" },
    { "local r = core.request() r:saved{ policy = 'a', before = 10, after = 4, cost = -0.5, seconds = 1 }\n"
      "local s = r:saved() return s.tokens, s.cost", "6 -0.5" },
    { "local r = core.request() return pcall(r.saved, r, { policy = 'a', before = 0/0 })",
      "false 'req:saved: before must be a number, 0 or more'" },
    { "local r = core.request() return pcall(r.saved, r, { policy = 'a', seconds = 1e14 })",
      "false 'req:saved: seconds must be a number, 0 or more, and this is too much'" },
    { "local r = core.request() return pcall(r.saved, r, { policy = 'a', cost = 1e10 })",
      "false 'req:saved: cost is in USD: 10000000000 is too much'" },
    { "local r = core.request() return pcall(r.saved, r, { policy = 'a b' })",
      "false 'req:saved: policy must be a name: letters, digits, _ and -, at most 31'" },
    { "local r = must(core.new_request('POST', '/v1/chat/completions', { a = 'b', [1] = 2 },\n"
      "  '{\"model\":\"m\",\"messages\":[]}')) return r.model, r.headers.A, r.headers['1'], r.method",
      "raised: [string \"local core = ......\"]:7: headers of a request must map strings to strings" },
    { "local h = {} for i = 1, 150 do h['h' .. i] = 'v' end\n"
      "local r = must(core.new_request('POST', '/x', h, '{\"a\":1}')) return r.a",
      "raised: [string \"local core = ......\"]:8: a request has at most 100 headers" },
    { "return pcall(core.new_request, 'POST', '/x', { [true] = {} }, '{}')",
      "false 'headers of a request must map strings to strings'" },
    { "return must(core.new_request('POST', '/x', {}, '{}')).headers.a", "nil" },
    { "local r, e = core.new_request('POST', '/x', {}, '{') return r, e.code, e.message",
      "nil 'invalid_json' 'the body is not valid JSON: unexpected end of text at byte 1'" },
    { "local r, e = core.new_request('POST', '/v1/chat/completions', {}, '[]') return r, e.code",
      "nil 'invalid_request'" },
    { "local r = must(core.new_request('POST', '/x', {}, '[]')) return pcall(function() r.a = 1 end)", "true" },
    { "return pcall(core.request().body, {})",
      "false 'bad argument #1 to '?' (perilune.request expected, got table)'" },
    { NULL, NULL },
};

TEST_NOFAULT(request_functions) { run_items(requests); }

/* -- Responses ------------------------------------------------------------------------------- */

static const struct item responses[] = {
    { "local r = core.respond{ text = 'a\\0b', model = 'm', upstream = 'u', status = 201, usage = { "
      "prompt_tokens = 2, completion_tokens = 3 } }\n"
      "result(core.wait_end(r)) return must(core.read_text(r)), r.status, r.upstream, r.usage and "
      "r.usage.total_tokens",
      "'a\\0b' 201 'u' 5" },
    { "local r = core.respond{ chunks = { 'a', '', 'b' }, stream = true, ttft = 1, itl = 0.5 }\n"
      "local n, types = 0, ''\n"
      "while true do\n"
      "  local ev, e = core.next_event(r)\n"
      "  if ev then types = types .. ev.type .. ' ' elseif ev == false then n = n + 1 "
      "result(core.wait_event(r)) else must(ev, e) break end\n"
      "end\n"
      "return n > 0, types, core.read_text(r)", "true 'text text text text other done ' 'ab'" },
    { "return #must(core.read_raw(core.respond{})) > 50", "true" },
    { "return pcall(core.respond, { status = 0/0 })", "false 'respond: 'status' must be a number'" },
    { "return pcall(core.respond, { status = 200.5 })",
      "false 'respond: 'status' must be a whole number from 200 to 599'" },
    { "return pcall(core.respond, { ttft = -1 })", "false 'respond: 'ttft' must be a number of seconds'" },
    { "return pcall(core.respond, { text = 5 })", "false 'respond: 'text' must be a string'" },
    { "return pcall(core.respond, { chunks = 'x' })", "false 'bad argument #6 to '?' (table expected, got string)'" },
    { "return pcall(core.respond, { chunks = { 'x', 1 } })", "false 'respond: 'chunks' must hold strings'" },
    { "return pcall(core.respond, { usage = { prompt_tokens = 1/0 } })",
      "false 'respond: 'prompt_tokens' must be a number of tokens'" },
    { "return pcall(core.respond, { usage = 'x' })", "false 'respond: 'usage' must be a table'" },
    { "return pcall(core.respond, { usage = 5 })", "false 'respond: 'usage' must be a table'" },
    { "local r = core.respond{} r.headers.A = 'b' r.headers.a = 'c' r.headers['x-y'] = '1' r.headers['x-y'] = nil\n"
      "return r.headers.a, r.headers['x-y'], r.headers['content-type'], r.headers['']",
      "'c' nil 'application/json' nil" },
    { "local r = core.respond{} return pcall(function() r.headers['a b'] = 'c' end)",
      "false '[string \"local core = ......\"]:7: header 'a b' is not a header name'" },
    { "local r = core.respond{} return pcall(function() r.headers.a = 'c\\r\\nd: e' end)",
      "false '[string \"local core = ......\"]:7: header 'a' has a value with a line break or another control byte'" },
    { "local r = core.respond{} return pcall(function() r.headers.a = ('x'):rep(20000) end)",
      "false '[string \"local core = ......\"]:7: response headers are over 16 KiB'" },
    { "local r = core.respond{} r.headers.a = 'kept' pcall(function() r.headers.a = ('x'):rep(20000) end)\n"
      "r.headers.b = 'later' return r.headers.a, r.headers.b", "'kept' 'later'" },
    { "local r = core.respond{} for i = 1, 3 do r.headers.a = ('x'):rep(10000 + i) end return #r.headers.a", "10003" },
    { "local r = core.respond{} r.status = 404 return r.status, pcall(function() r.status = 600 end)",
      "404 false '[string \"local core = ......\"]:7: bad argument #3 to '__newindex' (a status is a whole "
      "number from 200 to 599)'" },
    { "local r = core.respond{} return pcall(function() r.status = 2^32 + 200 end)",
      "false '[string \"local core = ......\"]:7: bad argument #3 to '__newindex' (a status is a whole number "
      "from 200 to 599)'" },
    { "local r = core.respond{} return pcall(function() r.status = 200.5 end)",
      "false '[string \"local core = ......\"]:7: bad argument #3 to '__newindex' (a status is a whole number "
      "from 200 to 599)'" },
    { "local r = core.respond{} return pcall(function() r.status = 0/0 end)",
      "false '[string \"local core = ......\"]:7: bad argument #3 to '__newindex' (a status is a whole number "
      "from 200 to 599)'" },
    { "local r = core.respond{} return pcall(function() r.model = 1 end)",
      "false '[string \"local core = ......\"]:7: res.model cannot be assigned'" },
    { "local r, seen = core.respond{ chunks = { 'a b', ' c' }, stream = true }, ''\n"
      "r:map('word', function(w) return w:upper() end, function() return '!' end):tap(function(e) seen = "
      "seen .. e.type end)\n"
      "r:record():finally(function() end) result(core.wait_end(r)) local text, e = core.read_text(r)\n"
      "if not text then error('no memory: ' .. e.message, 0) end return text, seen",
      "'A B C!' 'texttexttexttextotherdone'" },
    { "local r = core.respond{ chunks = { 'a b', ' c' }, stream = true }\n"
      "r:map('word', function(w) return w:upper() end):map('line', function(l) return l:reverse() end)\n"
      "result(core.wait_end(r)) local text, e = core.read_text(r)\n"
      "if not text then error('no memory: ' .. e.message, 0) end return text",
      "'C B A'" },
    { "local r, last = core.respond{ chunks = { 'a b', ' c' }, stream = true }, ''\n"
      "r:map('word', function(w) last = last .. w .. #last return w .. '!' .. last .. ('x'):rep(300) end)\n"
      /* Not l:sub(1, 3): LuaJIT's string.sub writes "not enough memory" over a frame of who called it from C. */
      "r:map('line', function(l) return ('%.3s/%s'):format(l, l) end, function() return last .. '$' end)\n"
      "result(core.wait_end(r)) local text, e = core.read_text(r)\n"
      "if not text then error('no memory: ' .. e.message, 0) end return #text, text:sub(-1), last",
      "931 '$' 'a0b2c4'" },
    { "local r = core.respond{} for i = 1, 32 do r:map(i % 2 == 0 and 'word' or 'line', print) end\n"
      "return pcall(r.map, r, 'word', print)",
      "false 'map: more than 32 functions on one response'" },
    { "local r = core.respond{} return pcall(r.tap, r, 5)",
      "false 'bad argument #2 to '?' (function expected, got number)'" },
    { "local r = core.respond{} return pcall(r.tap, {}, print)", "false 'bad argument #1 to '?' (not a response)'" },
    { "local r = core.respond{} core.next_event(r) return pcall(r.tap, r, print)",
      "false 'too late: this response is already being read or sent'" },
    { "return pcall(core.read_text, core.request())",
      "false 'bad argument #1 to '?' (perilune.response expected, got userdata)'" },
    { NULL, NULL },
};

TEST_NOFAULT(response_functions) { run_items(responses); }

/* -- What waits ------------------------------------------------------------------------------- */

static const struct item waiting[] = {
    { "local t = core.now() result(core.sleep(2)) return core.now() - t", "2" },
    { "return pcall(core.sleep, 0/0)", "false 'bad argument #1 to '?' (seconds must be at least 0)'" },
    { "return pcall(core.sleep, -1)", "false 'bad argument #1 to '?' (seconds must be at least 0)'" },
    { "return pcall(core.sleep, 1e10)", "false 'bad argument #1 to '?' (seconds must be at least 0)'" },
    { "local t = result(core.spawn('all', { function() return 1 end, function() result(core.sleep(1)) "
      "return 'x' end }, 1)) return t",
      "{1,'x',}" },
    { "return result(core.spawn('any', { function() return nil, 'no' end, function() return 7, 8 end }))", "7 8" },
    { "return result(core.spawn('race', { function() result(core.sleep(5)) end, function() return 8 end }))", "8" },
    { "return result(core.spawn('all', {}))", "{}" },
    { "return pcall(core.spawn, 'some', {})", "false 'bad argument #1 to '?' (invalid option 'some')'" },
    { "return pcall(core.spawn, 'all', { 5 })", "false 'bad argument #2 to '?' (must hold functions only)'" },
    { "return pcall(core.spawn, 'all', { function() end }, 0)",
      "false 'bad argument #3 to '?' (the limit must be at least 1)'" },
    { "return pcall(core.spawn, 'all', { function() end }, -1)",
      "false 'bad argument #3 to '?' (the limit must be at least 1)'" },
    { "return pcall(core.spawn, 'all', { function() end }, 2^32)", "true" },
    { "return result(core.spawn('race', { function() return 1, 2 end }, 1, 'limited'))", "1 2" },
    { "return result(core.spawn('race', { function() return 1, 2 end }, 1, 'free'))", "1 2" },
    { "return (pcall(core.spawn, 'race', { function() end }, 1, 'mine'))", "false" },
    { "return pcall(core.spawn, 'all', { function() end }, 0/0)",
      "false 'bad argument #3 to '?' (the limit must be at least 1)'" },
    { "local r = core.request() local res, e = result(core.call(nil, r, { timeout = 1 })) return res, "
      "e.code == 'out_of_memory' and 'memory' or e.upstream",
      "nil 'up'" },
    { "local r = core.request() r.model = 'x' local res, e = result(core.call('up', r)) return res, e.code "
      "== 'out_of_memory' and 'memory'",
      "nil false" },
    { "local res, e = core.call('none', core.request()) return res, e.message, e.detail",
      "nil 'the upstream that was chosen does not exist' 'no upstream 'none''" },
    { "return pcall(core.call, 'up', core.request(), { timeout = 0/0 })",
      "false ''timeout' must be a number of seconds above 0'" },
    { "return pcall(core.call, 'up', {})", "false 'bad argument #2 to '?' (perilune.request expected, got table)'" },
    { "local res, e = result(core.fetch('http://127.0.0.1:9/', { method = 'PUT', headers = { a = 'b' }, "
      "body = 'c', timeout = 1 })) return res, e.code == 'out_of_memory' and 'memory'",
      "nil false" },
    { "local res, e = result(core.fetch('http://127.0.0.1:9/', { stream = true, body = 'c', timeout = 1 })) return res, "
      "e.code == 'out_of_memory' and 'memory'",
      "nil false" },
    { "return pcall(core.fetch, 'http://127.0.0.1:9/', { stream = 1 })", "false 'fetch: stream must be true or false'" },
    { "return pcall(core.fetch, 'ftp://x')", "false 'bad argument #1 to '?' (must begin with http:// or https://)'" },
    { "return pcall(core.fetch, 'http://127.0.0.1:9/a\\0b')",
      "false 'bad argument #1 to '?' (must not hold a NUL byte)'" },
    { "return pcall(core.fetch, 'http://127.0.0.1:9/', { method = 'GET / HTTP/1.1\\r\\nA: b\\r\\n\\r\\nPUT' })",
      "false 'fetch: 'GET / HTTP/1.1\\13\\10A: b\\13\\10\\13\\10PUT' is not a method'" },
    { "return pcall(core.fetch, 'http://127.0.0.1:9/', { method = '' })", "false 'fetch: '' is not a method'" },
    { "return pcall(core.fetch, 'http://127.0.0.1:9/', { headers = { a = 1 } })",
      "false 'fetch: headers must map strings to strings'" },
    { "return pcall(core.fetch, 'http://127.0.0.1:9/', { headers = { a = 'b\\n' } })",
      "false 'header 'a' has a value with a line break or another control byte'" },
    { "return pcall(core.fetch, 'http://127.0.0.1:9/', { headers = { Host = 'b' } })",
      "false 'fetch: header 'host' cannot be set: the URL says it'" },
    { "return pcall(core.fetch, 'http://127.0.0.1:9/', { timeout = -1 })",
      "false ''timeout' must be a number of seconds above 0'" },
    { "return pcall(core.fetch, 'http://127.0.0.1:9/', 5)",
      "false 'bad argument #2 to '?' (table expected, got number)'" },
    { NULL, NULL },
};

TEST_NOFAULT(waiting_functions) { run_items(waiting); }

/* -- Anything ----------------------------------------------------------------------------------- */

/* Calls every function with every value at each of three places, and some with more. */
static const struct item anything = {
    "local req, res = core.request(), core.respond{ chunks = { 'a', 'b' }, stream = true }\n"
    "local shared, stream, rules = core.shared('x'), core.json_stream(), core.trim_rules{}\n"
    "local view = core.json_view('{\"a\":[1]}')\n"
    "local endless = {} endless[1] = endless\n"
    "local values = { n = 19, false, true, -1, 0, 0/0, 2^53, 1e308, -1e308, '', 'a\\0b', '\\255', "
      "('x'):rep(3000), {},\n"
    "  endless, function() end, core.null, req, res, view }\n"
    "for _, v in ipairs{ shared, stream, rules, req.headers, res.headers, coroutine.create(print), newproxy() } do\n"
    "  values.n = values.n + 1 values[values.n] = v\n"
    "end\n"
    "values.n = values.n + 1\n" /* and nil */
    "local functions = {}\n"
    "for name, f in next, core do if type(f) == 'function' and name ~= 'result' then functions[name] = f end end\n"
    "for _, name in ipairs{ 'body', 'finally', 'fingerprint', 'log', 'prefixes', 'saved', 'time_left', 'tokens' } do "
      "functions['req:' .. name] = req[name] end\n"
    "for _, name in ipairs{ 'tap', 'map', 'finally', 'record' } do functions['res:' .. name] = res[name] end\n"
    "for _, name in ipairs{ 'get', 'set', 'incr', 'delete' } do functions['shared:' .. name] = shared[name] end\n"
    "for _, name in ipairs{ 'feed', 'finish', 'done' } do functions['stream:' .. name] = stream[name] end\n"
    "functions.index = function(t, k) return t[k] end\n"
    "functions.newindex = function(t, k, v) if type(t) == 'userdata' then t[k] = v end end\n"
    "local calls, errors = 0, {}\n"
    "local function try(f, ...)\n"
    "  calls = calls + 1\n"
    "  local ok, e = pcall(function(...) return result(f(...)) end, ...)\n"
    "  if not ok and type(e) ~= 'string' and type(e) ~= 'table' then errors[#errors + 1] = type(e) end\n"
    "end\n"
    "for name, f in next, functions do\n"
    "  try(f)\n"
    "  for a = 1, values.n do\n"
    "    try(f, values[a])\n"
    "    for b = 1, values.n do\n"
    "      try(f, values[a], values[b])\n"
    "      if (a + b) % 3 == 0 then for c = 1, values.n do try(f, values[a], values[b], values[c], "
      "values[(a + c) % values.n + 1]) end end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return calls > 1e5, errors", "true {}"
};

TEST_NOFAULT(arguments_of_any_kind) { run_item(&anything); }
