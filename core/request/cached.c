/* cached.c -- what an entry says of its answer.
 *
 *     version, kind, flags, dialect   one byte each
 *     usage                           numbers
 *     cache, tenant, upstream, model  a length and the bytes
 *     question                        its part, and text, embedder, vector: a length and the bytes; or nothing
 *     far                             the key in the second tier, if it is there: whoever purges by id needs it
 *
 * Numbers are written as this machine has them.  Entries leave it in a snapshot (store/snapshot.c says which
 * machines may read that) and by Redis (store/far_value.c): VERSION is raised when anything here changes. */
#include "request/cached.h"

#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "flow/records.h"
#include "request/widen.h"
#include "include/perilune.h"

#define VERSION 2

enum { FLAG_USAGE = 1, FLAG_WITHIN = 2, FLAG_ASKED = 4, FLAG_FAR = 8 };

struct head {
    uint8_t  version, kind, flags, dialect;
    uint32_t usage_at, usage_len;
    uint64_t prompt, completion, cached;
};

/* ORDER: their numbers are in snapshots. */
static const struct dialect *const dialects[] = { NULL, &openai_chat, &openai_embeddings };
#define DIALECTS (sizeof(dialects) / sizeof(*dialects))

static uint8_t number_of(const struct dialect *d) {
    for (uint8_t i = 0; i < DIALECTS; i++)
        if (dialects[i] == d) return i;
    return 0;
}

static void put_text(struct buf *out, struct slice s) {
    uint8_t len = (uint8_t)(s.len < UINT8_MAX ? s.len : UINT8_MAX);
    buf_put(out, &len, 1);
    buf_put(out, s.ptr, len);
}

static bool take_text(struct slice *rest, struct slice *out) {
    if (rest->len < 1 || rest->len - 1 < (uint8_t)rest->ptr[0]) return false;
    *out = slice_of(rest->ptr + 1, (uint8_t)rest->ptr[0]);
    *rest = slice_of(out->ptr + out->len, rest->len - 1 - out->len);
    return true;
}

static void put_long(struct buf *out, struct slice s) {
    uint16_t len = (uint16_t)s.len;
    buf_put(out, &len, sizeof(len));
    buf_put(out, s.ptr, len);
}

static bool take_long(struct slice *rest, size_t most, struct slice *out) {
    uint16_t len;
    if (rest->len < sizeof(len)) return false;
    memcpy(&len, rest->ptr, sizeof(len));
    if (len > most || rest->len - sizeof(len) < len) return false;
    *out = slice_of(rest->ptr + sizeof(len), len);
    *rest = slice_of(out->ptr + len, rest->len - sizeof(len) - len);
    return true;
}

static bool is_asked(const struct asked *a) {
    return a->text.len > 0 && a->text.len <= CACHED_MAX_QUESTION && a->vector.len <= CACHED_MAX_VECTOR;
}

static bool take_asked(struct slice *rest, struct asked *a) {
    if (rest->len < sizeof(a->part)) return false;
    memcpy(&a->part, rest->ptr, sizeof(a->part));
    *rest = slice_of(rest->ptr + sizeof(a->part), rest->len - sizeof(a->part));
    return take_long(rest, CACHED_MAX_QUESTION, &a->text) && take_text(rest, &a->embedder) &&
           take_long(rest, CACHED_MAX_VECTOR, &a->vector);
}

static bool take_far(struct slice *rest, struct slice *out) {
    if (rest->len < CACHED_FAR) return false;
    *out = slice_of(rest->ptr, CACHED_FAR);
    *rest = slice_of(rest->ptr + CACHED_FAR, rest->len - CACHED_FAR);
    return true;
}

void cached_write(const struct cached *c, struct buf *out) {
    struct head h = { .version = VERSION, .kind = (uint8_t)c->kind, .dialect = number_of(c->dialect),
                      .flags = (uint8_t)((c->usage.known ? FLAG_USAGE : 0) | (c->usage_within ? FLAG_WITHIN : 0) |
                                        (is_asked(&c->asked) ? FLAG_ASKED : 0) |
                                        (c->far.len == CACHED_FAR ? FLAG_FAR : 0)),
                      .usage_at = c->usage_at, .usage_len = c->usage_len, .prompt = c->usage.prompt,
                      .completion = c->usage.completion, .cached = c->usage.cached };
    buf_put(out, &h, sizeof(h));
    put_text(out, c->cache);
    put_text(out, c->tenant);
    put_text(out, c->upstream);
    put_text(out, c->model);
    if (is_asked(&c->asked)) {
        buf_put(out, &c->asked.part, sizeof(c->asked.part));
        put_long(out, c->asked.text);
        put_text(out, c->asked.embedder);
        put_long(out, c->asked.vector);
    }
    if (c->far.len == CACHED_FAR) buf_slice(out, c->far);
}

