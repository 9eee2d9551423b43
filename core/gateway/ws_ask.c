/* ws_ask.c -- what a message on a WebSocket asks for.
 *
 *     {"id": 7, "path": "/v1/chat/completions", "body": {...}}          a request
 *     {"id": 7, ..., "method": "GET", "headers": {"cache-control": "no-store"}}
 *     {"id": 7, "cancel": true}                                         not any more
 *
 * The body is not looked at: it goes on as the bytes that stand in the message.  An unknown member is an error, as are
 * options elsewhere: a client that writes "bodi" shall hear of it, and not get the answer to another question.
 *
 * Only some headers may come by message.  A proxy in front has judged those of the handshake, and may have set some
 * that are believed here (who asks, from where); a message passes it unseen, so it must not be able to say the same.
 *
 * Thread: any; slices in, slices out. */
#include "gateway/ws_ask.h"

#include <stdio.h>

#include "base/json.h"
#include "http/field.h"
#include "http/parse.h"
#include "http/token.h"

#define ID_MAX      128         /* bytes of a string that is an id, decoded */
#define METHOD_MAX  20
#define HEADERS_MAX (16 * 1024) /* bytes of lines: half of what an HTTP head may have */

struct reading {
    struct ws_ask             *a;
    struct json_doc            doc;
    const struct headers_list *may;
    struct failure            *f;
    struct buf                 lines;
};

