/* admin_cache.c -- what operators see and do of the cache.
 *
 *     GET    /admin/cache[?tenant=NAME&name=CACHE&limit=N]   figures, and the newest entries
 *     GET    /admin/cache/ID            one entry, with what it answers
 *     GET    /admin/cache/explain       near questions that were refused lately, and why
 *     DELETE /admin/cache?key=ID | tenant=NAME | name=CACHE[&tag=TAG] | all=1
 *
 * An id is the entry's key in hex; what x-cache-entry says behind it (@SCORE) may stay.
 *
 * Whoever purges is believed only when every word is understood: a parameter that is unknown, empty, said twice, or
 * that another one contradicts is refused, because what is left of the question would purge more than was meant. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "request/cached.h"

#define SHOWN      100           /* entries of a list, unless it is said how many; */
#define SHOWN_MOST 1000          /* 8 KiB of shares */
#define SHOWN_MAX  (64 * 1024)   /* bytes of an answer */

/* -- What is asked for ----------------------------------------------------------------------- */

enum { KEY, TENANT, NAME, TAG, ALL, LIMIT, PARAMETERS };
static const char *const names[PARAMETERS] = { "key", "tenant", "name", "tag", "all", "limit" };
#define BIT(p) (1u << (p))
#define LISTS  (BIT(TENANT) | BIT(NAME) | BIT(LIMIT))
#define PURGES (BIT(KEY) | BIT(TENANT) | BIT(NAME) | BIT(TAG) | BIT(ALL))

struct parameters {
    struct buf value[PARAMETERS];
    unsigned   given; /* BIT(...) */
};

static void parameters_init(struct parameters *p) {
    p->given = 0;
    for (int i = 0; i < PARAMETERS; i++) buf_init(&p->value[i], 0);
}

static void parameters_deinit(struct parameters *p) {
    for (int i = 0; i < PARAMETERS; i++) buf_deinit(&p->value[i]);
}

static void decode(struct slice s, bool plus, struct buf *out) {
    for (size_t i = 0; i < s.len; i++) {
        int high = s.ptr[i] == '%' && i + 2 < s.len ? hex_value(s.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_value(s.ptr[i + 2]) : -1;
        if (low < 0) {
            buf_putc(out, plus && s.ptr[i] == '+' ? ' ' : s.ptr[i]);
            continue;
        }
        buf_putc(out, (char)(high << 4 | low));
        i += 2;
    }
}

static int find_parameter(struct slice name, unsigned allowed) {
    for (int i = 0; i < PARAMETERS; i++)
        if (allowed & BIT(i) && slice_eq(name, slice_str(names[i]))) return i;
    return -1;
}

static void say_unknown(struct slice name, unsigned allowed, char *why, size_t size) {
    int len = snprintf(why, size, "unknown parameter '%.*s'; known:", (int)(name.len < 64 ? name.len : 64), name.ptr);
    for (int i = 0; i < PARAMETERS; i++)
        if (allowed & BIT(i)) len += snprintf(why + len, size - (size_t)len, " %s", names[i]);
}

/* One NAME=VALUE.  False, with why. */
static bool read_parameter(struct parameters *p, struct slice one, unsigned allowed, char *why, size_t size) {
    const char *equals = memchr(one.ptr, '=', one.len);
    struct slice name = slice_of(one.ptr, equals != NULL ? (size_t)(equals - one.ptr) : one.len);
    int i = find_parameter(name, allowed);
    if (i < 0) {
        say_unknown(name, allowed, why, size);
        return false;
    }
    if (p->given & BIT(i)) {
        snprintf(why, size, "parameter '%s' comes twice", names[i]);
        return false;
    }
    if (equals != NULL) decode(slice_of(equals + 1, one.len - name.len - 1), true, &p->value[i]);
    if (buf_len(&p->value[i]) == 0) {
        snprintf(why, size, "parameter '%s' is empty", names[i]);
        return false;
    }
    p->given |= BIT(i);
    return true;
}

static bool read_parameters(struct parameters *p, struct slice query, unsigned allowed, char *why, size_t size) {
    for (size_t at = 0; at < query.len;) {
        size_t end = at;
        while (end < query.len && query.ptr[end] != '&') end++;
        if (!read_parameter(p, slice_of(query.ptr + at, end - at), allowed, why, size)) return false;
        at = end + 1;
    }
    return true;
}

/* An id, as an entry or x-cache-entry says it. */
static bool read_id(struct slice text, struct hash128 *key) {
    const char *at = memchr(text.ptr, '@', text.len);
    return hash128_read(slice_of(text.ptr, at != NULL ? (size_t)(at - text.ptr) : text.len), key);
}

/* -- Entries ----------------------------------------------------------------------------------- */

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

static bool is_listed(const struct cache_entry *e, void *ud) {
    const struct parameters *p = ud;
    struct cached c;
    if (!(p->given & (BIT(NAME) | BIT(TENANT)))) return true;
    return cached_read(e, &c) && (!(p->given & BIT(NAME)) || slice_eq(c.cache, buf_get(&p->value[NAME]))) &&
           (!(p->given & BIT(TENANT)) || slice_eq(c.tenant, buf_get(&p->value[TENANT])));
}

static void put_figures(struct buf *out, struct cache *c) {
    struct cache_stats n;
    cache_count(c, &n);
    buf_printf(out, "{\"entries\":%llu,\"bytes\":%llu,\"max_bytes\":%llu,\"hits\":%llu,\"misses\":%llu,\"stored\":%llu,"
               "\"refused\":%llu,\"evicted\":%llu,\"expired\":%llu,\"invalidated\":%llu",
               (unsigned long long)n.entries, (unsigned long long)n.bytes, (unsigned long long)n.limit,
               (unsigned long long)n.hits, (unsigned long long)n.misses, (unsigned long long)n.stored,
               (unsigned long long)n.refused, (unsigned long long)n.evicted, (unsigned long long)n.expired,
               (unsigned long long)n.invalidated);
}

/* Texts are written outside of the cache's locks. */
static void put_list(struct perilune *g, struct parameters *p, size_t most, struct buf *out) {
    uint64_t now = loop_now(&g->loop);
    bool more;
    struct cache_entry **list = mem_alloc(most * sizeof(*list));
    if (list == NULL) {
        out->error = PERILUNE_ERR_NOMEM;
        return;
    }
    struct cache_wish wish = { .wants = is_listed, .ud = p, .most = most };
    size_t count = cache_newest(g->stores->cache, &wish, now, list, &more);
    put_figures(out, g->stores->cache);
    buf_printf(out, ",\"more\":%s,\"list\":[", more ? "true" : "false");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) buf_putc(out, ',');
        put_entry(out, list[i], now);
        buf_putc(out, '}');
        cache_entry_put(list[i]);
    }
    buf_puts(out, "]}");
    mem_free(list);
}

