/* routes.c -- which route a request takes: the first of the file that fits.
 *
 *     slots:   hash("/v1/chat/completions" 0 "")     -> route 3 -> route 9
 *              hash("/v1/chat/completions" 0 "a.b")  -> route 1
 *              hash("/v1/files/"           1 "")     -> route 4          (a prefix)
 *     lengths: 10, 4, ...                             of all prefixes
 *
 * Routes with the same path, of the same kind, for the same host share a slot and are
 * chained in the order of the file.  A request looks up its whole path, and for each length
 * that a prefix has, the beginning of its path; each with its host, when there are routes with
 * one, and without.  The hash runs along the path once and is taken at those lengths, so a
 * search costs what the path is long, not how many routes there are.
 *
 * What else a route asks for (method, headers, tenant, a host with a '*') is looked at in the
 * chain.  Of all that fit, the one with the lowest number wins: every search ends where its
 * chain gets behind the best one so far.
 *
 * Names are the operator's: a stranger's path meets a table that he cannot fill, so the hash
 * needs no secret. */
#include "gateway/routes.h"

#include <string.h>
#include <strings.h>

#include "base/hash.h"

struct slot {
    uint64_t hash;
    uint32_t first; /* number of a route, plus one; 0: free */
    uint32_t last;
};

struct routes {
    struct route *all;
    unsigned      count, mask, length_count;
    bool          has_hosts;
    struct slot  *slots;
    uint32_t     *lengths; /* of prefixes, ascending */
};

/* -- Hashing: FNV-1a, because it can be taken at any byte of a path ------------------------ */

static char lower(char c) { return (char)(c >= 'A' && c <= 'Z' ? c | 32 : c); }

static uint64_t finish(uint64_t of_path, bool prefix, struct slice host) {
    uint64_t h = hash_fnv_add(of_path, prefix ? 1 : 2);
    for (size_t i = 0; i < host.len; i++) h = hash_fnv_add(h, lower(host.ptr[i]));
    return h ^ (h >> 32);
}

/* -- Building --------------------------------------------------------------------------------- */

/* A host with a '*' cannot be looked up. */
static struct slice host_key(const struct route *r) {
    return r->host != NULL && r->host[0] != '*' ? slice_str(r->host) : SLICE("");
}

static bool same_key(const struct route *a, const struct route *b) {
    return a->prefix == b->prefix && strcmp(a->path, b->path) == 0 && slice_eq_nocase(host_key(a), host_key(b));
}

static uint64_t hash_of(const struct route *r) {
    uint64_t h = HASH_FNV_START;
    for (const char *p = r->path; *p; p++) h = hash_fnv_add(h, *p);
    return finish(h, r->prefix, host_key(r));
}

static void insert(struct routes *t, uint32_t number) {
    struct route *r = &t->all[number];
    uint64_t h = hash_of(r);
    unsigned i = (unsigned)h & t->mask;
    while (t->slots[i].first != 0 && (t->slots[i].hash != h || !same_key(&t->all[t->slots[i].first - 1], r)))
        i = (i + 1) & t->mask;
    struct slot *s = &t->slots[i];
    if (s->first == 0) *s = (struct slot){ .hash = h, .first = number + 1 };
    else t->all[s->last - 1].next = number + 1;
    s->last = number + 1;
    r->next = 0;
}

static void add_length(struct routes *t, uint32_t length) {
    unsigned i = t->length_count;
    while (i > 0 && t->lengths[i - 1] > length) i--;
    if (i > 0 && t->lengths[i - 1] == length) return;
    memmove(t->lengths + i + 1, t->lengths + i, (t->length_count - i) * sizeof(*t->lengths));
    t->lengths[i] = length;
    t->length_count++;
}

struct routes *routes_new(struct arena *arena, struct route *all, unsigned count) {
    unsigned size = 4;
    while (size < 2 * count) size *= 2;
    struct routes *t = arena_alloc(arena, sizeof(*t));
    struct slot *slots = arena_alloc(arena, size * sizeof(*slots));
    uint32_t *lengths = arena_alloc(arena, (count + 1) * sizeof(*lengths));
    if (t == NULL || slots == NULL || lengths == NULL) return NULL;
    memset(slots, 0, size * sizeof(*slots));
    *t = (struct routes){ .all = all, .count = count, .mask = size - 1, .slots = slots, .lengths = lengths };
    for (unsigned i = 0; i < count; i++) {
        insert(t, i);
        if (all[i].prefix) add_length(t, (uint32_t)strlen(all[i].path));
        t->has_hosts |= all[i].host != NULL;
    }
    return t;
}

/* -- Does a route fit? ------------------------------------------------------------------------- */

