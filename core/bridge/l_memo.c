/* l_memo.c -- what the library remembers from request to request: core.memo_get,
 * core.memo_set, and the names of conversations, req:prefixes().
 *
 * A conversation has no id; it is known by what it says.  Each message extends a
 * chain of hashes, and two requests that agree on one value of it agree on all
 * messages up to there:
 *
 *     h0 = H(tenant, path, model, tools, functions, response_format)
 *     hi = H(h(i-1), message i)
 *
 * That is also how providers cache prompts, by prefix, so h says what they have.
 * Hashed is not the text as it came but its values one after the other: white space
 * and escapes do not count, nor do the marks that only steer a cache (they move from
 * request to request while the prompt stays the same), and a content of one part that
 * is text is that text (a mark needs a part to stand on).
 *
 * H is SHA-256, shown as 32 hex digits: nobody makes two conversations meet. */
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/hex.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "store/memo.h"

#define CLOCK_BYTES 65536 /* behind a message of as many the clock is asked */
#define SHOWN 16 /* bytes of a hash that are given to Lua */

/* -- Remembering ---------------------------------------------------------------- */

static struct memo *memo_of(lua_State *L) { return state_of(L)->stores->memo; }

/* core.memo_get(key) -> string | nil */
int l_memo_get(lua_State *L) {
    struct slice key;
    key.ptr = luaL_checklstring(L, 1, &key.len);
    struct buf *out = lib_output(L);
    int err = memo_get(memo_of(L), key, loop_now(state_of(L)->loop), out);
    if (err == PERILUNE_ERR_NOMEM) return luaL_error(L, "not enough memory");
    if (err != 0) lua_pushnil(L);
    else lua_pushlstring(L, buf_get(out).ptr, buf_len(out));
    return 1;
}

/* core.memo_set(key, value | nil, seconds, owner) -> whether it fits */
int l_memo_set(lua_State *L) {
    struct slice key, value, owner;
    key.ptr = luaL_checklstring(L, 1, &key.len);
    owner.ptr = luaL_optlstring(L, 4, "", &owner.len);
    if (lua_isnil(L, 2)) {
        memo_forget(memo_of(L), key);
        lua_pushboolean(L, 1);
        return 1;
    }
    value.ptr = luaL_checklstring(L, 2, &value.len);
    double seconds = luaL_checknumber(L, 3);
    luaL_argcheck(L, seconds > 0 && seconds < 1e9, 3, "a time to live is a number of seconds above 0");
    uint64_t now = loop_now(state_of(L)->loop), ttl = (uint64_t)ceil(seconds * 1000);
    int err = memo_set(memo_of(L), owner, key, value, now, ttl);
    if (err == PERILUNE_ERR_NOMEM) return luaL_error(L, "not enough memory");
    lua_pushboolean(L, err == 0);
    return 1;
}

/* -- Hashing ------------------------------------------------------------------------ */

static bool is_mark(const struct json_doc *d, uint32_t key) {
    return json_str_eq(d, key, SLICE("cache_control")) || json_str_eq(d, key, SLICE("prompt_cache_breakpoint"));
}

/* The text of {"type":"text","text":"..."} with nothing but marks besides, or JSON_NONE. */
static uint32_t plain_text(const struct json_doc *d, uint32_t object) {
    uint32_t text = JSON_NONE;
    for (uint32_t key = json_first(d, object); key != JSON_NONE;) {
        uint32_t value = json_next(d, object, key);
        bool type = json_str_eq(d, key, SLICE("type"));
        if (json_str_eq(d, key, SLICE("text")) && json_type(d, value) == JSON_STRING) text = value;
        else if (!is_mark(d, key) && !(type && json_type(d, value) == JSON_STRING)) return JSON_NONE;
        if (type && !json_str_eq(d, value, SLICE("text"))) return JSON_NONE;
        key = json_next(d, object, value);
    }
    return text;
}

/* What stands for a member's value: of a content with one part of text, the text. */
static uint32_t stands_for(const struct json_doc *d, uint32_t key, uint32_t value) {
    if (json_type(d, value) != JSON_ARRAY || d->nodes[value].count != 1) return value;
    uint32_t part = json_first(d, value);
    if (json_type(d, part) != JSON_OBJECT || !json_str_eq(d, key, SLICE("content"))) return value;
    uint32_t text = plain_text(d, part);
    return text == JSON_NONE ? value : text;
}

/* Its length stands behind a string: read from the end, no two lists of values are
 * the same bytes. */
static void put_string(const struct json_doc *d, uint32_t n, struct buf *out) {
    size_t before = buf_len(out);
    if (d->nodes[n].escaped) json_decode_string(d, n, out);
    else buf_slice(out, json_plain(d, n));
    buf_putc(out, '"');
    buf_u64(out, buf_len(out) - before);
}

