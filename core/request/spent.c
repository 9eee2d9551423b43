/* spent.c -- requests that policies make (perilune.ask), and who pays for them.
 *
 *     the client's request  "a1"                    the one line of the bill
 *         |  asks: list of those that are not over
 *         |  spent: { upstream, usage } ...  <-----------------+
 *         +--> child "a1.1"  --> an upstream                   |  spent_note(), when it is over
 *         +--> child "a1.2"  --> policies of a route ----------+
 *                   +--> child "a1.2.1"
 *
 * A child has its parent's deadline, tenant and headers, and never outlives it: whoever ends a request first ends
 * what was asked for it (spent_stop_all), and only then adds up what it used.
 *
 * A child is a line of the log and a count of its own, so its tokens must not be counted again with the parent's
 * answer, of which they may be a part: `elsewhere` in struct usage says how many of them are.  Limits are about the
 * parent, though, and settle both.  What went through limits of its own (a route with a limit) was settled there, and
 * not again.
 *
 * Routes that ask each other would never come to an end: a route stands at most once in a line of ancestors, and the
 * line has at most ASK_MOST_DEEP members. */
#include "request/spent.h"

#include <stdio.h>

/* "'/a' asks '/b' asks '/a'", from the client's on. */
static void describe_cycle(const struct request *parent, const char *label, char *out, size_t size) {
    const struct request *line[ASK_MOST_DEEP + 1];
    unsigned n = 0;
    for (const struct request *r = parent; r != NULL && n < ASK_MOST_DEEP; r = r->parent) line[n++] = r;
    size_t at = 0;
    for (unsigned i = n; i-- > 0 && at < size;)
        if (line[i]->parent == NULL || line[i]->through)
            at += (size_t)snprintf(out + at, size - at, "'%s' asks ", line[i]->route_label);
    if (at < size) snprintf(out + at, size - at, "'%s'", label);
}

static int check_line(const struct request *parent, const struct ask_route *route, struct failure *f) {
    unsigned deep = 0;
    for (const struct request *r = parent; r != NULL; r = r->parent, deep++) {
        bool runs = r->parent == NULL || r->through; /* its policies do, not only its name is inherited */
        if (route == NULL || !runs || strcmp(r->route, route->identity) != 0) continue;
        char line[150];
        describe_cycle(parent, route->label, line, sizeof(line));
        failure_set(f, FAILURE_POLICY, "policies ask each other in a circle");
        snprintf(f->code, sizeof(f->code), "ask_cycle");
        snprintf(f->detail, sizeof(f->detail), "%s; ask an upstream, "
                 "or a route without the policy that asks", line);
        return PERILUNE_ERR_INVAL;
    }
    if (deep < ASK_MOST_DEEP) return 0;
    failure_set(f, FAILURE_POLICY, "policies ask each other more than %d deep", ASK_MOST_DEEP);
    snprintf(f->code, sizeof(f->code), "ask_too_deep");
    return PERILUNE_ERR_LIMITED;
}

/* Lines that say what the client's own body is, or how it wants the answer; a child has a body of its own. */
static bool is_of_body(struct slice name) {
    static const struct slice names[] = { SLICE("content-length"), SLICE("content-type"), SLICE("content-encoding"),
                                          SLICE("transfer-encoding"), SLICE("accept"), SLICE("accept-encoding"),
                                          SLICE("expect"), SLICE("idempotency-key"), SLICE("connection"),
                                          SLICE("x-request-id"), SLICE("te"), SLICE("trailer"), SLICE("upgrade") };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (slice_eq_nocase(name, names[i])) return true;
    return false;
}

