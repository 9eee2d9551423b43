/* admin_cache.c -- what operators see and do of the cache.
 *
 *     GET    /admin/cache               figures, and the newest entries
 *     GET    /admin/cache/ID            one entry, with what it answers
 *     GET    /admin/cache/explain       near questions that were refused lately, and why
 *     DELETE /admin/cache?key=ID | tenant=NAME | name=CACHE[&tag=TAG] | all=1
 *
 * An id is the entry's key in hex.  Entries are looked through for it one by one: it is a page for people. */
#include <stdio.h>
#include <string.h>

#include "gateway/gateway.h"
#include "request/cached.h"

#define SHOWN     100           /* entries of a list */
#define SHOWN_MAX (64 * 1024)   /* bytes of an answer */

struct listing {
    struct buf *out;
    uint64_t    now;
    unsigned    count;
};

static void put_entry(struct buf *out, struct cache_entry *e, uint64_t now) {
    struct cached c;
    char id[33];
    hash128_hex(cache_entry_key(e), id);
    if (cached_read(e, &c)) cached_describe(&c, out);
    else buf_puts(out, "{\"kind\":\"unknown\"");
    buf_printf(out, ",\"id\":\"%s\",\"bytes\":%u,\"age_seconds\":%llu,\"fresh\":%s,\"hits\":%u", id, e->data_len,
               (unsigned long long)(cache_age(e, now) / 1000), cache_is_fresh(e, now) ? "true" : "false",
               atomic_load_explicit(&e->hits, memory_order_relaxed));
}

static bool list_one(struct cache_entry *e, void *ud) {
    struct listing *l = ud;
    if (l->count++ > 0) buf_putc(l->out, ',');
    put_entry(l->out, e, l->now);
    buf_putc(l->out, '}');
    return l->count < SHOWN;
}

void admin_cache_list(struct perilune *g, struct buf *out) {
    struct cache_stats n;
    cache_count(g->stores->cache, &n);
    buf_printf(out, "{\"entries\":%llu,\"bytes\":%llu,\"max_bytes\":%llu,\"hits\":%llu,\"misses\":%llu,\"stored\":%llu,"
               "\"refused\":%llu,\"evicted\":%llu,\"expired\":%llu,\"invalidated\":%llu,\"list\":[",
               (unsigned long long)n.entries, (unsigned long long)n.bytes, (unsigned long long)n.limit,
               (unsigned long long)n.hits, (unsigned long long)n.misses, (unsigned long long)n.stored,
               (unsigned long long)n.refused, (unsigned long long)n.evicted, (unsigned long long)n.expired,
               (unsigned long long)n.invalidated);
    cache_each(g->stores->cache, list_one, &(struct listing){ out, loop_now(&g->loop), 0 });
    buf_puts(out, "]}");
}

/* -- One entry ------------------------------------------------------------------------------ */

struct search {
    struct slice        id;
    struct cache_entry *found; /* a share */
};

static bool is_it(struct cache_entry *e, void *ud) {
    struct search *s = ud;
    char id[33];
    hash128_hex(cache_entry_key(e), id);
    if (!slice_eq(slice_str(id), s->id)) return true;
    s->found = cache_entry_ref(e);
    return false;
}

bool admin_cache_show(struct perilune *g, struct slice id, struct buf *out) {
    struct search s = { .id = id };
    cache_each(g->stores->cache, is_it, &s);
    if (s.found == NULL) return false;
    put_entry(out, s.found, loop_now(&g->loop));
    buf_puts(out, ",\"answer\":");
    struct buf text;
    buf_init(&text, 0);
    cached_text(s.found, SHOWN_MAX, &text);
    json_write_string(out, buf_get(&text));
    if (buf_failed(&text)) out->error = text.error;
    buf_deinit(&text);
    buf_putc(out, '}');
    cache_entry_put(s.found);
    return true;
}

/* -- Near questions that were refused ---------------------------------------------------------- */

