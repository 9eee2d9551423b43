/* test_exchange.c -- a request answered by a policy, with memory that runs out.
 *
 * The gateway and its client share this thread.  Whatever allocation fails, the client
 * gets a whole answer, a whole error, or an answer that breaks off behind a whole head;
 * and when memory is there again, the next client is served. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/parse.h"
#include "include/perilune.h"
#include "unit.h"

/* With the policy's header the head is longer than what is reserved for most. */
static const char CONFIG[] =
    "local perilune = require 'perilune'\n"
    "return { listen = '127.0.0.1:0', upstreams = { up = { url = 'http://127.0.0.1:9/v1' } }, routes = {\n"
    "  { path = '/v1/chat/completions', policies = { function(req, next)\n"
    "    local res = perilune.respond{ text = 'hello', stream = req.stream }\n"
    "    res.headers['x-long'] = ('y'):rep(1000)\n"
    "    return res\n"
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

static int dial(perilune *g) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)perilune_port(g)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

/* Sends the request and reads to the end of the connection.  Memory fails from allocation
 * n on (0: never) for the first turns of the loop, at most. */
static size_t ask(perilune *g, bool stream, long n, bool forever, char *answer, size_t size, bool *reached) {
    char text[512], body[128];
    int fd = dial(g);
    snprintf(body, sizeof(body), "{\"model\":\"m\",\"stream\":%s,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
             stream ? "true" : "false");
    int len = snprintf(text, sizeof(text), "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
                                           "content-length: %zu\r\n\r\n%s", strlen(body), body);
    CHECK_INT(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
    mem_fail_at(n, forever);
    size_t got = 0;
    for (int turn = 0;; turn++) {
        ssize_t k = recv(fd, answer + got, size - 1 - got, MSG_DONTWAIT);
        if (k > 0) got += (size_t)k;
        if (k == 0 || (k < 0 && errno != EAGAIN)) break;
        if (turn == 20) {
            *reached = mem_fail_count() >= n;
            mem_fail_at(0, false);
        }
        perilune_poll(g, turn < 20 ? 1 : 50);
        if (turn < 20) *reached = mem_fail_count() >= n;
    }
    mem_fail_at(0, false);
    close(fd);
    answer[got] = '\0';
    return got;
}

/* Nothing, or a head that can be read, with what belongs to its status. */
static void check_answer(struct slice s, bool stream, bool failed) {
    struct http_head *head = malloc(sizeof(*head));
    CHECK(head != NULL);
    if (s.len == 0) {
        CHECK(failed);
        free(head);
        return;
    }
    const char *why = "";
    int n = http_parse_response(head, s, 0, &why);
    CHECK(n > 0);
    CHECK(head->status == 200 || (failed && head->status >= 500));
    CHECK(http_find(head, SLICE("content-type")) != NULL);
    if (head->status == 200) { /* an error may be the server's, which knows of no exchange */
        CHECK(http_find(head, SLICE("x-request-id")) != NULL);
        CHECK(http_find(head, SLICE("x-long")) != NULL);
    }
    bool whole = head->has_length ? s.len - (size_t)n == head->length : memmem(s.ptr, s.len, "\r\n0\r\n\r\n", 7) != NULL;
    CHECK(whole || failed);
    bool told = memmem(s.ptr, s.len, stream ? "[DONE]" : "\"hello\"", stream ? 6 : 7) != NULL;
    bool error = stream && failed && memmem(s.ptr, s.len, "data: {\"error\":", 15) != NULL; /* an event, then the end */
    if (whole && head->status == 200) CHECK(told != error);
    free(head);
}

static void starve(bool stream, bool forever) {
    static char answer[16384];
    char path[] = "/tmp/perilune-exchange-XXXXXX";
    bool reached = true;
    perilune *g = start(path);
    for (long n = 1; reached; n++) {
        NOTE("allocation %ld%s%s", n, forever ? " and all behind it" : "", stream ? ", streaming" : "");
        size_t len = ask(g, stream, n, forever, answer, sizeof(answer), &reached);
        check_answer(slice_of(answer, len), stream, reached);
        bool ignored;
        len = ask(g, stream, 0, false, answer, sizeof(answer), &ignored);
        check_answer(slice_of(answer, len), stream, false);
        CHECK(!reached || n < 5000);
        if (!reached) CHECK(n > 20);
    }
    perilune_close(g);
}

TEST_NOFAULT(any_allocation_of_a_whole_answer_may_fail) { starve(false, false); }
TEST_NOFAULT(all_allocations_of_a_whole_answer_may_fail) { starve(false, true); }
TEST_NOFAULT(any_allocation_of_a_stream_may_fail) { starve(true, false); }
TEST_NOFAULT(all_allocations_of_a_stream_may_fail) { starve(true, true); }
