/* admin.c -- the operator's listener: health, metrics, reload, tasks.
 *
 * It lives on the owner's loop and is not reachable through the clients' listeners.  Health and metrics read
 * counters and answer whatever workers do; reload and tasks ask each worker and wait until its loop turns. */
#include <stdio.h>
#include <string.h>

#include "gateway/admin_limits.h"
#include "gateway/gateway.h"
#include "gateway/job_rows.h"

static void send_text(struct http_request *r, int status, const char *type, struct slice body) {
    struct buf h;
    buf_init(&h, 0);
    buf_printf(&h, "content-type: %s\r\ncache-control: no-store\r\n", type);
    reply_send(r, status, buf_get(&h), body);
    buf_deinit(&h);
}

/* What b holds; half of it would be mistaken for all.  Empties b. */
static void send_buf(struct http_request *r, int status, const char *type, struct buf *b) {
    if (buf_failed(b)) send_text(r, 503, "application/json", SLICE("{\"error\":{\"message\":\"out of memory\"}}"));
    else send_text(r, status, type, buf_get(b));
    buf_deinit(b);
}

static void send_error(struct http_request *r, int status, const char *message) {
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "{\"error\":{\"message\":");
    json_write_string(&b, slice_str(message));
    buf_puts(&b, "}}");
    send_buf(r, status, "application/json", &b);
}

static void healthz(struct perilune *g, struct http_request *r) {
    (void)g;
    send_text(r, 200, "text/plain", SLICE("ok\n"));
}

static void readyz(struct perilune *g, struct http_request *r) {
    if (g->draining) send_error(r, 503, "draining");
    else if (g->config == NULL) send_error(r, 503, "no configuration is loaded");
    else send_text(r, 200, "text/plain", SLICE("ready\n"));
}

static void metrics(struct perilune *g, struct http_request *r) {
    struct buf b;
    buf_init(&b, 0);
    metrics_write(g, &b);
    send_buf(r, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
}

static void reload(struct perilune *g, struct http_request *r) {
    if (perilune_reload(g) != 0) {
        send_error(r, g->draining ? 503 : 422, g->errmsg);
        return;
    }
    struct buf b;
    buf_init(&b, 0);
    buf_printf(&b, "{\"generation\":%llu", (unsigned long long)stats_get(&g->generation));
    if (g->errmsg[0]) { /* settings that only a restart can change */
        buf_puts(&b, ",\"warning\":");
        json_write_string(&b, slice_str(g->errmsg));
    }
    buf_puts(&b, "}");
    send_buf(r, 200, "application/json", &b);
}

static void describe(struct worker *w, void *ud) { worker_describe(w, ud); }

static void tasks(struct perilune *g, struct http_request *r) {
    struct buf all;
    buf_init(&all, 0);
    buf_puts(&all, "{\"tasks\":[");
    for (unsigned i = 0; i < g->worker_count; i++) {
        struct buf one;
        buf_init(&one, 0);
        gateway_ask(&g->workers[i], describe, &one);
        if (buf_len(&one) > 0 && buf_len(&all) > 10) buf_putc(&all, ',');
        buf_slice(&all, buf_get(&one));
        if (buf_failed(&one)) all.error = one.error;
        buf_deinit(&one);
    }
    buf_puts(&all, "]}");
    send_buf(r, 200, "application/json", &all);
}

static void upstreams(struct perilune *g, struct http_request *r) {
    struct buf b;
    buf_init(&b, 0);
    admin_upstreams(g, &b);
    send_buf(r, 200, "application/json", &b);
}

static void cache_list(struct perilune *g, struct http_request *r) {
    char why[256];
    struct buf b;
    buf_init(&b, 0);
    if (admin_cache_list(g, r->query, &b, why, sizeof(why)) == 200) {
        send_buf(r, 200, "application/json", &b);
        return;
    }
    buf_deinit(&b);
    send_error(r, 400, why);
}

static void cache_explain(struct perilune *g, struct http_request *r) {
    struct buf b;
    buf_init(&b, 0);
    admin_cache_explain(g, &b);
    send_buf(r, 200, "application/json", &b);
}

static void cache_show(struct perilune *g, struct http_request *r) {
    static const struct slice before = SLICE("/admin/cache/");
    struct buf b;
    buf_init(&b, 0);
    if (admin_cache_show(g, slice_of(r->path.ptr + before.len, r->path.len - before.len), &b)) {
        send_buf(r, 200, "application/json", &b);
        return;
    }
    buf_deinit(&b);
    send_error(r, 404, "there is no such entry; GET /admin/cache lists some");
}

static void cache_purge(struct perilune *g, struct http_request *r) {
    char said[64], why[256];
    size_t entries = 0;
    bool pending;
    int status = admin_cache_purge(g, r->query, &entries, &pending, why, sizeof(why));
    snprintf(said, sizeof(said), "{\"purged\":true,\"entries\":%zu%s}", entries, pending ? ",\"pending\":true" : "");
    if (status == 404) send_error(r, 404, "there is no such entry");
    else if (status == 503) send_error(r, 503, "out of memory");
    else if (status == 400) send_error(r, 400, why);
    else send_text(r, 200, "application/json", slice_str(said));
}

static void limit_list(struct perilune *g, struct http_request *r) {
    struct buf b;
    buf_init(&b, 0);
    admin_limits(g, &b);
    send_buf(r, 200, "application/json", &b);
}

static const struct {
    const char *method, *path;
    void      (*fn)(struct perilune *g, struct http_request *r);
} pages[] = { { "GET", "/healthz", healthz },
              { "GET", "/readyz", readyz },
              { "GET", "/metrics", metrics },
              { "GET", "/admin/tasks", tasks },
              { "GET", "/admin/upstreams", upstreams },
              { "GET", "/admin/cache", cache_list },
              { "DELETE", "/admin/cache", cache_purge },
              { "GET", "/admin/cache/explain", cache_explain },
              { "GET", "/admin/cache/*", cache_show },
              { "GET", "/admin/limits", limit_list },
              { "GET", "/admin/jobs", admin_jobs },
              { "POST", "/admin/reload", reload } };

/* "/a/ *" (without the space) is all below /a/. */
static bool is_page(const char *page, struct slice path) {
    size_t n = strlen(page);
    if (page[n - 1] != '*') return slice_eq(path, slice_str(page));
    return path.len >= n && memcmp(path.ptr, page, n - 1) == 0;
}

static void send_not_allowed(struct http_request *r, struct slice allow) {
    struct buf h;
    buf_init(&h, 0);
    buf_printf(&h, "content-type: application/json\r\nallow: %.*s\r\n", SLICE_ARG(allow));
    reply_send(r, 405, buf_get(&h), SLICE("{\"error\":{\"message\":\"this method is not allowed here\"}}"));
    buf_deinit(&h);
}

static void on_request(void *ud, struct http_request *r) {
    struct buf allow;
    buf_init(&allow, 0);
    for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
        if (!is_page(pages[i].path, r->path)) continue;
        bool get = pages[i].method[0] == 'G';
        if (slice_eq(r->method, slice_str(pages[i].method)) || (get && slice_eq(r->method, SLICE("HEAD")))) {
            buf_deinit(&allow);
            pages[i].fn(ud, r);
            return;
        }
        buf_printf(&allow, "%s%s", buf_len(&allow) > 0 ? ", " : "", get ? "GET, HEAD" : pages[i].method);
    }
    if (buf_len(&allow) > 0) send_not_allowed(r, buf_get(&allow));
    else send_error(r, 404, "no such page");
    buf_deinit(&allow);
}