/* Behind the child's own.  Policies of a route ask again for the lines that others took away (a key). */
static bool take_headers(struct request *child, const struct request *parent, bool all) {
    unsigned count = parent->header_count + (all ? parent->removed : 0), own = child->header_count;
    struct http_header *lines = arena_alloc(&child->arena, (own + count + 1) * sizeof(*lines));
    if (lines == NULL) return false;
    if (own > 0) memcpy(lines, child->headers, own * sizeof(*lines));
    for (unsigned i = 0; i < count && own < HTTP_MAX_HEADERS; i++) {
        struct http_header h = parent->headers[i];
        if (is_of_body(h.name) || http_headers_value(lines, own, h.name).ptr != NULL) continue;
        h.name.ptr = arena_dup(&child->arena, h.name);
        h.value.ptr = arena_dup(&child->arena, h.value);
        if (h.name.ptr == NULL || h.value.ptr == NULL) return false;
        lines[own++] = h;
    }
    child->headers = lines;
    child->header_count = own;
    return true;
}

/* Names are the child's own: its handle may outlive a reload. */
static bool name_route(struct request *child, const char *identity, const char *label) {
    const char *own = arena_dup(&child->arena, slice_str(identity));
    const char *called = arena_dup(&child->arena, slice_str(label));
    if (own == NULL || called == NULL) return false;
    child->route = own;
    child->route_label = called;
    return true;
}

#define SAMPLES 1000003 /* a prime beyond what of_sample() takes */

static bool adopt(struct request *child, struct request *parent, bool through) {
    child->parent = parent;
    child->deadline_ms = parent->deadline_ms;
    memcpy(child->tenant, parent->tenant, sizeof(child->tenant));
    const char *peer = arena_dup(&child->arena, slice_str(parent->peer));
    if (peer != NULL) child->peer = peer;
    snprintf(child->id, sizeof(child->id), "%.64s.%u", parent->id, ++parent->asked_count);
    return peer != NULL && take_headers(child, parent, through);
}

int spent_adopt(struct request *child, struct request *parent, const struct ask_route *route, struct failure *f) {
    int rc = parent ? check_line(parent, route, f) : 0;
    if (rc != 0) return rc;
    child->through = route != NULL;
    /* What is asked for one of several is of that one, too. */
    if (parent != NULL) child->sample += parent->sample * SAMPLES;
    bool ok = parent == NULL || adopt(child, parent, route != NULL);
    if (route != NULL && route->guard != NULL) slice_copy(child->guard, sizeof(child->guard), slice_str(route->guard));
    if (route != NULL) ok = ok && name_route(child, route->identity, route->label);
    else if (parent != NULL) ok = ok && name_route(child, parent->route, parent->route_label);
    if (ok) return 0;
    failure_set(f, FAILURE_NO_MEMORY, "out of memory");
    return PERILUNE_ERR_NOMEM;
}

struct request *spent_root(struct request *r) {
    while (r->parent != NULL) r = r->parent;
    return r;
}

static void add(struct request *to, const char *upstream, bool settled, const struct usage *u, unsigned times) {
    struct spent *e = to->spent;
    while (e != NULL && (e->settled != settled || strcmp(e->upstream, upstream) != 0)) e = e->next;
    if (e == NULL) {
        e = arena_alloc(&to->arena, sizeof(*e)); /* without memory it is in the metrics, and not in the limits */
        if (e == NULL) return;
        *e = (struct spent){ .next = to->spent, .settled = settled };
        slice_copy(e->upstream, sizeof(e->upstream), slice_str(upstream));
        to->spent = e;
    }
    e->times += times;
    e->usage.known = true;
    e->usage.prompt += u->prompt;
    e->usage.completion += u->completion;
    e->usage.cached += u->cached;
}

void spent_note(struct request *child, const struct response *res, const struct outcome *o) {
    struct request *to = child->parent;
    if (to == NULL) return;
    bool settled = child->reserved != NULL;
    struct usage u = o->usage.known ? usage_here(&o->usage) : (struct usage){ .known = false };
    if (res != NULL && response_cache_spares(response_cache_of(res))) u = (struct usage){ .known = false };
    add(to, res ? res->upstream : "", settled, &u, 1);
    for (const struct spent *e = child->spent; e != NULL; e = e->next)
        add(to, e->upstream, settled || e->settled, &e->usage, e->times);
}

void spent_stop_all(struct request *r) {
    while (!list_is_empty(&r->asks)) {
        struct ask *a = container_of(r->asks.next, struct ask, link);
        list_remove(&a->link);
        a->stop(a);
    }
}