static bool complain(struct reading *r, const char *param, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool complain(struct reading *r, const char *param, const char *fmt, ...) {
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    failure_set(r->f, FAILURE_INVALID_REQUEST, "%s", text);
    snprintf(r->f->param, sizeof(r->f->param), "%s", param);
    return false;
}

static bool no_memory(struct reading *r) {
    failure_set(r->f, FAILURE_NO_MEMORY, "out of memory");
    return false;
}

/* The decoded string at n, in the arena. */
static bool string_at(struct reading *r, uint32_t n, struct slice *out) {
    struct buf b;
    buf_init(&b, 0);
    json_decode_string(&r->doc, n, &b);
    const char *copy = buf_failed(&b) ? NULL : arena_dup(&r->a->arena, buf_get(&b));
    *out = slice_of(copy, copy ? buf_len(&b) : 0);
    buf_deinit(&b);
    return copy != NULL || no_memory(r);
}

#define IDS "a string of 1 to %d bytes, or an integer from 0 to 9007199254740992, that names the request"

static bool wrong_id(struct reading *r) { return complain(r, "id", "'id' has to be " IDS, ID_MAX); }

/* A string or an integer; what it is written as decides which one it is, so it gets one form. */
static bool read_id(struct reading *r, uint32_t n) {
    uint64_t number;
    struct buf b;
    buf_init(&b, 0);
    if (json_is(&r->doc, n, JSON_STRING)) {
        struct slice text;
        if (!string_at(r, n, &text)) return false;
        if (text.len == 0 || text.len > ID_MAX) return wrong_id(r);
        json_write_string(&b, text);
    } else if (json_is(&r->doc, n, JSON_NUMBER) && json_u64(&r->doc, n, &number) == 0) {
        buf_u64(&b, number);
    } else {
        return n == JSON_NONE ? complain(r, "id", "'id' is missing: " IDS, ID_MAX) : wrong_id(r);
    }
    const char *copy = buf_failed(&b) ? NULL : arena_dup(&r->a->arena, buf_get(&b));
    if (copy != NULL) r->a->id = slice_of(copy, buf_len(&b));
    buf_deinit(&b);
    return copy != NULL || no_memory(r);
}

static bool read_path(struct reading *r, uint32_t n) {
    struct slice s;
    if (n == JSON_NONE || json_type(&r->doc, n) != JSON_STRING)
        return complain(r, "path", "'path' is missing: which one is asked, such as \"/v1/chat/completions\"");
    if (!string_at(r, n, &s)) return false;
    if (s.len > HTTP_MAX_TARGET) return complain(r, "path", "'path' is longer than %d bytes", HTTP_MAX_TARGET);
    bool good = s.len > 0 && s.ptr[0] == '/';
    for (size_t i = 0; i < s.len; i++) good &= http_is_visible(s.ptr[i]) && s.ptr[i] != '#';
    if (!good) return complain(r, "path", "'path' has to begin with a slash and to be written as in a URL");
    const char *mark = memchr(s.ptr, '?', s.len);
    r->a->path = slice_of(s.ptr, mark ? (size_t)(mark - s.ptr) : s.len);
    r->a->query = mark ? slice_of(mark + 1, s.len - r->a->path.len - 1) : SLICE("");
    return true;
}

static bool read_method(struct reading *r, uint32_t n) {
    struct slice s;
    r->a->method = r->a->body_len > 0 ? SLICE("POST") : SLICE("GET");
    if (n == JSON_NONE) return true;
    if (json_type(&r->doc, n) != JSON_STRING)
        return complain(r, "method", "'method' has to be a string such as \"GET\"");
    if (!string_at(r, n, &s)) return false;
    bool good = s.len > 0 && s.len <= METHOD_MAX;
    for (size_t i = 0; i < s.len; i++) good &= s.ptr[i] >= 'A' && s.ptr[i] <= 'Z';
    if (!good || slice_eq(s, SLICE("CONNECT")) || slice_eq(s, SLICE("TRACE")))
        return complain(r, "method", "'method' has to be one of HTTP's, in capitals, other than CONNECT and TRACE");
    r->a->method = s;
    return true;
}

static bool read_header(struct reading *r, struct slice name, struct slice value) {
    int shown = (int)(name.len < 60 ? name.len : 60);
    const char *problem = http_field_problem(name, value);
    if (problem != NULL) return complain(r, "headers", "header '%.*s' %s", shown, name.ptr, problem);
    if (http_field_is_framing(name) || !headers_list_has(r->may, name))
        return complain(r, "headers", "header '%.*s' must not come by message; send it with the handshake, or list it "
                                      "in websocket.headers", shown, name.ptr);
    if (headers_find(buf_get(&r->lines), name).ptr != NULL)
        return complain(r, "headers", "header '%.*s' is there twice", shown, name.ptr);
    headers_put(&r->lines, name, value);
    if (buf_len(&r->lines) <= HEADERS_MAX) return true;
    return complain(r, "headers", "'headers' has more than %d bytes", HEADERS_MAX);
}

static bool read_headers(struct reading *r, uint32_t map) {
    static const char shape[] = "'headers' has to be an object of strings";
    if (map == JSON_NONE) return true;
    if (json_type(&r->doc, map) != JSON_OBJECT) return complain(r, "headers", "%s", shape);
    for (uint32_t k = json_first(&r->doc, map), v; k != JSON_NONE; k = json_next(&r->doc, map, v)) {
        struct slice name, value;
        v = json_next(&r->doc, map, k);
        if (json_type(&r->doc, v) != JSON_STRING) return complain(r, "headers", "%s", shape);
        if (!string_at(r, k, &name) || !string_at(r, v, &value)) return false;
        if (!read_header(r, name, slice_trim(value))) return false;
    }
    const char *copy = buf_failed(&r->lines) ? NULL : arena_dup(&r->a->arena, buf_get(&r->lines));
    r->a->headers = slice_of(copy, copy ? buf_len(&r->lines) : 0);
    return copy != NULL || no_memory(r);
}

/* Each member has to be one that we know; behind `cancel`, nothing else is of use. */
static bool check_members(struct reading *r, bool cancels) {
    static const struct slice known[] = { SLICE("id"), SLICE("cancel"), SLICE("path"), SLICE("method"),
                                          SLICE("headers"), SLICE("body") };
    size_t count = cancels ? 2 : sizeof(known) / sizeof(*known);
    for (uint32_t k = json_first(&r->doc, 0); k != JSON_NONE; k = json_next(&r->doc, 0, json_next(&r->doc, 0, k))) {
        bool found = false;
        for (size_t i = 0; i < count && !found; i++) found = json_str_eq(&r->doc, k, known[i]);
        if (found) continue;
        struct slice name;
        if (!string_at(r, k, &name)) return false;
        int shown = (int)(name.len < 60 ? name.len : 60);
        return complain(r, "", "unknown member '%.*s'; a message has %s", shown, name.ptr,
                        cancels ? "id and cancel, when it cancels"
                                : "id, path, method, headers, body; or id and cancel");
    }
    return true;
}

static uint32_t member(const struct reading *r, const char *name) {
    uint32_t n = json_get(&r->doc, 0, slice_str(name));
    return n == JSON_NONE || json_type(&r->doc, n) == JSON_NULL ? JSON_NONE : n;
}

static bool read_members(struct reading *r) {
    struct ws_ask *a = r->a;
    if (json_type(&r->doc, 0) != JSON_OBJECT) return complain(r, "", "a message has to be a JSON object");
    if (!read_id(r, member(r, "id"))) return false;
    uint32_t cancel = member(r, "cancel"), body = member(r, "body");
    if (!check_members(r, cancel != JSON_NONE)) return false;
    if (cancel != JSON_NONE) {
        a->cancel = json_type(&r->doc, cancel) == JSON_TRUE;
        return a->cancel || complain(r, "cancel", "'cancel' has to be true");
    }
    if (body != JSON_NONE) {
        a->body_at = r->doc.nodes[body].start;
        a->body_len = r->doc.nodes[body].end - a->body_at;
    }
    return read_path(r, member(r, "path")) && read_method(r, member(r, "method")) &&
           read_headers(r, member(r, "headers"));
}

bool ws_ask_read(struct ws_ask *a, struct slice message, const struct headers_list *may, struct failure *f) {
    struct reading r = { .a = a, .may = may, .f = f };
    struct json_error why = { 0 };
    memset(a, 0, sizeof(*a));
    arena_init(&a->arena);
    buf_init(&r.lines, 0);
    int rc = json_parse(&r.doc, message, &why);
    bool ok = rc == 0 && read_members(&r);
    if (rc == PERILUNE_ERR_NOMEM) no_memory(&r);
    else if (rc != 0)
        failure_set(f, FAILURE_INVALID_JSON, "the message is not JSON: %s at byte %zu", why.message, why.offset);
    json_deinit(&r.doc);
    buf_deinit(&r.lines);
    return ok;
}

void ws_ask_deinit(struct ws_ask *a) { arena_deinit(&a->arena); }
