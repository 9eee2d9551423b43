/* origin.c -- one host and port: its idle connections, its addresses, its TLS ticket.
 *
 *     idle:  newest <-> ... <-> oldest
 *            pop, push            reap, one timer for the oldest
 *
 * The connection used last is used first: it is the least likely to have been closed
 * by the server meanwhile, and those that a lull leaves over grow old together and go.
 * An origin without pools, dials and connections is freed.
 *
 * With TLS an origin is a host, a port and whom its certificate is checked against: what
 * one setting of `ca` or `insecure` accepted is never used for another.  Contexts of two
 * configurations that trust the same authorities are the same, and so connections outlive
 * a reload.  The same holds for which addresses may be called (reach.h): a kept connection to one that is
 * not public is never lent to who may not go there.
 *
 * Thread: its client's loop. */
#include "upstream/origin.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/mem.h"
#include "upstream/http1.h"

#define KNOWN_MS 30000 /* getaddrinfo() does not tell the record's time to live */
#define IDLE_MAX 4096 /* per origin and thread; more are closed */

/* -- Which URLs ------------------------------------------------------------------ */

struct place {
    struct slice host, authority, path;
    uint16_t     port;
};

static bool is_host_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_' || c == ':';
}

/* "8080"; false for anything but a port. */
static bool read_port(struct slice s, uint16_t *port) {
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || n > 65535) return false;
        n = n * 10 + (unsigned)(s.ptr[i] - '0');
    }
    *port = (uint16_t)n;
    return s.len > 0 && n > 0 && n <= 65535;
}

bool origin_is_tls(const char *url) { return strncasecmp(url, "https://", 8) == 0; }

/* http[s]://host[:port][/path], host a name, an IPv4 address or [an IPv6 address]. */
static bool take_apart(const char *url, struct place *out) {
    bool tls = origin_is_tls(url);
    if (!tls && strncasecmp(url, "http://", 7) != 0) return false;
    const char *begin = url + (tls ? 8 : 7);
    size_t n = strcspn(begin, "/?#");
    out->authority = slice_of(begin, n);
    out->path = slice_str(begin + n);
    for (const char *p = begin + n; *p != '\0'; p++)
        if (*p <= ' ' || *p == 0x7f || *p == '#') return false; /* also what is not ASCII */
    struct slice host = out->authority, port = { NULL, 0 };
    if (n > 0 && begin[0] == '[') {
        const char *close = memchr(begin, ']', n);
        if (close == NULL) return false;
        host = slice_of(begin + 1, (size_t)(close - begin - 1));
        if (close + 1 < begin + n && close[1] != ':') return false;
        if (close + 1 < begin + n) port = slice_of(close + 2, (size_t)(begin + n - close - 2));
    } else {
        const char *colon = memchr(begin, ':', n);
        if (colon != NULL) {
            host = slice_of(begin, (size_t)(colon - begin));
            port = slice_of(colon + 1, (size_t)(begin + n - colon - 1));
        }
    }
    for (size_t i = 0; i < host.len; i++)
        if (!is_host_byte(host.ptr[i])) return false;
    out->host = host;
    out->port = tls ? 443 : 80;
    return host.len > 0 && host.len < 256 && (port.ptr == NULL || read_port(port, &out->port));
}

/* -- Life --------------------------------------------------------------------------- */

/* An address needs no resolver. */
static void read_address(struct origin *o) {
    union address *a = &o->addresses[0];
    if (uv_ip4_addr(o->host, o->port, &a->v4) != 0 && uv_ip6_addr(o->host, o->port, &a->v6) != 0) return;
    o->address_count = 1;
    o->known_until_ms = UINT64_MAX;
}

static void origin_free(struct origin *o) {
    if (o->link.next != NULL) list_remove(&o->link);
    timer_stop(o->client->loop, &o->reap);
    tls_ticket_deinit(&o->ticket);
    tls_context_put(o->tls);
    mem_free(o->reach);
    mem_free(o->authority);
    mem_free(o->host);
    mem_free(o);
}