bool cached_read(const struct cache_entry *e, struct cached *c) {
    struct slice rest = cache_entry_meta(e);
    struct head h;
    if (rest.len < sizeof(h)) return false;
    memcpy(&h, rest.ptr, sizeof(h));
    rest = slice_of(rest.ptr + sizeof(h), rest.len - sizeof(h));
    if (h.version != VERSION || h.kind > CACHED_VALUE || h.dialect >= DIALECTS) return false;
    *c = (struct cached){ .kind = (enum cached_kind)h.kind, .dialect = dialects[h.dialect], .usage_at = h.usage_at,
                          .usage_len = h.usage_len, .usage_within = (h.flags & FLAG_WITHIN) != 0,
                          .usage = { .known = (h.flags & FLAG_USAGE) != 0, .prompt = h.prompt,
                                     .completion = h.completion, .cached = h.cached } };
    return take_text(&rest, &c->cache) && take_text(&rest, &c->tenant) && take_text(&rest, &c->upstream) &&
           take_text(&rest, &c->model) && (!(h.flags & FLAG_ASKED) || take_asked(&rest, &c->asked)) &&
           (!(h.flags & FLAG_FAR) || take_far(&rest, &c->far)) &&
           (c->kind > CACHED_WHOLE || c->dialect != NULL);
}

/* -- The key in the second tier ---------------------------------------------------------------- */

bool cached_far_key(const struct cached *c, struct far_key *out) {
    if (c->far.len != CACHED_FAR) return false;
    hex_write((const unsigned char *)c->far.ptr, CACHED_FAR, out->hex);
    out->hex[2 * CACHED_FAR] = '\0';
    return true;
}

/* The bytes of its digits, at `out`; empty: it is a key that nothing is kept under. */
static struct slice far_bytes(const struct far_key *key, char out[CACHED_FAR]) {
    for (unsigned i = 0; i < CACHED_FAR; i++) {
        int high = hex_value(key->hex[2 * i]), low = high >= 0 ? hex_value(key->hex[2 * i + 1]) : -1;
        if (low < 0) return SLICE("");
        out[i] = (char)(high << 4 | low);
    }
    return slice_of(out, CACHED_FAR);
}

struct far_search {
    struct slice   far;
    struct hash128 keys[16]; /* usually one: an entry that was found by its meaning has another */
    unsigned       count;
};

static bool look_for_far(struct cache_entry *e, void *ud) {
    struct far_search *s = ud;
    struct cached c;
    if (cached_read(e, &c) && slice_eq(c.far, s->far)) s->keys[s->count++] = cache_entry_key(e);
    return s->count < sizeof(s->keys) / sizeof(*s->keys);
}

unsigned cached_forget_far(struct cache *cache, struct slice hex) {
    char bytes[CACHED_FAR];
    struct far_key key;
    struct far_search s = { .count = 0 };
    if (hex.len != sizeof(key.hex) - 1) return 0;
    slice_copy(key.hex, sizeof(key.hex), hex);
    s.far = far_bytes(&key, bytes);
    if (s.far.len == 0) return 0;
    cache_each(cache, look_for_far, &s); /* nobody may call the cache from within */
    for (unsigned i = 0; i < s.count; i++) cache_delete(cache, s.keys[i]);
    return s.count;
}

/* -- What it says -------------------------------------------------------------------------------- */

/* Is it text that the model said?  logprobs say that once more, and null says nothing. */
static bool is_said(const struct json_doc *doc, const struct piece *p) {
    return p->kind < PIECE_KINDS && p->node != JSON_NONE && !json_is(doc, p->node, JSON_NULL);
}

/* Strings of one event, in the order in which they are said. */
static void put_texts(const struct dialect *d, struct slice data, struct buf *out) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct piece_list pieces = { .items = NULL };
    struct piece_half half = { .len = 0 };
    if (d->pieces == NULL || json_parse(&doc, data, &err) != 0) return;
    d->pieces(&doc, &pieces);
    for (unsigned i = 0; i < pieces.len; i++)
        if (is_said(&doc, &pieces.items[i])) piece_decode(&doc, pieces.items[i].node, &half, out);
    piece_list_deinit(&pieces);
    json_deinit(&doc);
}