/* 0: it is none from 1 to SHOWN_MOST. */
static size_t read_limit(const struct parameters *p) {
    struct slice s = buf_get(&p->value[LIMIT]);
    size_t n = 0;
    if (!(p->given & BIT(LIMIT))) return SHOWN;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || n > SHOWN_MOST) return 0;
        n = n * 10 + (size_t)(s.ptr[i] - '0');
    }
    return n <= SHOWN_MOST ? n : 0;
}

int admin_cache_list(struct perilune *g, struct slice query, struct buf *out, char *why, size_t size) {
    struct parameters p;
    parameters_init(&p);
    bool ok = read_parameters(&p, query, LISTS, why, size);
    size_t most = ok ? read_limit(&p) : 0;
    if (ok && most == 0) snprintf(why, size, "'limit' is a whole number from 1 to %d", SHOWN_MOST);
    if (most > 0) put_list(g, &p, most, out);
    parameters_deinit(&p);
    return most > 0 ? 200 : 400;
}

/* -- One entry ------------------------------------------------------------------------------ */

static void put_whole(struct buf *out, struct cache_entry *e, uint64_t now) {
    struct buf text;
    put_entry(out, e, now);
    buf_puts(out, ",\"answer\":");
    buf_init(&text, 0);
    cached_text(e, SHOWN_MAX, &text);
    json_write_string(out, buf_get(&text));
    if (buf_failed(&text)) out->error = text.error;
    buf_deinit(&text);
    buf_putc(out, '}');
}

bool admin_cache_show(struct perilune *g, struct slice id, struct buf *out) {
    struct buf text;
    struct hash128 key;
    struct cache_entry *e = NULL;
    uint64_t now = loop_now(&g->loop);
    buf_init(&text, 0);
    decode(id, false, &text);
    if (read_id(buf_get(&text), &key)) e = cache_peek(g->stores->cache, key, now);
    buf_deinit(&text);
    if (e != NULL) put_whole(out, e, now);
    cache_entry_put(e);
    return e != NULL;
}

/* -- Near questions that were refused ---------------------------------------------------------- */

/* Above 1 no score is enough: feedback said so. */
static const char *show_threshold(float t, char out[16]) {
    snprintf(out, 16, "%.4f", (double)t);
    return t <= 1 ? out : "null";
}

