/* ws_handshake.c -- may this request become a WebSocket (RFC 6455 4.2)?
 *
 *     GET, HTTP/1.1, Upgrade: websocket, Connection: upgrade   else 426: "speak WebSocket here"
 *     Sec-WebSocket-Version: 13                                else 426, with the version that we speak
 *     Sec-WebSocket-Key: 16 bytes in base64                    else 400
 *
 * The key proves nothing of who asks; its answer proves that we know what we agree to, and are no server
 * that repeats what it gets.  Who may ask, from which page, is not decided here (gateway/ws_exchange.c).
 *
 * Extensions are not answered: none is agreed on then, permessage-deflate least of all, which would cost each
 * idle socket a window of 32 KB. */
#include "http/ws_handshake.h"

#include <openssl/evp.h>

#include "flow/headers.h"
#include "http/conn.h"
#include "include/perilune.h"

#define KEY_LEN 24 /* 16 bytes in base64 */

bool ws_header_next(const struct http_request *r, struct slice name, unsigned *line, size_t *at, struct slice *word) {
    for (; *line < r->header_count; ++*line, *at = 0) {
        const struct http_header *h = &r->headers[*line];
        if (!slice_eq_nocase(h->name, name)) continue;
        while (*at < h->value.len) {
            const char *from = h->value.ptr + *at, *comma = memchr(from, ',', h->value.len - *at);
            size_t len = comma ? (size_t)(comma - from) : h->value.len - *at;
            *at += len + (comma != NULL);
            *word = slice_trim(slice_of(from, len));
            if (word->len > 0) return true;
        }
    }
    return false;
}

bool ws_header_has(const struct http_request *r, struct slice name, struct slice word) {
    struct slice w;
    unsigned line = 0;
    size_t at = 0;
    while (ws_header_next(r, name, &line, &at, &w))
        if (slice_eq_nocase(w, word)) return true;
    return false;
}

static int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

static bool is_key(struct slice s) {
    if (s.len != KEY_LEN || s.ptr[KEY_LEN - 1] != '=' || s.ptr[KEY_LEN - 2] != '=') return false;
    for (int i = 0; i < KEY_LEN - 2; i++)
        if (base64_value(s.ptr[i]) < 0 || s.ptr[i] == '-' || s.ptr[i] == '_') return false;
    return true;
}

bool ws_decode_word(struct slice s, struct buf *out) {
    unsigned bits = 0, held = 0;
    if (s.len % 4 == 1) return false;
    for (size_t i = 0; i < s.len; i++) {
        int v = base64_value(s.ptr[i]);
        if (v < 0 || s.ptr[i] == '+' || s.ptr[i] == '/') return false;
        bits = bits << 6 | (unsigned)v;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        buf_putc(out, (char)(bits >> held));
        bits &= (1u << held) - 1;
    }
    return bits == 0; /* else bits are left over, and two words would say the same */
}

/* SHA-1 is what the protocol says; nothing secret hangs on it. */
static bool accept_of(struct slice key, char out[32]) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[KEY_LEN + sizeof(guid)];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    memcpy(text, key.ptr, KEY_LEN);
    memcpy(text + KEY_LEN, guid, sizeof(guid) - 1);
    if (mem_fails() || EVP_Digest(text, KEY_LEN + sizeof(guid) - 1, digest, &len, EVP_sha1(), NULL) != 1) return false;
    EVP_EncodeBlock((unsigned char *)out, digest, (int)len); /* 28 characters and a NUL */
    return true;
}

static void refuse(struct ws_handshake *h, int status, const char *why) {
    h->status = status;
    h->why = why;
}

/* Two keys would be one only to some readers. */
static bool one_key(const struct http_request *r, struct slice *key) {
    const struct http_header *h = http_headers_find(r->headers, r->header_count, SLICE("sec-websocket-key"));
    if (h == NULL) return false;
    unsigned behind = r->header_count - (unsigned)(h - r->headers) - 1;
    *key = h->value;
    return http_headers_find(h + 1, behind, SLICE("sec-websocket-key")) == NULL;
}

void ws_handshake(const struct http_request *r, struct ws_handshake *out) {
    struct slice key = SLICE("");
    *out = (struct ws_handshake){ .status = 101, .why = "" };
    if (!slice_eq(r->method, SLICE("GET"))) refuse(out, 405, "a WebSocket begins with GET");
    else if (r->conn->minor == 0)
        refuse(out, 426, "a WebSocket needs HTTP/1.1; a proxy in between speaks 1.0 (nginx: proxy_http_version 1.1)");
    else if (!ws_header_has(r, SLICE("upgrade"), SLICE("websocket")) ||
             !ws_header_has(r, SLICE("connection"), SLICE("upgrade")))
        refuse(out, 426, "this path is for WebSockets: the headers 'upgrade: websocket' and 'connection: upgrade' are "
                         "missing; a proxy in between may have taken them away");
    else if (!slice_eq(http_request_header(r, SLICE("sec-websocket-version")), SLICE("13")))
        refuse(out, 426, "the version of WebSocket spoken here is 13 (header sec-websocket-version)");
    else if (!one_key(r, &key)) refuse(out, 400, "the header sec-websocket-key is missing, or is there twice");
    else if (!is_key(key)) refuse(out, 400, "the header sec-websocket-key has to be 16 bytes in base64");
    else if (buf_len(&r->body) > 0) refuse(out, 400, "a handshake has no body");
    else if (!accept_of(key, out->accept)) refuse(out, 503, "out of memory");
}

void ws_handshake_lines(const struct ws_handshake *h, struct buf *out) {
    if (h->status == 101) headers_put(out, SLICE("sec-websocket-accept"), slice_str(h->accept));
    if (h->status == 405) headers_put(out, SLICE("allow"), SLICE("GET"));
    if (h->status == 426) headers_put(out, SLICE("sec-websocket-version"), SLICE("13"));
}
