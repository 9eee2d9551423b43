/* l_codec.c -- what policies need for other people's protocols: base64, percent-encoding, HMAC, dates.
 *
 * All are functions of their arguments.  Their time is in proportion to the text, which has at most CODEC_MAX
 * bytes; it is charged to the request, and loops look at the clock every BLOCK bytes.  What they
 * build is in the state's output buffer, so nothing is lost when they raise.
 *
 * A text that cannot be decoded is an expected failure, nil and a sentence that names the byte; a wrong type
 * or a text that is too long throws. */
#include <math.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <time.h>

#include "base/hex.h"
#include "bridge/lib.h"
#include "bridge/state.h"

#define CODEC_MAX (16u << 20)
#define BLOCK     (64u << 10)

static struct slice text_arg(lua_State *L, int i) {
    struct slice s;
    s.ptr = luaL_checklstring(L, i, &s.len);
    luaL_argcheck(L, s.len <= CODEC_MAX, i, "must not be longer than 16 MiB");
    return s;
}

/* Is the optional argument i this word?  Another one throws. */
static bool option_arg(lua_State *L, int i, const char *word) {
    if (lua_isnoneornil(L, i)) return false;
    const char *const words[] = { word, NULL };
    luaL_checkoption(L, i, NULL, words);
    return true;
}

static int push_output(lua_State *L, struct buf *out) {
    if (buf_failed(out)) return luaL_error(L, "not enough memory");
    lua_pushlstring(L, buf_get(out).ptr, buf_len(out));
    return 1;
}

static int no(lua_State *L, const char *what, size_t at) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s at byte %d", what, (int)at);
    return 2;
}