static void put_miss(const struct near_miss *m, void *ud) {
    struct listing *l = ud;
    char id[33];
    hash128_hex(m->key, id);
    buf_printf(l->out, "%s{\"age_seconds\":%llu,\"why\":\"%s\",\"similarity\":%.3f,\"score\":%.4f,\"threshold\":%.4f,"
               "\"entry\":\"%s\",\"cache\":", l->count++ > 0 ? "," : "",
               (unsigned long long)((l->now > m->when ? l->now - m->when : 0) / 1000), m->why, (double)m->similarity,
               (double)m->score, (double)m->threshold, id);
    json_write_string(l->out, slice_str(m->cache));
    buf_puts(l->out, ",\"tenant\":");
    json_write_string(l->out, slice_str(m->tenant));
    buf_puts(l->out, ",\"asked\":");
    json_write_string(l->out, slice_str(m->asked));
    buf_puts(l->out, ",\"near\":");
    json_write_string(l->out, slice_str(m->near));
    buf_putc(l->out, '}');
}

void admin_cache_explain(struct perilune *g, struct buf *out) {
    struct near_stats n;
    near_count(g->stores->near, &n);
    buf_printf(out, "{\"vectors\":%llu,\"parts\":%llu,\"bytes\":%llu,\"max_bytes\":%llu,\"lookups\":%llu,\"hits\":%llu,"
               "\"refused\":%llu,\"list\":[", (unsigned long long)n.vectors, (unsigned long long)n.parts,
               (unsigned long long)n.bytes, (unsigned long long)n.limit, (unsigned long long)n.searches,
               (unsigned long long)n.hits, (unsigned long long)n.refused);
    near_misses(g->stores->near, put_miss, &(struct listing){ out, loop_now(&g->loop), 0 });
    buf_puts(out, "]}");
}

/* -- Purging --------------------------------------------------------------------------------- */

/* The decoded value of a query's parameter into out; false: it is not there. */
static bool parameter(struct slice query, struct slice name, struct buf *out) {
    for (size_t at = 0; at < query.len;) {
        size_t end = at;
        while (end < query.len && query.ptr[end] != '&') end++;
        struct slice one = slice_of(query.ptr + at, end - at);
        at = end + 1;
        if (one.len <= name.len || one.ptr[name.len] != '=' || memcmp(one.ptr, name.ptr, name.len) != 0) continue;
        for (size_t i = name.len + 1; i < one.len; i++) {
            unsigned byte;
            if (one.ptr[i] == '%' && i + 2 < one.len && sscanf(one.ptr + i + 1, "%2x", &byte) == 1) {
                buf_putc(out, (char)byte);
                i += 2;
            } else {
                buf_putc(out, one.ptr[i] == '+' ? ' ' : one.ptr[i]);
            }
        }
        return true;
    }
    return false;
}

static bool purge_key(struct perilune *g, struct slice id) {
    struct search s = { .id = id };
    cache_each(g->stores->cache, is_it, &s);
    if (s.found == NULL) return false;
    bool was = cache_delete(g->stores->cache, cache_entry_key(s.found));
    cache_entry_put(s.found);
    return was;
}

/* The second tier belongs to the threads of workers. */
static void invalidate_far(struct worker *w, void *ud) { far_invalidate(&w->far, *(struct slice *)ud); }

int admin_cache_purge(struct perilune *g, struct slice query, size_t *entries) {
    struct buf a, b, tag;
    struct cache *c = g->stores->cache;
    int status = 200;
    *entries = 1;
    buf_init(&a, 0);
    buf_init(&b, 0);
    buf_init(&tag, 0);
    if (parameter(query, SLICE("key"), &a)) {
        if (!purge_key(g, buf_get(&a))) status = 404;
    } else if (parameter(query, SLICE("tenant"), &a)) {
        cache_tag_of_tenant(buf_get(&a), &tag);
    } else if (parameter(query, SLICE("name"), &a)) {
        if (parameter(query, SLICE("tag"), &b)) cache_tag_of_policy(buf_get(&a), buf_get(&b), &tag);
        else cache_tag_of_name(buf_get(&a), &tag);
    } else if (parameter(query, SLICE("all"), &a)) {
        struct cache_stats n;
        cache_count(c, &n);
        *entries = n.entries;
        cache_clear(c);
    } else {
        status = 400;
    }
    if (buf_len(&tag) > 0) {
        struct slice text = buf_get(&tag);
        *entries = cache_count_tag(c, text, loop_now(&g->loop));
        cache_invalidate(c, text, loop_now(&g->loop));
        if (g->worker_count > 0) gateway_ask(&g->workers[0], invalidate_far, &text);
    }
    if (status == 200) cache_keeper_purged(g);
    buf_deinit(&a);
    buf_deinit(&b);
    buf_deinit(&tag);
    return status;
}