/* Only one page is answered later. */
static void on_gone(void *ud, struct http_request *r) {
    (void)ud;
    admin_jobs_gone(r);
}

static void on_drained(void *ud, struct http_request *r) { (void)ud; (void)r; }

static void on_refused(void *ud, int status, const char *why, struct buf *out) {
    (void)ud;
    (void)status;
    buf_puts(out, "{\"error\":{\"message\":");
    json_write_string(out, slice_str(why));
    buf_puts(out, "}}");
}

static int open_server(struct perilune *g) {
    struct http_handler h = { .ud = g, .request = on_request, .gone = on_gone, .drained = on_drained,
                              .refused = on_refused };
    struct http_limits limits = { .body = 65536, .header_ms = 10000, .body_ms = 10000, .idle_ms = 60000,
                                  .send_ms = 10000, .high_water = 1 << 20, .low_water = 1 << 16,
                                  .connections = 64, .compress_min = 1024 };
    int rc = http_server_init(&g->admin, &g->loop, &g->log, &h, &limits);
    g->admin_open = rc == 0;
    return rc;
}

int admin_listen(struct perilune *g, const char *address, int *port) {
    if (address == NULL) return 0;
    if (!g->admin_open) {
        int rc = open_server(g);
        if (rc != 0) return rc;
    }
    int shared, rc = gateway_socket(g, address, &shared); /* also when it is there: it stays asked for */
    if (rc != 0 || http_server_has(&g->admin, address)) return rc;
    if (shared >= 0) return http_server_share(&g->admin, address, shared, NULL, port, g->errmsg, sizeof(g->errmsg));
    return http_server_listen(&g->admin, address, !g->config->reuse_port, NULL, port, g->errmsg, sizeof(g->errmsg));
}

void admin_keep(struct perilune *g, const char *address) {
    if (!g->admin_open) return;
    http_server_keep(&g->admin, &address, address ? 1 : 0);
    g->admin_port = address ? http_server_port(&g->admin, address) : 0;
}

void admin_close(struct perilune *g) { http_server_close(&g->admin); }