/* -- Base64 (RFC 4648) ----------------------------------------------------------------------- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static char letter(unsigned v, bool url) {
    if (v < 62) return alphabet[v];
    return v == 62 ? (url ? '-' : '+') : (url ? '_' : '/');
}

static int value(char c, bool url) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == (url ? '-' : '+')) return 62;
    if (c == (url ? '_' : '/')) return 63;
    return -1;
}

/* Three bytes, or the one or two that are left; the url variant has no padding. */
static void encode_group(struct buf *out, const unsigned char *p, size_t n, bool url) {
    unsigned v = (unsigned)p[0] << 16 | (n > 1 ? (unsigned)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
    char c[4] = { letter(v >> 18, url), letter(v >> 12 & 63, url), n > 1 ? letter(v >> 6 & 63, url) : '=',
                  n > 2 ? letter(v & 63, url) : '=' };
    buf_put(out, c, url ? n + 1 : 4);
}

/* core.base64_encode(text, "url" | nil) -> text */
int l_base64_encode(lua_State *L) {
    struct slice s = text_arg(L, 1);
    bool url = option_arg(L, 2, "url");
    struct buf *out = lib_output(L);
    buf_reserve(out, (s.len + 2) / 3 * 4);
    state_pay(L, s.len / 8);
    for (size_t i = 0; i < s.len; i += 3) {
        if (i % BLOCK < 3) state_tick(L);
        encode_group(out, (const unsigned char *)s.ptr + i, s.len - i < 3 ? s.len - i : 3, url);
    }
    return push_output(L, out);
}

/* The text without its padding; false when there is padding that does not belong there. */
static bool cut_padding(struct slice *s, bool url) {
    size_t pad = 0;
    while (pad < 2 && pad < s->len && s->ptr[s->len - 1 - pad] == '=') pad++;
    bool good = pad == 0 ? url || s->len % 4 == 0 : s->len % 4 == 0;
    s->len -= pad;
    return good && s->len % 4 != 1;
}

/* core.base64_decode(text, "url" | nil) -> bytes | nil, message */
int l_base64_decode(lua_State *L) {
    struct slice s = text_arg(L, 1);
    bool url = option_arg(L, 2, "url");
    if (!cut_padding(&s, url)) return no(L, "not base64: the text is cut off or its padding is wrong", s.len + 1);
    struct buf *out = lib_output(L);
    buf_reserve(out, s.len / 4 * 3 + 3);
    state_pay(L, s.len / 8);
    unsigned bits = 0, held = 0;
    for (size_t i = 0; i < s.len; i++) {
        int v = value(s.ptr[i], url);
        if (i % BLOCK == 0) state_tick(L);
        if (v < 0) return no(L, "not base64: another character", i + 1);
        bits = bits << 6 | (unsigned)v;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        buf_putc(out, (char)(bits >> held & 255));
    }
    if ((bits & ((1u << held) - 1)) != 0) return no(L, "not base64: bits are left over", s.len);
    return push_output(L, out);
}

/* -- Percent-encoding (RFC 3986) -------------------------------------------------------------- */

static bool is_unreserved(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

/* core.url_encode(text, "form" | nil) -> text */
int l_url_encode(lua_State *L) {
    struct slice s = text_arg(L, 1);
    bool form = option_arg(L, 2, "form");
    struct buf *out = lib_output(L);
    state_pay(L, s.len / 8);
    for (size_t i = 0; i < s.len; i++) {
        if (i % BLOCK == 0) state_tick(L);
        char c = s.ptr[i];
        if (is_unreserved(c)) {
            buf_putc(out, c);
        } else if (form && c == ' ') {
            buf_putc(out, '+');
        } else {
            static const char hex[] = "0123456789ABCDEF";
            char code[3] = { '%', hex[(unsigned char)c >> 4], hex[(unsigned char)c & 15] };
            buf_put(out, code, 3);
        }
    }
    return push_output(L, out);
}

/* core.url_decode(text, "form" | nil) -> bytes | nil, message */
int l_url_decode(lua_State *L) {
    struct slice s = text_arg(L, 1);
    bool form = option_arg(L, 2, "form");
    struct buf *out = lib_output(L);
    state_pay(L, s.len / 8);
    for (size_t i = 0; i < s.len; i++) {
        if (i % BLOCK == 0) state_tick(L);
        char c = s.ptr[i];
        if (c == '%') {
            int high = i + 2 < s.len ? hex_value(s.ptr[i + 1]) : -1;
            int low = i + 2 < s.len ? hex_value(s.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) return no(L, "a % without two hexadecimal digits", i + 1);
            c = (char)(high << 4 | low);
            i += 2;
        } else if (form && c == '+') {
            c = ' ';
        }
        buf_putc(out, c);
    }
    return push_output(L, out);
}

/* -- HMAC -------------------------------------------------------------------------------------- */

/* core.hmac_sha256(key, text, "raw" | nil) -> 64 hex digits, or 32 bytes */
int l_hmac_sha256(lua_State *L) {
    struct slice key = text_arg(L, 1), s = text_arg(L, 2);
    bool raw = option_arg(L, 3, "raw");
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    state_pay(L, (key.len + s.len) / 32);
    if (HMAC(EVP_sha256(), key.ptr, (int)key.len, (const unsigned char *)s.ptr, s.len, digest, &len) == NULL)
        return luaL_error(L, "not enough memory");
    state_tick(L);
    if (raw) {
        lua_pushlstring(L, (const char *)digest, len);
        return 1;
    }
    char hex[2 * EVP_MAX_MD_SIZE];
    hex_write(digest, len, hex);
    lua_pushlstring(L, hex, 2 * len);
    return 1;
}

/* -- Dates ---------------------------------------------------------------------------------------- */

#define YEAR_9999 253402300799.0 /* its last second; both forms have four digits for a year */

/* core.date(seconds, "http" | "iso") -> text */
int l_date(lua_State *L) {
    double seconds = luaL_checknumber(L, 1);
    static const char *const forms[] = { "http", "iso", NULL };
    bool iso = luaL_checkoption(L, 2, "http", forms) == 1;
    luaL_argcheck(L, seconds >= 0 && seconds <= YEAR_9999, 1, "must be seconds since 1970, up to the year 9999");
    time_t t = (time_t)floor(seconds);
    struct tm tm;
    gmtime_r(&t, &tm);
    if (iso) {
        int month = tm.tm_mon + 1;
        lua_pushfstring(L, "%d-%d%d-%d%dT%d%d:%d%d:%d%dZ", tm.tm_year + 1900, month / 10, month % 10, tm.tm_mday / 10,
                        tm.tm_mday % 10, tm.tm_hour / 10, tm.tm_hour % 10, tm.tm_min / 10, tm.tm_min % 10,
                        tm.tm_sec / 10, tm.tm_sec % 10);
        return 1;
    }
    /* Not strftime(): its names are those of the locale of whoever embeds us. */
    static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    lua_pushfstring(L, "%s, %d%d %s %d %d%d:%d%d:%d%d GMT", days[tm.tm_wday], tm.tm_mday / 10, tm.tm_mday % 10,
                    months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour / 10, tm.tm_hour % 10, tm.tm_min / 10,
                    tm.tm_min % 10, tm.tm_sec / 10, tm.tm_sec % 10);
    return 1;
}
