/* cors.c -- cross-origin resource sharing: decisions, as bytes of headers.
 *
 *     page of https://a --OPTIONS, may I POST?--> 204 yes     (preflight)
 *                       --POST, Origin: https://a--> the reply, access-control-allow-origin: https://a
 *
 * Nothing here protects the gateway: whoever is no browser sends what he likes.  These headers
 * tell a browser whether a page of another site may see a reply; so they are on every one, also
 * on errors and on those that the server gives before anybody here knows of the request, else the
 * page's script learns nothing but that it failed.
 *
 * Without credentials "*" is said as such; any other origin is repeated, and then replies differ
 * by it, which caches are told (vary), also on replies to requests that have none.
 *
 * WebSockets are another matter: a browser lets every page open one and read all that comes, whatever these headers
 * say, so there the gateway itself refuses pages of others (cors_allows, cors_is_same; ws_exchange.c).
 *
 * Knows nothing of connections: slices in, lines out.  Thread: any. */
#include "gateway/cors.h"

#include "flow/headers.h"

/* In a preflight's answer; more than a page can ask for with a form anyway. */
static const struct slice METHODS = SLICE("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/* Letters, digits and what else stands in names of hosts; not what begins a port, a path or a user. */
static bool is_host_name(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = (char)(s.ptr[i] | 32);
        bool good = (c >= 'a' && c <= 'z') || (s.ptr[i] >= '0' && s.ptr[i] <= '9') || s.ptr[i] == '-' ||
                    s.ptr[i] == '_' || (s.ptr[i] == '.' && i > 0 && s.ptr[i - 1] != '.');
        if (!good) return false;
    }
    return s.len > 0;
}

/* The star of a pattern is any name, of one or more labels. */
static bool fits(struct slice pattern, struct slice origin) {
    const char *star = memchr(pattern.ptr, '*', pattern.len);
    if (star == NULL) return slice_eq_nocase(pattern, origin);
    struct slice before = slice_of(pattern.ptr, (size_t)(star - pattern.ptr));
    struct slice after = slice_of(star + 1, pattern.len - before.len - 1);
    if (origin.len <= before.len + after.len || !slice_starts_nocase(origin, before)) return false;
    struct slice name = slice_of(origin.ptr + before.len, origin.len - before.len - after.len);
    return slice_eq_nocase(slice_of(name.ptr + name.len, after.len), after) && is_host_name(name);
}

static bool has_any(const struct cors *c) {
    for (unsigned i = 0; i < c->origin_count; i++)
        if (strcmp(c->origins[i], "*") == 0) return true;
    return false;
}

bool cors_allows(const struct cors *c, struct slice origin) {
    if (has_any(c)) return true;
    for (unsigned i = 0; i < c->origin_count; i++)
        if (fits(slice_str(c->origins[i]), origin)) return true;
    return false;
}

void cors_lines(const struct cors *c, struct slice origin, struct buf *out) {
    if (c->origin_count == 0) return;
    bool any = has_any(c);
    if (!any) headers_put(out, SLICE("vary"), SLICE("origin"));
    if (origin.ptr == NULL || !cors_allows(c, origin)) return;
    headers_put(out, SLICE("access-control-allow-origin"), any ? SLICE("*") : origin);
    if (c->credentials) headers_put(out, SLICE("access-control-allow-credentials"), SLICE("true"));
    if (c->expose[0] != '\0') headers_put(out, SLICE("access-control-expose-headers"), slice_str(c->expose));
}

bool cors_is_preflight(const struct cors *c, struct slice method, struct slice origin, struct slice asked) {
    return c->origin_count > 0 && slice_eq(method, SLICE("OPTIONS")) && origin.ptr != NULL && asked.len > 0;
}

bool cors_preflight(const struct cors *c, struct slice origin, struct slice wanted, struct buf *out) {
    if (!cors_allows(c, origin)) return false;
    headers_put(out, SLICE("access-control-allow-methods"), METHODS);
    struct slice headers = c->headers[0] != '\0' ? slice_str(c->headers) : wanted;
    if (headers.len > 0) headers_put(out, SLICE("access-control-allow-headers"), headers);
    if (c->headers[0] == '\0') headers_put(out, SLICE("vary"), SLICE("access-control-request-headers"));
    buf_printf(out, "access-control-max-age: %u\r\n", c->max_age);
    return true;
}

bool cors_is_same(struct slice origin, struct slice host) {
    const char *colon = origin.len > 0 ? memmem(origin.ptr, origin.len, "://", 3) : NULL;
    if (colon == NULL || host.len == 0) return false; /* "null" is nowhere */
    struct slice place = slice_of(colon + 3, origin.len - (size_t)(colon + 3 - origin.ptr));
    struct slice usual = slice_starts_nocase(origin, SLICE("https:")) ? SLICE(":443") : SLICE(":80");
    if (slice_ends(place, usual)) place.len -= usual.len;
    if (slice_ends(host, usual)) host.len -= usual.len;
    return place.len > 0 && slice_eq_nocase(place, host);
}
