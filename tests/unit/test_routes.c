/* test_routes.c -- routes.c against a search that looks at all of them; tenants.c. */
#include "gateway/routes.h"

#include <stdio.h>
#include <strings.h>

#include "base/hash.h"
#include "gateway/tenants.h"
#include "include/perilune.h"
#include "unit.h"

/* -- Against a linear search ------------------------------------------------------------- */

static const char *const paths[] = { "/", "/a", "/a/", "/a/b", "/a/bc", "/b", "/v1/chat", "/v1/", "/v1/chat/x" };
static const char *const hosts[] = { NULL, "a.b", "x.a.b", "*.a.b", "*.b" };
static const char *const asked_hosts[] = { "", "a.b", "A.B:80", "x.a.b", "b", "y.b:1", "[::1]:80" };
static const char *const methods[] = { "GET", "POST" };
static const char *const tenants[] = { NULL, "t", "u" };
#define PICK(list) (list)[rng_next(rng) % (sizeof(list) / sizeof(*(list)))]

static bool fits_slowly(const struct route *r, const struct route_ask *a, const char *host) {
    struct slice p = slice_str(r->path);
    if (r->prefix ? !slice_starts(a->path, p) : !slice_eq(a->path, p)) return false;
    size_t n = strcspn(host, ":");
    if (r->host && r->host[0] == '*') {
        const char *below = r->host + 1;
        if (n <= strlen(below) || strncasecmp(host + n - strlen(below), below, strlen(below)) != 0) return false;
    } else if (r->host && (strlen(r->host) != n || strncasecmp(host, r->host, n) != 0)) {
        return false;
    }
    return r->tenant == NULL || slice_eq(a->tenant, slice_str(r->tenant));
}

static const struct route *find_slowly(const struct route *all, unsigned n, const struct route_ask *a,
                                       const char *host, bool *wrong) {
    *wrong = false;
    for (unsigned i = 0; i < n; i++) {
        if (!fits_slowly(&all[i], a, host)) continue;
        if (all[i].method_count == 0 || slice_eq(a->method, slice_str(all[i].methods[0]))) {
            *wrong = false;
            return &all[i];
        }
        *wrong = true;
    }
    return NULL;
}

TEST_NOFAULT(finds_what_a_linear_search_finds) {
    struct rng all_rng, *rng = &all_rng;
    rng_seed(rng, 7);
    unsigned found = 0, wrongs = 0;
    for (int round = 0; round < 400; round++) {
        struct route all[24] = { 0 };
        const char *method_of[24];
        unsigned n = (unsigned)(rng_next(rng) % 24);
        for (unsigned i = 0; i < n; i++) {
            method_of[i] = PICK(methods);
            all[i] = (struct route){ .path = PICK(paths), .prefix = rng_next(rng) % 2, .host = PICK(hosts),
                                     .tenant = PICK(tenants), .methods = &method_of[i],
                                     .method_count = rng_next(rng) % 2 };
        }
        struct arena arena;
        arena_init(&arena);
        struct routes *t = routes_new(&arena, all, n);
        CHECK(t != NULL);
        for (int k = 0; k < 60; k++) {
            const char *host = PICK(asked_hosts), *tenant = PICK(tenants);
            struct http_header h = { SLICE("HOST"), slice_str(host) };
            struct route_ask ask = { .method = slice_str(PICK(methods)), .path = slice_str(PICK(paths)),
                                     .tenant = slice_str(tenant ? tenant : ""), .headers = &h, .header_count = 1 };
            bool wrong, wrong_slowly;
            const struct route *slowly = find_slowly(all, n, &ask, host, &wrong_slowly);
            NOTE("round %d: %.*s %.*s, host %s", round, SLICE_ARG(ask.method), SLICE_ARG(ask.path), host);
            CHECK_PTR(routes_find(t, &ask, &wrong), slowly);
            CHECK_INT(wrong, wrong_slowly);
            found += slowly != NULL;
            wrongs += wrong_slowly;
        }
        arena_deinit(&arena);
    }
    CHECK(found > 5000 && wrongs > 500); /* the cases were of both kinds */
}

/* -- Headers ---------------------------------------------------------------------------------- */

static bool fits_header(const char *pattern, const char *value) {
    struct route_header want = { "x-a", pattern };
    struct route r = { .path = "/", .headers = &want, .header_count = 1 };
    struct http_header h[2] = { { SLICE("x-b"), SLICE("?") }, { SLICE("X-A"), slice_str(value) } };
    struct route_ask ask = { .method = SLICE("GET"), .path = SLICE("/"), .headers = h, .header_count = value ? 2 : 1 };
    struct arena arena;
    arena_init(&arena);
    struct routes *t = routes_new(&arena, &r, 1);
    bool wrong, yes = t != NULL && routes_find(t, &ask, &wrong) == &r;
    arena_deinit(&arena);
    return yes;
}

