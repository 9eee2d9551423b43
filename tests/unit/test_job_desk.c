/* test_job_desk.c -- jobs by HTTP, with memory that runs out.
 *
 * The gateway and its client share this thread.  Whatever allocation fails while a job is made, done, asked for or
 * watched, the client gets a whole answer, a whole error, or an answer that breaks off; what was accepted is completed
 * as soon as there is memory again; and the next client is served. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "gateway/job_frames.h"
#include "include/perilune.h"
#include "unit.h"

static const char CONFIG[] =
    "local perilune = require 'perilune'\n"
    "return { listen = '127.0.0.1:0', jobs = { memory = true, backoff = 0.01, lease = 1, max_tries = 100 },\n"
    "  upstreams = { up = { url = 'http://127.0.0.1:9/v1' } }, routes = {\n"
    "  { path = '/v1/chat/completions', policies = { { function(req, next)\n"
    "      req.tenant = 'acme'\n"
    "      return next(req)\n"
    "    end, admits = true }, function(req, next)\n"
    "    return perilune.respond{ text = 'hello', stream = req.stream }\n"
    "  end } } } }\n";

static perilune *start(char *path) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    char err[512] = "";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK(write(fd, CONFIG, sizeof(CONFIG) - 1) == (ssize_t)sizeof(CONFIG) - 1);
    close(fd);
    o.config = path;
    if (perilune_open(&g, &o, err, sizeof(err)) != 0) FAIL("%s", err);
    CHECK_INT(perilune_listen(g, NULL), 0);
    unlink(path);
    return g;
}

static char answer[65536];

/* Memory fails from allocation n on (0: never) for the first turns of the loop, at most.  The status; 0: none. */
static int ask_as(perilune *g, const char *version, const char *method, const char *path, const char *body, long n,
                  bool forever, bool *reached) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)perilune_port(g)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char text[1024];
    int fd = socket(AF_INET, SOCK_STREAM, 0), status = 0;
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    int len = snprintf(text, sizeof(text), "%s %s %s\r\nhost: a\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n%s",
                       method, path, version, strlen(body), body);
    CHECK_INT(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
    if (n > 0) mem_fail_at(n, forever);
    size_t got = 0;
    for (int turn = 0; turn < 400; turn++) {
        ssize_t k = recv(fd, answer + got, sizeof(answer) - 1 - got, MSG_DONTWAIT);
        if (k > 0) got += (size_t)k;
        if (k == 0 || (k < 0 && errno != EAGAIN)) break;
        if (turn < 20 && n > 0) *reached = mem_fail_count() >= n;
        if (turn == 20) mem_fail_at(0, false);
        perilune_poll(g, turn < 20 ? 1 : 50);
    }
    mem_fail_at(0, false);
    close(fd);
    answer[got] = '\0';
    sscanf(answer, "HTTP/1.%*d %d", &status);
    return status;
}

static int ask(perilune *g, const char *method, const char *path, const char *body, long n, bool forever, bool *reached) {
    return ask_as(g, "HTTP/1.1", method, path, body, n, forever, reached);
}

static const char *const QUESTION = "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

static bool id_of(char id[64]) {
    const char *at = strstr(answer, "\"id\":\"job_");
    return at != NULL && sscanf(at, "\"id\":\"%63[a-z0-9_]", id) == 1;
}

static void await_completed(perilune *g, const char *id) {
    char path[128];
    bool ignored;
    snprintf(path, sizeof(path), "/v1/async/%s", id);
    for (int i = 0; i < 200; i++) {
        CHECK_INT(ask(g, "GET", path, "", 0, false, &ignored), 200);
        if (strstr(answer, "\"status\":\"completed\"") != NULL) return;
        perilune_poll(g, 20);
    }
    FAIL("not completed: %s", answer);
}

static void starve(bool forever) {
    char path[] = "/tmp/perilune-desk-XXXXXX", id[64], of_job[128];
    perilune *g = start(path);
    bool reached = true, ignored;
    CHECK_INT(ask(g, "POST", "/v1/async/chat/completions", QUESTION, 0, false, &ignored), 202);
    CHECK(id_of(id));
    await_completed(g, id);
    CHECK(strstr(answer, "\"content\":\"hello\"") != NULL);
    for (long n = 1; reached && n < 400; n++) {
        int status = ask(g, "POST", "/v1/async/chat/completions", QUESTION, n, forever, &reached);
        CHECK(status == 0 || status == 202 || status >= 500);
        if (status == 202 && id_of(id)) await_completed(g, id);
    }
    CHECK(!reached);
    static const char *const asked[] = { "", "/events" };
    for (int i = 0; i < 2; i++) {
        snprintf(of_job, sizeof(of_job), "/v1/async/%s%s", id, asked[i]);
        reached = true;
        for (long n = 1; reached && n < 400; n++) {
            int status = ask(g, "GET", of_job, "", n, forever, &reached);
            CHECK(status == 0 || status == 200 || status >= 500);
        }
    }
    CHECK_INT(ask(g, "GET", "/v1/async", "", 0, false, &ignored), 200);
    CHECK_INT(ask(g, "POST", "/v1/async/chat/completions", QUESTION, 0, false, &ignored), 202);
    perilune_close(g);
}

