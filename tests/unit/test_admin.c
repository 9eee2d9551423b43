/* test_admin.c -- the admin listener and the metrics, also when memory runs out.
 *
 * The gateway runs on the test's own thread: a client writes a request, the gateway is polled
 * until the connection has an answer or is closed. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "flow/records.h"
#include "gateway/gateway.h"
#include "request/cached.h"
#include "include/perilune.h"
#include "unit.h"

static char path[] = "/tmp/perilune-admin-XXXXXX";
static char answer[1 << 16];

static const char CONFIG[] = "return { listen = '127.0.0.1:0', admin = '127.0.0.1:0',"
                             " upstreams = { up = { url = 'http://127.0.0.1:9/v1' } } }";

static void write_config(const char *text) {
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    fputs(text, f);
    fclose(f);
}

static perilune *open_gateway(void) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    char err[512] = "";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    write_config(CONFIG);
    o.config = path;
    CHECK_INT(perilune_open(&g, &o, err, sizeof(err)), 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
    CHECK(perilune_admin_port(g) > 0);
    return g;
}

/* The status; 0 when the connection was closed without an answer.  The bytes are in `answer`. */
static int ask(perilune *g, const char *method, const char *target) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)perilune_admin_port(g)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    char request[256];
    int n = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, target);
    CHECK(send(fd, request, (size_t)n, MSG_NOSIGNAL) == n);
    size_t len = 0;
    for (;;) {
        ssize_t got = recv(fd, answer + len, sizeof(answer) - 1 - len, 0);
        if (got > 0) len += (size_t)got;
        else if (got == 0 || (errno != EAGAIN && errno != EINTR)) break;
        else CHECK_INT(perilune_poll(g, 1), 0);
    }
    answer[len] = '\0';
    close(fd);
    int status = 0;
    if (len > 0) CHECK(sscanf(answer, "HTTP/1.1 %d ", &status) == 1);
    return status;
}

static const char *body(void) {
    const char *end = strstr(answer, "\r\n\r\n");
    return end ? end + 4 : "";
}

/* Prometheus' text format: HELP, TYPE, samples of that name; no family twice.  The last family
 * of all is there, so nothing was cut. */
static void check_metrics(const char *text) {
    static char seen[64 * 128];
    char family[128] = "", line[1024];
    unsigned samples = 0;
    seen[0] = '\0';
    for (const char *at = text, *end; *at != '\0'; at = end + 1) {
        end = strchr(at, '\n');
        CHECK(end != NULL && end - at < (long)sizeof(line));
        memcpy(line, at, (size_t)(end - at));
        line[end - at] = '\0';
        NOTE("%s", line);
        if (strncmp(line, "# HELP ", 7) == 0) {
            char mark[140];
            CHECK(sscanf(line + 7, "%127s", family) == 1 && strlen(line) > 8 + strlen(family));
            snprintf(mark, sizeof(mark), " %s ", family);
            CHECK(strstr(seen, mark) == NULL);
            CHECK(strlen(seen) + strlen(mark) < sizeof(seen));
            strcat(seen, mark);
        } else if (line[0] == '#') {
            char name[128], type[16];
            CHECK(sscanf(line, "# TYPE %127s %15s", name, type) == 2);
            CHECK_STR(name, family);
            CHECK(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0 || strcmp(type, "histogram") == 0);
        } else {
            char *space = strrchr(line, ' '), *rest;
            CHECK(strncmp(line, family, strlen(family)) == 0 && space != NULL);
            strtod(space + 1, &rest);
            CHECK(*rest == '\0' && rest > space + 1);
            samples++;
        }
    }
    CHECK(samples > 30);
    CHECK(strstr(seen, " perilune_policy_seconds ") != NULL);
}

TEST_NOFAULT(pages) {
    perilune *g = open_gateway();
    CHECK_INT(ask(g, "GET", "/healthz"), 200);
    CHECK_STR(body(), "ok\n");
    CHECK_INT(ask(g, "GET", "/readyz"), 200);
    CHECK_INT(ask(g, "HEAD", "/metrics"), 200);
    CHECK_STR(body(), "");
    CHECK_INT(ask(g, "GET", "/metrics"), 200);
    check_metrics(body());
    CHECK(strstr(answer, "perilune_upstream_calls_total{upstream=\"up\"} 0\n") != NULL);
    CHECK_INT(ask(g, "GET", "/admin/tasks"), 200);
    CHECK_STR(body(), "{\"tasks\":[]}");
    CHECK_INT(ask(g, "POST", "/metrics"), 405);
    CHECK_INT(ask(g, "GET", "/admin/reload"), 405);
    CHECK_INT(ask(g, "GET", "/metrics/"), 404);
    perilune_close(g);
    unlink(path);
}