static struct origin *origin_new(struct client *c, const struct place *p, struct tls_context *tls,
                                 const struct reach *reach) {
    struct origin *o = mem_zalloc(sizeof(*o));
    if (o == NULL) return NULL;
    o->client = c;
    o->port = p->port;
    o->tls = tls_context_ref(tls);
    list_init(&o->idle);
    o->authority = mem_dup(p->authority.ptr, p->authority.len);
    o->host = mem_dup(p->host.ptr, p->host.len);
    if (reach != NULL) o->reach = mem_alloc(sizeof(*reach));
    if (o->reach != NULL) *o->reach = *reach;
    if (o->authority == NULL || o->host == NULL || (reach != NULL && o->reach == NULL)) {
        origin_free(o);
        return NULL;
    }
    read_address(o);
    list_append(&c->origins, &o->link);
    return o;
}

struct origin *origin_take(struct client *c, const char *url, struct tls_context *tls, const struct reach *reach,
                           struct slice *path) {
    struct place p;
    if (!take_apart(url, &p)) return NULL;
    if (!origin_is_tls(url)) tls = NULL;
    else if (tls == NULL) return NULL;
    *path = p.path;
    for (struct list *e = c->origins.next; e != &c->origins; e = e->next) {
        struct origin *o = container_of(e, struct origin, link);
        if (!slice_eq_nocase(slice_str(o->authority), p.authority) || !tls_context_is_same(o->tls, tls)) continue;
        if (!reach_is_same(o->reach, reach)) continue;
        o->refs++;
        return o;
    }
    struct origin *o = origin_new(c, &p, tls, reach);
    if (o != NULL) o->refs = 1;
    return o;
}

static void free_unused(struct origin *o) {
    if (o->refs == 0 && o->idle_count == 0) origin_free(o);
}

void origin_put(struct origin *o) {
    if (o == NULL) return;
    o->refs--;
    free_unused(o);
}

bool origin_is_known(const struct origin *o) { return o->known_until_ms > loop_now(o->client->loop); }

void origin_keep(struct origin *o, const struct addrinfo *all) {
    o->address_count = 0;
    for (const struct addrinfo *a = all; a != NULL && o->address_count < ORIGIN_ADDRESSES; a = a->ai_next) {
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
        union address *to = &o->addresses[o->address_count++];
        *to = (union address){ .any = { 0 } };
        memcpy(to, a->ai_addr, a->ai_family == AF_INET ? sizeof(to->v4) : sizeof(to->v6));
        if (a->ai_family == AF_INET) to->v4.sin_port = htons(o->port);
        else to->v6.sin6_port = htons(o->port);
    }
    o->known_until_ms = loop_now(o->client->loop) + KNOWN_MS;
}

void origin_forget(struct origin *o) {
    if (o->known_until_ms != UINT64_MAX) o->known_until_ms = 0;
}

/* -- Idle connections ------------------------------------------------------------------ */

static void reap(struct timer *t) {
    struct origin *o = container_of(t, struct origin, reap);
    uint64_t now = loop_now(o->client->loop);
    o->refs++; /* the last to go would take o along */
    while (o->idle_count > 0) {
        struct http1 *h = http1_of_link(o->idle.prev);
        if (http1_idle_until(h) > now) {
            /* No memory for a timer: closed by the server, or when one comes. */
            timer_start(o->client->loop, &o->reap, http1_idle_until(h) - now, reap);
            break;
        }
        http1_close(h);
    }
    origin_put(o);
}

struct http1 *origin_pop(struct origin *o) {
    if (o->idle_count == 0) return NULL;
    struct http1 *h = http1_of_link(o->idle.next);
    list_remove(o->idle.next);
    o->idle_count--;
    return h;
}

bool origin_push(struct origin *o, struct http1 *h, uint64_t idle_ms) {
    if (o->idle_count >= IDLE_MAX) return false;
    struct list *link = http1_link(h);
    link->next = o->idle.next; /* at the front */
    link->prev = &o->idle;
    o->idle.next->prev = link;
    o->idle.next = link;
    o->idle_count++;
    if (!timer_is_running(&o->reap)) timer_start(o->client->loop, &o->reap, idle_ms, reap);
    return true;
}

void origin_drop(struct origin *o, struct http1 *h) {
    list_remove(http1_link(h));
    o->idle_count--;
    free_unused(o);
}

void origin_close_all(struct client *c) {
    while (!list_is_empty(&c->origins)) {
        struct origin *o = container_of(c->origins.next, struct origin, link);
        o->refs++;
        while (o->idle_count > 0) http1_close(http1_of_link(o->idle.next));
        origin_free(o);
    }
}