TEST_NOFAULT(one_allocation_fails) { starve(false); }
TEST_NOFAULT(all_allocations_fail_for_a_while) { starve(true); }

/* -- Last-Event-ID ------------------------------------------ */

/* The last id of a text of whole frames, and what comes behind its first `event: status`. */
static const char *body_of(const char *reply) {
    const char *body = strstr(reply, "\r\n\r\n");
    CHECK(body != NULL);
    const char *end = strncmp(body + 4, "event: status\n", 14) == 0 ? strstr(body + 4, "\n\n") : NULL;
    return end ? end + 2 : body + 4;
}

/* Chunks of HTTP are taken off by who asks with HTTP/1.0. */
static void events_behind(perilune *g, const char *id, const char *last, char out[65536]) {
    char path[192];
    bool ignored;
    snprintf(path, sizeof(path), "/v1/async/%s/events?last_event_id=%s", id, last);
    CHECK_INT(ask_as(g, "HTTP/1.0", "GET", path, "", 0, false, &ignored), 200);
    snprintf(out, 65536, "%s", body_of(answer));
}

TEST_NOFAULT(a_stream_goes_on_behind_any_of_its_frames) {
    char path[] = "/tmp/perilune-desk-XXXXXX", id[64];
    static char whole[65536], rest[65536];
    perilune *g = start(path);
    bool ignored;
    unsigned frames = 0, within = 0;
    CHECK_INT(ask(g, "POST", "/v1/async/chat/completions", QUESTION, 0, false, &ignored), 202);
    CHECK(id_of(id));
    await_completed(g, id);
    events_behind(g, id, "", whole);
    for (const char *at = whole, *end; (end = strstr(at, "\n\n")) != NULL; at = end + 2) {
        char last[32] = "";
        const char *line = strstr(at, "id: ");
        CHECK(line != NULL && line < end); /* each has one */
        CHECK_INT(sscanf(line, "id: %31[^\n]", last), 1);
        if (strcmp(last, "end") == 0) break;
        frames++;
        within += strchr(last, '.') != NULL;
        events_behind(g, id, last, rest);
        CHECK_STR(rest, end + 2);
    }
    NOTE("%s", whole);
    CHECK(frames >= 3 && within > 0);
    perilune_close(g);
}

static void frames_are(const char *data, uint64_t skip, const char *want) {
    struct buf b;
    buf_init(&b, 0);
    job_frames_put(&b, slice_str(data), 8, skip);
    buf_putc(&b, '\0');
    CHECK_STR(buf_get(&b).ptr, want);
    buf_deinit(&b);
}

TEST_NOFAULT(every_frame_has_an_id_of_ours) {
    frames_are("data: a\n\n", 0, "id: 8\ndata: a\n\n");
    frames_are("data: a\n\ndata: b\n\n", 0, "id: 8.1\ndata: a\n\nid: 8\ndata: b\n\n");
    frames_are("data: a\n\ndata: b\n\ndata: c\n\n", 1, "id: 8.2\ndata: b\n\nid: 8\ndata: c\n\n");
    frames_are("data: a\n\ndata: b\n\n", 2, "");
    frames_are("event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", 1, "id: 8\ndata: b\r\n\r\n");
    frames_are("data: a\r\rdata: b\r\r", 1, "id: 8\ndata: b\r\r");
    frames_are("id: 77\ndata: a\n\nid\nidea: x\ndata: b\nid:78\n\n", 0,
               "id: 8.1\ndata: a\n\nid: 8\nidea: x\ndata: b\n\n");
    frames_are("data: a\n\n\n\ndata: b\n\n", 0, "id: 8.1\ndata: a\n\n\n\nid: 8\ndata: b\n\n");
    frames_are("data: a\n\ndata: broken off", 0, "id: 8.1\ndata: a\n\nid: 8\ndata: broken off\n\n");
}

TEST_NOFAULT(ids_that_clients_show) {
    static const struct { const char *text; bool ok; unsigned number, frames; } of[] = {
        { "", true, 0, 0 }, { "7", true, 7, 0 }, { "8.2", true, 7, 2 }, { "1.1", true, 0, 1 }, { "0", true, 0, 0 },
        { "0.1", false, 0, 0 }, { "8.", false, 0, 0 }, { ".1", false, 0, 0 }, { "8.2.1", false, 0, 0 },
        { "x", false, 0, 0 }, { "-1", false, 0, 0 }, { "8.2x", false, 0, 0 }, { "9999999999999999", false, 0, 0 },
    };
    for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++) {
        struct job_seen seen;
        NOTE("%s", of[i].text);
        CHECK(job_seen_read(slice_str(of[i].text), &seen) == of[i].ok);
        if (!of[i].ok) continue;
        CHECK_UINT(seen.number, of[i].number);
        CHECK_UINT(seen.frames, of[i].frames);
    }
}