TEST_NOFAULT(reload_is_counted_whether_it_takes_effect_or_not) {
    perilune *g = open_gateway();
    CHECK_INT(ask(g, "POST", "/admin/reload"), 200);
    CHECK_STR(body(), "{\"generation\":2}");
    write_config("return { listen = \"127.0.0.1:0\", \"quoted\" }");
    CHECK_INT(ask(g, "POST", "/admin/reload"), 422);
    CHECK(strncmp(body(), "{\"error\":{\"message\":\"", 21) == 0);
    char text[65536];
    CHECK(perilune_stats(g, text, sizeof(text)) > 1000);
    check_metrics(text);
    CHECK(strstr(text, "perilune_reload_generation 2\n") != NULL);
    CHECK(strstr(text, "perilune_reloads_total 1\n") != NULL);
    CHECK(strstr(text, "perilune_reload_failures_total 1\n") != NULL);
    perilune_close(g);
    unlink(path);
}

/* A stream as servers send it, whose events all say "logprobs":null. */
static void keep_stream(perilune *g, struct hash128 key) {
    static const char *const events[] = {
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"over \"},\"logprobs\":null,\"finish_reason\":null}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"the hill\"},\"logprobs\":{\"content\":[{\"token\":\"x\"}]}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}",
    };
    struct buf data, meta;
    buf_init(&data, 0);
    buf_init(&meta, 0);
    for (int i = 0; i < 3; i++)
        CHECK(records_put(&data, &(struct event){ .type = EVENT_FRAME, .data = slice_str(events[i]),
                                                  .raw = slice_str(events[i]) }));
    cached_write(&(struct cached){ .kind = CACHED_STREAM, .dialect = &openai_chat, .usage_at = CACHED_NO_USAGE,
                                   .cache = SLICE("n"), .tenant = SLICE("a") }, &meta);
    CHECK_INT(cache_put(g->stores->cache, &(struct cache_item){ .key = key, .meta = buf_get(&meta),
                                                                .data = buf_get(&data), .fresh_ms = 1000000 },
                        loop_now(&g->loop)), 0);
    buf_deinit(&data);
    buf_deinit(&meta);
}

TEST_NOFAULT(an_entry_is_shown_and_purged_by_what_the_reply_said) {
    perilune *g = open_gateway();
    keep_stream(g, (struct hash128){ .low = 0x1f, .high = 0x2e });
    CHECK_INT(ask(g, "GET", "/admin/cache/000000000000002e000000000000001f"), 200);
    CHECK(strstr(body(), "\"answer\":\"over the hill\"}") != NULL);
    CHECK_INT(ask(g, "GET", "/admin/cache/000000000000002e000000000000001f@0.9788"), 200);
    CHECK_INT(ask(g, "GET", "/admin/cache/000000000000002e000000000000001f%400.9788"), 200);
    CHECK_INT(ask(g, "GET", "/admin/cache/000000000000002e000000000000001e"), 404);
    CHECK_INT(ask(g, "GET", "/admin/cache/2e"), 404);
    CHECK_INT(ask(g, "DELETE", "/admin/cache?key=000000000000002e000000000000001f%400.9788"), 200);
    CHECK_INT(ask(g, "DELETE", "/admin/cache?key=000000000000002e000000000000001f@0.9788"), 404);
    perilune_close(g);
    unlink(path);
}

/* Whatever allocation fails: an answer is whole, or says that it is none, or does not come. */
static void every_allocation(const char *method, const char *target, void (*check)(const char *)) {
    perilune *g = open_gateway();
    ask(g, method, target); /* what stays allocated afterwards */
    for (int forever = 0; forever < 2; forever++) {
        bool reached = true;
        for (long n = 1; reached; n++) {
            mem_fail_at(n, forever);
            int status = ask(g, method, target);
            reached = mem_fail_count() >= n;
            mem_fail_at(0, false);
            NOTE("%s, allocation %ld%s: %d", target, n, forever ? " and all behind it" : "", status);
            if (status == 200) check(body());
            else CHECK(reached && (status == 0 || status == 503));
        }
    }
    CHECK_INT(ask(g, "GET", "/healthz"), 200);
    perilune_close(g);
    unlink(path);
}

static void check_tasks(const char *text) { CHECK_STR(text, "{\"tasks\":[]}"); }

TEST_NOFAULT(metrics_are_whole_or_none_without_memory) { every_allocation("GET", "/metrics", check_metrics); }
TEST_NOFAULT(tasks_are_whole_or_none_without_memory) { every_allocation("GET", "/admin/tasks", check_tasks); }
