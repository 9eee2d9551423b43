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
static int ask(perilune *g, const char *method, const char *path, const char *body, long n, bool forever, bool *reached) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)perilune_port(g)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char text[1024];
    int fd = socket(AF_INET, SOCK_STREAM, 0), status = 0;
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    int len = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n%s",
                       method, path, strlen(body), body);
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
    sscanf(answer, "HTTP/1.1 %d", &status);
    return status;
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