static void put_miss(const struct near_miss *m, void *ud) {
    struct listing *l = ud;
    char id[33], threshold[16];
    hash128_hex(m->key, id);
    buf_printf(l->out, "%s{\"age_seconds\":%llu,\"why\":\"%s\",\"similarity\":%.3f,\"score\":%.4f,\"threshold\":%s,"
               "\"entry\":\"%s\",\"cache\":", l->count++ > 0 ? "," : "",
               (unsigned long long)((l->now > m->when ? l->now - m->when : 0) / 1000), m->why, (double)m->similarity,
               (double)m->score, show_threshold(m->threshold, threshold), id);
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

/* What it is that goes, of these parameters; NULL: they say one thing. */
static const char *contradiction(const struct parameters *p) {
    unsigned what = p->given & ~BIT(TAG);
    if (what == 0 && p->given & BIT(TAG)) return "'tag' needs 'name': a tag is of one cache";
    if (what == 0) return "say what: key=ID, tenant=NAME, name=CACHE (and tag=TAG), or all=1";
    if (what & (what - 1)) return "one of 'key', 'tenant', 'name' and 'all' at a time: nothing was purged";
    if (p->given & BIT(TAG) && what != BIT(NAME)) return "'tag' goes with 'name' only: a tag is of one cache";
    if (what == BIT(ALL) && !slice_eq(buf_get(&p->value[ALL]), SLICE("1")))
        return "'all' is 1, or is left out: nothing was purged";
    return NULL;
}

struct far_purge {
    struct slice   tag; /* or */
    struct far_key key;
    bool           behind;
};

/* The second tier belongs to the threads of workers. */
static void invalidate_far(struct worker *w, void *ud) {
    struct far_purge *f = ud;
    if (f->tag.len > 0) far_invalidate(&w->far, f->tag);
    else far_delete_key(&w->far, &f->key);
    f->behind = far_is_behind(&w->far);
}

/* One entry, here and under its key in the second tier.  False: it is not here, and nobody else knows its id. */
static bool purge_key(struct perilune *g, struct slice id, bool *pending) {
    struct hash128 key;
    struct cached c;
    struct far_purge far = { .tag = SLICE("") };
    if (!read_id(id, &key)) return false;
    struct cache_entry *e = cache_peek(g->stores->cache, key, loop_now(&g->loop));
    bool is_far = e != NULL && cached_read(e, &c) && cached_far_key(&c, &far.key);
    cache_entry_put(e);
    bool found = cache_delete(g->stores->cache, key); /* also what is under way */
    if (is_far && g->worker_count > 0) gateway_ask(&g->workers[0], invalidate_far, &far);
    *pending = far.behind;
    return found || is_far;
}

/* What has the tag goes now, with its bytes: who has to prove that it is gone looks at the list. */
static size_t purge_tag(struct perilune *g, struct slice tag, bool *pending) {
    struct far_purge far = { .tag = tag };
    struct cache *c = g->stores->cache;
    uint64_t now = loop_now(&g->loop);
    size_t count = cache_count_tag(c, tag, now);
    cache_invalidate(c, tag, now);
    cache_clean(c, now);
    if (g->worker_count > 0) gateway_ask(&g->workers[0], invalidate_far, &far);
    *pending = far.behind;
    return count;
}

static size_t purge_all(struct cache *c) {
    struct cache_stats n;
    cache_count(c, &n);
    cache_clear(c);
    return n.entries;
}

static int purge(struct perilune *g, const struct parameters *p, size_t *entries, bool *pending) {
    struct buf tag;
    buf_init(&tag, 0);
    *entries = 1;
    if (p->given & BIT(KEY)) return purge_key(g, buf_get(&p->value[KEY]), pending) ? 200 : 404;
    if (p->given & BIT(ALL)) {
        *entries = purge_all(g->stores->cache);
        return 200;
    }
    if (p->given & BIT(TENANT)) cache_tag_of_tenant(buf_get(&p->value[TENANT]), &tag);
    else if (p->given & BIT(TAG)) cache_tag_of_policy(buf_get(&p->value[NAME]), buf_get(&p->value[TAG]), &tag);
    else cache_tag_of_name(buf_get(&p->value[NAME]), &tag);
    bool failed = buf_failed(&tag);
    if (!failed) *entries = purge_tag(g, buf_get(&tag), pending);
    buf_deinit(&tag);
    return failed ? 503 : 200;
}

int admin_cache_purge(struct perilune *g, struct slice query, size_t *entries, bool *pending, char *why, size_t size) {
    struct parameters p;
    int status = 400;
    *entries = 0;
    *pending = false;
    parameters_init(&p);
    if (read_parameters(&p, query, PURGES, why, size)) {
        const char *no = contradiction(&p);
        if (no != NULL) snprintf(why, size, "%s", no);
        else status = purge(g, &p, entries, pending);
    }
    if (status == 200) cache_keeper_purged(g);
    parameters_deinit(&p);
    return status;
}