void cached_text(const struct cache_entry *e, size_t most, struct buf *out) {
    struct cached c;
    struct slice data = cache_entry_data(e);
    struct event ev;
    size_t at = 0;
    if (!cached_read(e, &c)) return;
    if (c.kind > CACHED_WHOLE) {
        buf_put(out, data.ptr, data.len < most ? data.len : most);
        return;
    }
    while (buf_len(out) < most && records_next(data, &at, &ev))
        put_texts(c.dialect, c.kind == CACHED_STREAM ? ev.data : ev.raw, out);
}

unsigned cached_tags(const struct recorder_options *opt, struct buf *text, struct slice tags[CACHE_MAX_TAGS]) {
    size_t ends[CACHE_MAX_TAGS], from = 0;
    unsigned count = opt->tag_count + 2;
    for (unsigned i = 0; i < opt->tag_count; i++) {
        cache_tag_of_policy(opt->name, opt->tags[i], text);
        ends[i] = buf_len(text);
    }
    cache_tag_of_name(opt->name, text);
    ends[opt->tag_count] = buf_len(text);
    cache_tag_of_tenant(opt->tenant, text);
    ends[opt->tag_count + 1] = buf_len(text);
    for (unsigned i = 0; i < count && !buf_failed(text); from = ends[i++])
        tags[i] = slice_of(buf_get(text).ptr + from, ends[i] - from);
    return buf_failed(text) ? 0 : count;
}

/* Near and far, and where near questions are looked for. */
static int keep(const struct recorder_options *opt, const struct cache_item *item, const struct cached *c) {
    uint64_t now = loop_now(opt->loop);
    if (cache_is_over(opt->cache, item)) return PERILUNE_ERR_LIMITED;
    if (opt->far != NULL) far_put(opt->far, &opt->far_key, item);
    int rc = cache_put(opt->cache, item, now);
    if (rc == 0 && opt->stores != NULL) asked_remember(opt->stores, opt->key, c, now);
    if (rc == 0 && opt->stores != NULL && opt->far != NULL)
        widen_tell(opt->far, opt->stores, &opt->far_key, opt->key, &c->asked, opt->fresh_ms + opt->keep_ms);
    return rc;
}

int cached_store(const struct recorder_options *opt, const struct cached *facts, struct slice data) {
    struct slice tags[CACHE_MAX_TAGS];
    struct cached c = *facts;
    struct buf meta, text;
    char far[CACHED_FAR];
    c.cache = opt->name;
    c.tenant = opt->tenant;
    c.asked = opt->asked;
    c.far = opt->far != NULL ? far_bytes(&opt->far_key, far) : SLICE("");
    buf_init(&meta, 0);
    buf_init(&text, 0);
    cached_write(&c, &meta);
    struct cache_item item = { .key = opt->key, .meta = buf_get(&meta), .data = data, .tags = tags,
                               .tag_count = cached_tags(opt, &text, tags), .asked = opt->asked_at,
                               .fresh_ms = opt->fresh_ms, .keep_ms = opt->keep_ms };
    int rc = buf_failed(&meta) || buf_failed(&text) ? PERILUNE_ERR_NOMEM : keep(opt, &item, &c);
    buf_deinit(&meta);
    buf_deinit(&text);
    return rc;
}

static void put_member(struct buf *out, const char *name, struct slice value) {
    buf_printf(out, ",\"%s\":", name);
    json_write_string(out, value);
}

void cached_describe(const struct cached *c, struct buf *out) {
    static const char *const kinds[] = { "stream", "whole", "failure", "value" };
    buf_printf(out, "{\"kind\":\"%s\"", kinds[c->kind]);
    put_member(out, "cache", c->cache);
    put_member(out, "tenant", c->tenant);
    if (c->kind > CACHED_WHOLE) return;
    put_member(out, "upstream", c->upstream);
    put_member(out, "model", c->model);
    if (c->asked.text.len > 0) put_member(out, "question", c->asked.text);
    if (!c->usage.known) return;
    buf_printf(out, ",\"prompt_tokens\":%llu,\"completion_tokens\":%llu", (unsigned long long)c->usage.prompt,
               (unsigned long long)c->usage.completion);
}