/* Appends the value without white space and without marks. */
static void put_value(const struct json_doc *d, uint32_t n, struct buf *out) {
    enum json_type type = json_type(d, n);
    if (type != JSON_OBJECT && type != JSON_ARRAY) {
        if (type == JSON_STRING) put_string(d, n, out);
        else buf_slice(out, json_raw(d, n));
        return;
    }
    buf_putc(out, type == JSON_OBJECT ? '{' : '[');
    for (uint32_t e = json_first(d, n); e != JSON_NONE; e = json_next(d, n, e)) {
        if (type == JSON_OBJECT) {
            uint32_t key = e;
            e = json_next(d, n, key);
            if (is_mark(d, key)) continue;
            put_string(d, key, out);
            put_value(d, stands_for(d, key, e), out);
        } else {
            put_value(d, e, out);
        }
        buf_putc(out, ',');
    }
    buf_putc(out, type == JSON_OBJECT ? '}' : ']');
}

/* digest = H(what is in scratch), which then begins with it.  The context is reused:
 * to look up the algorithm each time would cost as much as to hash a message. */
static bool chain(EVP_MD_CTX *hash, struct buf *scratch, struct buf *out) {
    unsigned char digest[32] = { 0 };
    struct slice s = buf_get(scratch);
    bool ok = EVP_DigestInit_ex(hash, NULL, NULL) && EVP_DigestUpdate(hash, s.ptr, s.len) &&
              EVP_DigestFinal_ex(hash, digest, NULL);
    buf_put(out, digest, SHOWN);
    buf_clear(scratch);
    buf_put(scratch, digest, sizeof(digest));
    return ok;
}

static void put_field(const struct body *b, const char *name, struct buf *out) {
    uint32_t n = json_get(&b->doc, 0, slice_str(name));
    buf_puts(out, name);
    buf_putc(out, '=');
    if (n != JSON_NONE) put_value(&b->doc, n, out);
    buf_putc(out, '\n');
}

/* All hashes into out, SHOWN bytes each, and behind them, with `alone`, 8 bytes for
 * each message by itself.  Returns how many messages; -2: no memory. */
static int hash_all(const struct request *r, const struct body *b, bool alone, struct buf *scratch,
                    struct buf *out) {
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool ok = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    static const char *const in_front[] = { "model", "tools", "functions", "response_format" };
    buf_puts(scratch, r->tenant);
    buf_putc(scratch, '\n');
    buf_slice(scratch, r->path);
    buf_putc(scratch, '\n');
    for (size_t i = 0; i < sizeof(in_front) / sizeof(*in_front); i++) put_field(b, in_front[i], scratch);
    ok = ok && chain(hash, scratch, out);
    int count = 0;
    for (uint32_t n = json_first(&b->doc, b->chat.messages); n != JSON_NONE;
         n = json_next(&b->doc, b->chat.messages, n), count++) {
        put_value(&b->doc, n, scratch);
        if (scratch->len > CLOCK_BYTES || count % 256 == 255) ok = ok && state_has_time(r->state);
        ok = ok && chain(hash, scratch, out);
    }
    EVP_MD_CTX_free(hash);
    for (uint32_t n = json_first(&b->doc, b->chat.messages); alone && n != JSON_NONE;
         n = json_next(&b->doc, b->chat.messages, n)) {
        static const struct hash_key fixed = { 0x706572696c756e65, 0x6d657373616765 }; /* the same in every worker */
        buf_clear(scratch);
        put_value(&b->doc, n, scratch);
        uint64_t h = hash64(&fixed, buf_get(scratch));
        buf_put(out, &h, sizeof(h));
    }
    return ok ? count : -2;
}

static void push_hex(lua_State *L, const char *bytes, size_t len) {
    char hex[2 * SHOWN];
    hex_write((const unsigned char *)bytes, len, hex);
    lua_pushlstring(L, hex, 2 * len);
}

/* req:prefixes(alone) -> { [0] = h0, h1, ... }, empty when there are no messages; and
 * with alone a list of hashes of each message by itself */
int l_prefixes(lua_State *L) {
    const struct request *r = request_check(L, 1);
    bool alone = lua_toboolean(L, 2);
    struct body *b = request_body(L, 1);
    struct buf *scratch = lib_scratch(L), *out = lib_output(L);
    bool chat = b != NULL && b->chat.messages != JSON_NONE;
    int count = chat ? hash_all(r, b, alone, scratch, out) : -1;
    body_put(b);
    state_check(L); /* the time may have been up in between */
    if (count == -2 || buf_failed(scratch) || buf_failed(out)) return luaL_error(L, "not enough memory");
    lua_createtable(L, count > 0 ? count : 0, 1);
    for (int i = 0; i <= count; i++) {
        push_hex(L, buf_get(out).ptr + (size_t)i * SHOWN, SHOWN);
        lua_rawseti(L, -2, i);
    }
    if (!alone) return 1;
    lua_createtable(L, count > 0 ? count : 0, 0);
    for (int i = 0; i < count; i++) {
        push_hex(L, buf_get(out).ptr + (size_t)(count + 1) * SHOWN + (size_t)i * 8, 8);
        lua_rawseti(L, -2, i + 1);
    }
    return 2;
}