TEST_NOFAULT(patterns_of_headers) {
    static const struct { const char *pattern, *value; bool fits; } cases[] = {
        { "a", "a", true },          { "a", "A", false },          { "a", "ab", false },       { "", "", true },
        { "*", "", true },           { "*", "anything", true },    { "*", NULL, false },       { "a*", "a", true },
        { "a*", "abc", true },       { "a*", "ba", false },        { "*c", "abc", true },      { "*c", "abcd", false },
        { "a*c*e", "abcde", true },  { "a*c*e", "abde", false },   { "*ab*ab", "abab", true }, { "*ab*ab", "aab", false },
        { "**", "x", true },         { "a*b", "aXbYb", true },     { "", "x", false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        NOTE("%s on %s", cases[i].pattern, cases[i].value ? cases[i].value : "no header");
        CHECK_INT(fits_header(cases[i].pattern, cases[i].value), cases[i].fits);
    }
}

static void strips(const char *prefix, const char *path, const char *rest) {
    struct route r = { .strip = prefix };
    NOTE("%s of %s", prefix ? prefix : "nothing", path);
    CHECK_SLICE(route_strip(&r, slice_str(path)), slice_str(rest));
}

TEST_NOFAULT(prefixes_are_taken_off) {
    strips(NULL, "/a/b", "/a/b");
    strips("/a", "/a/b", "/b");
    strips("/a", "/a", "/");
    strips("/a", "/ab", "/ab"); /* another segment: nothing is taken off */
    strips("/a", "/b", "/b");
}

/* -- Tenants ------------------------------------------------------------------------------------- */

static const char *tenant_of(const struct tenants *t, const char *name, const char *value, unsigned *left) {
    static char out[16];
    struct http_header h[3] = { { SLICE("a"), SLICE("1") }, { slice_str(name), slice_str(value) }, { SLICE("b"), SLICE("2") } };
    *left = 3;
    CHECK_INT(tenants_find(t, h, left, out, sizeof(out)), 0);
    if (*left == 2) CHECK_SLICE(h[1].name, SLICE("b"));
    return out;
}

TEST_NOFAULT(who_is_asking) {
    struct tenant_key keys[3] = { { .name = "one" }, { .name = "two" }, { .name = "three" } };
    struct tenants t = { .header = "authorization", .keys = keys, .count = 3 };
    static const char *const secrets[] = { "s1", "s2", "s3" };
    unsigned left;
    for (int i = 0; i < 3; i++) CHECK(sha256_of(slice_str(secrets[i]), keys[i].digest));
    tenants_sort(&t);
    CHECK_STR(tenant_of(&t, "Authorization", "Bearer s2", &left), "two");
    CHECK_UINT(left, 2); /* the key is for nobody else */
    CHECK_STR(tenant_of(&t, "authorization", "bearer  s3 ", &left), "three");
    CHECK_STR(tenant_of(&t, "authorization", "s1", &left), "one");
    CHECK_STR(tenant_of(&t, "authorization", "Bearer s4", &left), "");
    CHECK_UINT(left, 3);
    CHECK_STR(tenant_of(&t, "authorization", "Bearer ", &left), "");
    CHECK_STR(tenant_of(&t, "x-api-key", "s1", &left), "");

    t = (struct tenants){ .header = "x-tenant" };
    CHECK_STR(tenant_of(&t, "X-Tenant", "acme", &left), "acme");
    CHECK_UINT(left, 3);
    struct http_header one[] = { { SLICE("X-Tenant"), SLICE("too long") } };
    char name[8];
    left = 1;
    CHECK_INT(tenants_find(&t, one, &left, name, sizeof(name)), PERILUNE_ERR_LIMITED); /* not another's */
    CHECK_STR(name, "");
    struct http_header both[] = { { SLICE("x-tenant"), SLICE("acme") }, { SLICE("a"), SLICE("1") }, { SLICE("X-Tenant"), SLICE("acme") } };
    left = 3;
    CHECK_INT(tenants_find(&t, both, &left, name, sizeof(name)), PERILUNE_ERR_INVAL);
    CHECK_STR(name, "");
    t.header = NULL;
    CHECK_STR(tenant_of(&t, "X-Tenant", "acme", &left), "");
}

TEST_NOFAULT(digests_in_hex) {
    unsigned char d[SHA256_BYTES];
    char hex[65];
    memset(hex, 'a', 64);
    hex[64] = '\0';
    CHECK(tenant_key_parse(hex, d));
    CHECK_INT(d[31], 0xaa);
    memcpy(hex, "0F", 2);
    CHECK(tenant_key_parse(hex, d));
    CHECK_INT(d[0], 0x0f);
    hex[5] = 'g';
    CHECK(!tenant_key_parse(hex, d));
    CHECK(!tenant_key_parse("aa", d));
}