/* '*' is any text, also none. */
static bool matches(const char *pattern, struct slice s) {
    const char *star = NULL;
    size_t i = 0, from = 0;
    while (i < s.len) {
        if (*pattern == '*') {
            star = pattern++;
            from = i;
        } else if (*pattern != '\0' && *pattern == s.ptr[i]) {
            pattern++;
            i++;
        } else if (star != NULL) { /* the star takes one more */
            pattern = star + 1;
            i = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return *pattern == '\0';
}

static bool has_header(const struct route_ask *a, const struct route_header *want) {
    struct slice name = slice_str(want->name);
    for (unsigned i = 0; i < a->header_count; i++)
        if (slice_eq_nocase(a->headers[i].name, name) && matches(want->pattern, a->headers[i].value)) return true;
    return false;
}

static bool is_host(const struct route *r, struct slice host) {
    struct slice want = slice_str(r->host);
    if (want.len == 0 || want.ptr[0] != '*') return slice_eq_nocase(want, host);
    struct slice below = slice_of(want.ptr + 1, want.len - 1); /* ".x" */
    return host.len > below.len &&
           slice_eq_nocase(slice_of(host.ptr + host.len - below.len, below.len), below);
}

static bool has_method(const struct route *r, struct slice method) {
    for (unsigned i = 0; i < r->method_count; i++)
        if (slice_eq(method, slice_str(r->methods[i]))) return true;
    return r->method_count == 0;
}

/* All but the path, which its slot has, and the method. */
static bool fits(const struct route *r, const struct route_ask *a, struct slice host) {
    if (r->host != NULL && !is_host(r, host)) return false;
    if (r->tenant != NULL && !slice_eq(a->tenant, slice_str(r->tenant))) return false;
    for (unsigned i = 0; i < r->header_count; i++)
        if (!has_header(a, &r->headers[i])) return false;
    return true;
}

/* -- Searching ----------------------------------------------------------------------------------- */

struct search {
    const struct routes    *t;
    const struct route_ask *ask;
    struct slice            host;         /* without its port */
    uint32_t                best;         /* number of a route, or t->count */
    bool                    wrong_method;
};

static void walk_chain(struct search *s, uint32_t first) {
    for (uint32_t n = first; n != 0 && n - 1 < s->best; n = s->t->all[n - 1].next) {
        const struct route *r = &s->t->all[n - 1];
        if (!fits(r, s->ask, s->host)) continue;
        if (has_method(r, s->ask->method)) s->best = n - 1;
        else s->wrong_method = true;
    }
}

static void look_up(struct search *s, uint64_t of_path, size_t length, bool prefix, struct slice host) {
    const struct routes *t = s->t;
    uint64_t h = finish(of_path, prefix, host);
    for (unsigned i = (unsigned)h & t->mask; t->slots[i].first != 0; i = (i + 1) & t->mask) {
        const struct route *r = &t->all[t->slots[i].first - 1];
        if (t->slots[i].hash != h || r->prefix != prefix || strlen(r->path) != length) continue;
        if (memcmp(r->path, s->ask->path.ptr, length) != 0 || !slice_eq_nocase(host_key(r), host)) continue;
        walk_chain(s, t->slots[i].first);
        return;
    }
}

static void look_up_hosts(struct search *s, uint64_t of_path, size_t length, bool prefix) {
    look_up(s, of_path, length, prefix, SLICE(""));
    if (s->host.len > 0) look_up(s, of_path, length, prefix, s->host);
}

/* "a.b:80" -> a.b, "[::1]:80" -> [::1] */
static struct slice host_of(const struct route_ask *a) {
    for (unsigned i = 0; i < a->header_count; i++) {
        if (!slice_eq_nocase(a->headers[i].name, SLICE("host"))) continue;
        struct slice v = a->headers[i].value;
        size_t end = v.len;
        while (end > 0 && v.ptr[end - 1] >= '0' && v.ptr[end - 1] <= '9') end--;
        return end > 0 && v.ptr[end - 1] == ':' ? slice_of(v.ptr, end - 1) : v;
    }
    return SLICE("");
}

const struct route *routes_find(const struct routes *t, const struct route_ask *ask, bool *wrong_method) {
    struct search s = { .t = t, .ask = ask, .best = t->count };
    if (t->has_hosts) s.host = host_of(ask);
    uint64_t h = HASH_FNV_START;
    unsigned next = 0;
    for (size_t i = 0;; i++) {
        if (next < t->length_count && t->lengths[next] == i) {
            look_up_hosts(&s, h, i, true);
            next++;
        }
        if (i == ask->path.len) break;
        h = hash_fnv_add(h, ask->path.ptr[i]);
    }
    look_up_hosts(&s, h, ask->path.len, false);
    *wrong_method = s.best == t->count && s.wrong_method;
    return s.best < t->count ? &t->all[s.best] : NULL;
}

static bool is_listed(const struct slice *list, unsigned count, struct slice method) {
    for (unsigned i = 0; i < count; i++)
        if (slice_eq(list[i], method)) return true;
    return false;
}

/* For a reply that is an error: a search through all is good enough. */
bool routes_methods(const struct routes *t, const struct route_ask *ask, struct buf *out) {
    struct slice host = host_of(ask), list[16];
    unsigned count = 0;
    for (unsigned i = 0; i < t->count; i++) {
        const struct route *r = &t->all[i];
        struct slice p = slice_str(r->path);
        if (!(r->prefix ? slice_starts(ask->path, p) : slice_eq(ask->path, p)) || !fits(r, ask, host)) continue;
        for (unsigned m = 0; m < r->method_count && count < sizeof(list) / sizeof(*list); m++)
            if (!is_listed(list, count, slice_str(r->methods[m]))) list[count++] = slice_str(r->methods[m]);
    }
    for (unsigned i = 0; i < count; i++) {
        if (i > 0) buf_puts(out, ", ");
        buf_slice(out, list[i]);
    }
    return count > 0;
}

struct slice route_strip(const struct route *r, struct slice path) {
    if (r->strip == NULL || !slice_starts(path, slice_str(r->strip))) return path;
    size_t n = strlen(r->strip);
    if (n == path.len) return SLICE("/");
    return path.ptr[n] == '/' ? slice_of(path.ptr + n, path.len - n) : path; /* "/teams" is not below "/team" */
}
