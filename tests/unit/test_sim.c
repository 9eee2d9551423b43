/* test_sim.c -- the simulated upstream: its options, its timers, and itself on a
 * loopback port, spoken to with plain sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "perilune.h"
#include "sim/sim.h"
#include "sim/sim_int.h"
#include "unit.h"

/* -- Beginnings of prompts ------------------------------------------------------------ */

static uint64_t cached(struct sim_prefixes *p, const char *model, struct slice text, bool keep) {
    struct buf hashes;
    buf_init(&hashes, 0);
    sim_prefix_hashes(slice_str(model), text, &hashes);
    uint64_t n = sim_prefix_cached(p, &hashes);
    if (keep) sim_prefix_keep(p, &hashes);
    buf_deinit(&hashes);
    return n;
}

TEST(beginnings_of_prompts) {
    static char text[20000], other[20000];
    struct sim_prefixes p = { NULL };
    for (size_t i = 0; i < sizeof(text); i++) text[i] = other[i] = (char)('a' + i * 7 % 26);
    struct slice all = slice_of(text, sizeof(text));
    CHECK_INT(cached(&p, "m", all, false), 0);
    CHECK_INT(cached(&p, "m", all, true), 0);          /* the first one pays for it */
    if (p.slots == NULL) return;                       /* no memory: nothing is kept */
    CHECK_INT(cached(&p, "m", all, false), 4992);      /* 39 whole blocks of 128 */
    CHECK_INT(cached(&p, "n", all, false), 0);         /* of another model */
    CHECK_INT(cached(&p, "m", slice_of(text, 4096), false), 1024);
    CHECK_INT(cached(&p, "m", slice_of(text, 4095), false), 0); /* too short */
    CHECK_INT(cached(&p, "m", slice_of(text, 0), false), 0);
    other[8192] = '!';                                 /* the same up to here */
    CHECK_INT(cached(&p, "m", slice_of(other, sizeof(other)), false), 2048);
    other[0] = '!';
    CHECK_INT(cached(&p, "m", slice_of(other, sizeof(other)), true), 0);
    CHECK_INT(cached(&p, "m", all, false), 4992);
    sim_prefixes_deinit(&p);
}

/* -- Options ----------------------------------------------------------------------- */

static void check_options_fail(const char *text, const char *says) {
    struct sim_options o, before;
    char               err[200] = "";
    sim_options_init(&o);
    before = o;
    NOTE("options '%s'", text);
    CHECK_INT(sim_options_parse(&o, slice_str(text), err, sizeof(err)), PERILUNE_ERR_INVAL);
    CHECK_STR(err, says);
    CHECK(memcmp(&o, &before, sizeof(o)) == 0);
}

TEST(options_are_read) {
    struct sim_options o;
    char               err[200];
    sim_options_init(&o);
    CHECK_INT(sim_options_parse(&o, SLICE(" ttft_ms=20, itl_ms=0.5,tokens=64,,crlf,comments=1,"
                                          "echo=false,text=\"a, \\\"b\\\"\",cut=3"),
                                err, sizeof(err)), 0);
    CHECK_DOUBLE(o.ttft_ms, 20);
    CHECK_DOUBLE(o.itl_ms, 0.5);
    CHECK_INT(o.tokens, 64);
    CHECK_INT(o.cut, 3);
    CHECK_INT(o.stall, -1);
    CHECK(o.crlf && o.comments && !o.echo);
    CHECK_SLICE(o.text, SLICE("a, \\\"b\\\""));
    /* On top of what is there. */
    CHECK_INT(sim_options_parse(&o, SLICE("tokens=2,crlf=0"), err, sizeof(err)), 0);
    CHECK(o.tokens == 2 && !o.crlf && o.cut == 3);
    CHECK_INT(sim_options_parse(&o, SLICE(""), err, sizeof(err)), 0);
    CHECK_INT(sim_options_parse(&o, SLICE("text="), err, sizeof(err)), 0);
    CHECK(o.text.ptr != NULL && o.text.len == 0);
}

TEST(options_that_are_none) {
    check_options_fail("tokns=3", "unknown option 'tokns'; did you mean 'tokens'?");
    check_options_fail("tokens=1,zzzzz=3", "unknown option 'zzzzz'");
    check_options_fail("=3", "unknown option ''");
    check_options_fail("tokens", "tokens needs a value: tokens=N");
    check_options_fail("tokens=1.5", "tokens wants a whole number, not '1.5'");
    check_options_fail("tokens=", "tokens wants a whole number, not ''");
    check_options_fail("ttft_ms=x", "ttft_ms wants a number, not 'x'");
    check_options_fail("ttft_ms=nan", "ttft_ms wants a number, not 'nan'");
    check_options_fail("ttft_ms=-1", "ttft_ms=-1 is out of range (0 to 3600000)");
    check_options_fail("status=700", "status=700 is out of range (200 to 599)");
    check_options_fail("crlf=yes", "crlf wants 0 or 1, not 'yes'");
    check_options_fail("tokens=1 itl_ms=2", "tokens wants a whole number, not '1 itl_ms=2'");
}

TEST(faults_are_read) {
    struct sim_fault f;
    char             err[200];
    CHECK_INT(sim_fault_parse(&f, SLICE("0.05:status=500,retry_after=1"), err, sizeof(err)), 0);
    CHECK_DOUBLE(f.probability, 0.05);
    CHECK_SLICE(f.options, SLICE("status=500,retry_after=1"));
    CHECK(sim_fault_parse(&f, SLICE("status=500"), err, sizeof(err)) != 0);
    CHECK(sim_fault_parse(&f, SLICE("1.5:cut=1"), err, sizeof(err)) != 0);
    CHECK(sim_fault_parse(&f, SLICE("0.5:foo=1"), err, sizeof(err)) != 0);
    CHECK(sim_fault_parse(&f, SLICE(""), err, sizeof(err)) != 0);
}

/* -- Timers -------------------------------------------------------------------------- */

TEST_FAULT(timers_come_in_order) {
    enum { N = 500 };
    static struct sim_timer t[N];
    struct sim_heap         h = { 0 };
    struct rng              r;
    uint64_t                last = 0;
    int                     armed = 0;
    rng_seed(&r, 3);
    memset(t, 0, sizeof(t));
    CHECK_NOMEM(sim_heap_reserve(&h, N), done);
    for (int i = 0; i < 5000; i++) { /* arm, move, remove, at random */
        struct sim_timer *one = &t[rng_next(&r) % N];
        if (rng_next(&r) % 3 == 0) sim_heap_remove(&h, one);
        else sim_heap_set(&h, one, 1 + rng_next(&r) % 1000);
    }
    for (int i = 0; i < N; i++) armed += t[i].slot != 0;
    CHECK_INT(h.len, armed);
    for (uint64_t now = 0; now <= 1000; now++) {
        struct sim_timer *due;
        while ((due = sim_heap_take_due(&h, now)) != NULL) {
            CHECK(due->due_us == now && due->due_us >= last);
            last = due->due_us;
            armed--;
        }
    }
    CHECK_INT(armed, 0);
    CHECK_INT(h.len, 0);
done:
    sim_heap_deinit(&h);
}

/* -- A client -------------------------------------------------------------------------- */

static char reply[1 << 20];

static struct sim *start(const char *options) {
    struct sim        *s;
    struct sim_options o;
    char               err[200];
    sim_options_init(&o);
    CHECK_INT(sim_options_parse(&o, slice_str(options), err, sizeof(err)), 0);
    CHECK_INT(sim_start(&s, "127.0.0.1:0", &o), 0);
    CHECK(sim_port(s) > 0);
    return s;
}

static int dial(const struct sim *s) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)sim_port(s)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval     limit = { .tv_sec = 5 };
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static void send_all(int fd, struct slice s, size_t piece) {
    while (s.len > 0) {
        size_t  n = s.len < piece ? s.len : piece;
        ssize_t k = send(fd, s.ptr, n, MSG_NOSIGNAL);
        if (k <= 0) return; /* the server may have closed already: its right */
        s = slice_of(s.ptr + k, s.len - (size_t)k);
    }
}

/* Reads into reply until `until` stands in it, the end, or a reset ("<reset>"). */
static struct slice read_until(int fd, const char *until) {
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(fd, reply + len, sizeof(reply) - len - 16, 0);
        if (n == 0) break;
        if (n < 0) {
            if (errno != ECONNRESET) FAIL("no answer: %s; so far: %.*s", strerror(errno), (int)len, reply);
            len += (size_t)sprintf(reply + len, "<reset>");
            break;
        }
        len += (size_t)n;
        reply[len] = '\0';
        if (until != NULL && strstr(reply, until) != NULL) break;
    }
    reply[len] = '\0';
    return slice_of(reply, len);
}

static char request_text[8192];

static struct slice request(const char *method, const char *path, const char *x, const char *body) {
    int n = snprintf(request_text, sizeof(request_text),
                     "%s %s HTTP/1.1\r\nHost: sim\r\nConnection: close\r\nx-sim: %s\r\n"
                     "Content-Length: %zu\r\n\r\n%s", method, path, x, strlen(body), body);
    CHECK(n > 0 && (size_t)n < sizeof(request_text));
    return slice_of(request_text, (size_t)n);
}

/* One request on a connection of its own; the answer up to the end. */
static struct slice ask(const struct sim *s, const char *method, const char *path, const char *x,
                        const char *body) {
    int fd = dial(s);
    send_all(fd, request(method, path, x, body), SIZE_MAX);
    struct slice r = read_until(fd, NULL);
    close(fd);
    return r;
}

#define CHAT "/v1/chat/completions"
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"hello \\u00e9 moon\"}]"
#define WHOLE "{\"model\":\"m\"," HELLO "}"
#define STREAM "{\"model\":\"m\",\"stream\":true," HELLO "}"

static int count(const char *needle) {
    int n = 0;
    for (const char *p = reply; (p = strstr(p, needle)) != NULL; p += strlen(needle)) n++;
    return n;
}

static void check_has(const char *needle) {
    if (strstr(reply, needle) == NULL) FAIL("no '%s' in: %.3000s", needle, reply);
}

static void check_lacks(const char *needle) {
    if (strstr(reply, needle) != NULL) FAIL("'%s' in: %.3000s", needle, reply);
}

/* The JSON body of the reply, which must be one. */
static void check_json_body(struct json_doc *doc) {
    struct json_error err;
    char             *body = strstr(reply, "\r\n\r\n");
    CHECK(body != NULL);
    CHECK_INT(json_parse(doc, slice_str(body + 4), &err), 0);
}

/* -- Answers ------------------------------------------------------------------------------ */

TEST(starts_and_stops) {
    struct sim *s = start("");
    sim_stop(s);
    sim_stop(NULL);
    CHECK_INT(sim_start(&s, "nonsense", NULL), PERILUNE_ERR_INVAL);
    CHECK_PTR(s, NULL);
    CHECK_INT(sim_start(&s, "127.0.0.1:99999", NULL), PERILUNE_ERR_INVAL);
    CHECK_INT(sim_start(&s, "example.invalid:80", NULL), PERILUNE_ERR_INVAL);
    CHECK_INT(sim_start(&s, "192.0.2.1:80", NULL), PERILUNE_ERR_IO); /* not ours to bind */
}

TEST_FAULT(start_without_memory) {
    struct sim        *s = NULL;
    struct sim_options o;
    sim_options_init(&o);
    o.text = SLICE("owned by the server");
    int rc = sim_start(&s, "127.0.0.1:0", &o);
    if (!FAULTED(rc)) {
        CHECK_INT(rc, 0);
        sim_stop(s);
    } else {
        CHECK_PTR(s, NULL);
    }
}

TEST(whole_answer) {
    struct sim     *s = start("tokens=5");
    struct json_doc doc = { 0 };
    ask(s, "POST", CHAT, "", WHOLE);
    check_has("HTTP/1.1 200 OK\r\n");
    check_has("\"object\":\"chat.completion\"");
    check_has("\"model\":\"m\"");
    check_has("\"content\":\"The moon rises over a \"");
    check_has("\"completion_tokens\":5");
    check_json_body(&doc);
    ask(s, "POST", CHAT, "tokens=2,bytes=10000", WHOLE);
    check_json_body(&doc);
    CHECK_INT(count("xxxxxxxxxxxxxxxxxxxx"), 500);
    ask(s, "POST", CHAT, "echo", WHOLE);
    check_has("\"content\":\"hello \xC3\xA9 moon\"");
    ask(s, "POST", CHAT, "", "{\"model\":\"m\",\"max_tokens\":2," HELLO "}");
    check_has("\"content\":\"The moon \"");
    check_has("\"finish_reason\":\"length\"");
    ask(s, "POST", CHAT, "bytes=100000", "{\"max_tokens\":1," HELLO "}");
    check_json_body(&doc);
    json_deinit(&doc);
    sim_stop(s);
}

TEST(stream) {
    struct sim *s = start("tokens=3");
    ask(s, "POST", CHAT, "", STREAM);
    check_has("Content-Type: text/event-stream\r\n");
    check_has("Transfer-Encoding: chunked\r\n");
    CHECK_INT(count("data: "), 5); /* three tokens, the finish, [DONE] */
    CHECK_INT(count("\"object\":\"chat.completion.chunk\""), 4);
    CHECK_INT(count("\"role\":\"assistant\""), 1);
    CHECK_INT(count("\"finish_reason\":\"stop\""), 1);
    check_has("data: [DONE]\n\n\r\n0\r\n\r\n");
    check_lacks("usage");
    ask(s, "POST", CHAT, "", "{\"stream\":true,\"stream_options\":{\"include_usage\":true}," HELLO "}");
    check_has("\"choices\":[],\"usage\":{\"prompt_tokens\":");
    check_has("\"completion_tokens\":3,");
    CHECK_INT(count("data: "), 6);
    ask(s, "POST", CHAT, "tokens=0", STREAM);
    CHECK_INT(count("data: "), 2);
    ask(s, "POST", CHAT, "text=\"one two, \\\"three\\\"\"", STREAM);
    check_has("\"content\":\"one \"");
    check_has("\"content\":\"two, \"");
    check_has("\"content\":\"\\\"three\\\"\"");
    ask(s, "POST", CHAT, "tokens=1,crlf,comments,no_done", STREAM);
    check_has(": ping\r\n\r\n");
    check_has("}]}\r\n\r\n");
    check_lacks("[DONE]");
    ask(s, "POST", CHAT, "ttft_ms=5,itl_ms=1,jitter=0.5,tokens=5", STREAM);
    CHECK_INT(count("data: "), 7);
    ask(s, "POST", CHAT, "split=3", STREAM);
    CHECK_INT(count("data: "), 5);
    ask(s, "POST", CHAT, "slow=500,slow_ms=1", STREAM);
    CHECK_INT(count("data: "), 5);
    ask(s, "POST", CHAT, "not_chunked", STREAM);
    check_lacks("chunked");
    check_has("[DONE]");
    sim_stop(s);
}

TEST(tool_call) {
    static const char tools[] =
        ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"tide\",\"parameters\":{\"type\":"
        "\"object\",\"properties\":{\"place\":{\"type\":\"string\"},\"day\":{\"type\":\"integer\"}}}}}]}";
    struct sim     *s = start("tool_call=1");
    struct json_doc doc = { 0 };
    char            body[1024];
    snprintf(body, sizeof(body), "{\"stream\":false," HELLO "%s", tools);
    ask(s, "POST", CHAT, "", body);
    check_json_body(&doc);
    check_has("\"name\":\"tide\",\"arguments\":\"{\\\"place\\\":\\\"moon\\\",\\\"day\\\":1}\"");
    check_has("\"finish_reason\":\"tool_calls\"");
    snprintf(body, sizeof(body), "{\"stream\":true," HELLO "%s", tools);
    ask(s, "POST", CHAT, "", body);
    CHECK_INT(count("\"name\":\"tide\""), 1);
    check_has("\"finish_reason\":\"tool_calls\"");
    ask(s, "POST", CHAT, "", WHOLE); /* without tools: text */
    check_has("\"content\":\"The moon ");
    json_deinit(&doc);
    sim_stop(s);
}

TEST(faults) {
    struct sim *s = start("tokens=4");
    struct slice r = ask(s, "POST", CHAT, "cut_head", STREAM);
    CHECK_UINT(r.len, 0);
    ask(s, "POST", CHAT, "cut=2", STREAM);
    CHECK_INT(count("data: "), 2);
    check_lacks("\r\n0\r\n");
    ask(s, "POST", CHAT, "cut=2,reset", STREAM);
    check_has("<reset>");
    ask(s, "POST", CHAT, "malformed=1", STREAM);
    check_has("\r\nzz\r\n");
    ask(s, "POST", CHAT, "error_event=1", STREAM);
    check_has("data: {\"error\":{");
    check_lacks("[DONE]");
    check_has("\r\n0\r\n\r\n");
    ask(s, "POST", CHAT, "status=429,retry_after=7", STREAM);
    check_has("HTTP/1.1 429 Too Many Requests\r\n");
    check_has("Retry-After: 7\r\n");
    check_has("\"code\":\"rate_limit_exceeded\"");
    ask(s, "POST", CHAT, "status=503", WHOLE);
    check_has("\"type\":\"server_error\"");
    ask(s, "POST", CHAT, "cut=1", WHOLE);
    check_has("\"content\":\"The ");
    check_lacks("usage");
    struct json_doc   doc = { 0 };
    struct json_error err;
    ask(s, "POST", CHAT, "bad_json", WHOLE);
    check_has("\r\n\r\n{");
    CHECK(json_parse(&doc, slice_str(strstr(reply, "\r\n\r\n{") + 4), &err) != 0);
    ask(s, "POST", CHAT, "endless,cut=2000", STREAM);
    CHECK_INT(count("data: "), 2000);
    ask(s, "POST", CHAT, "tokenz=3", WHOLE);
    check_has("HTTP/1.1 400");
    check_has("did you mean 'tokens'?");
    json_deinit(&doc);
    sim_stop(s);
}

TEST(bad_requests) {
    static const char *const cases[][3] = {
        { CHAT, "{\"messages\":}", "not JSON" },
        { CHAT, "", "not JSON" },
        { CHAT, "[]", "must be a JSON object" },
        { CHAT, "{}", "messages is missing" },
        { CHAT, "{\"messages\":1}", "messages must be an array" },
        { CHAT, "{\"model\":1,\"messages\":[]}", "model must be a string" },
        { "/v1/embeddings", "{}", "input is missing" },
        { "/v1/embeddings", "{\"input\":[]}", "input must not be empty" },
        { "/v1/embeddings", "{\"input\":[null]}", "input must hold" },
        { "/v1/embeddings", "{\"input\":\"a\",\"dimensions\":0}", "dimensions must be" },
        { "/v1/embeddings", "{\"input\":\"a\",\"dimensions\":1.5}", "dimensions must be" },
    };
    struct sim *s = start("");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        NOTE("%s %s", cases[i][0], cases[i][1]);
        ask(s, "POST", cases[i][0], "", cases[i][1]);
        check_has("HTTP/1.1 400 Bad Request\r\n");
        check_has("{\"error\":{\"message\":");
        check_has(cases[i][2]);
    }
    ask(s, "GET", "/elsewhere", "", "");
    check_has("HTTP/1.1 404 ");
    /* Odd but allowed: nothing here may crash. */
    ask(s, "POST", CHAT, "echo,tool_call", "{\"messages\":[1,{},{\"role\":\"user\",\"content\":null},"
        "{\"role\":\"user\",\"content\":[1,{\"text\":\"in parts\"},{\"text\":2}]}],"
        "\"tools\":[{\"function\":{\"name\":1}}],\"max_tokens\":-1,\"stream_options\":[]}");
    check_has("\"content\":\"in parts\"");
    sim_stop(s);
}

TEST(what_is_no_http) {
    static const char *const cases[][2] = {
        { "GET / HTTP/1.1\nHost: x\r\n\r\n", "HTTP/1.1 400" },
        { "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", "HTTP/1.1 413" },
        { "POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "HTTP/1.1 400" },
        { "GET / HTTP/3.0\r\nHost: x\r\n\r\n", "HTTP/1.1 505" },
    };
    struct sim *s = start("");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int fd = dial(s);
        send_all(fd, slice_str(cases[i][0]), SIZE_MAX);
        read_until(fd, NULL);
        NOTE("case %zu", i);
        check_has(cases[i][1]);
        check_has("Connection: close\r\n");
        close(fd);
    }
    sim_stop(s);
}

TEST(embeddings) {
    struct sim     *s = start("");
    struct json_doc doc = { 0 };
    char            first[4096];
    ask(s, "POST", "/v1/embeddings", "", "{\"input\":\"moon\",\"dimensions\":3}");
    check_json_body(&doc);
    check_has("\"embedding\":[");
    snprintf(first, sizeof(first), "%s", strstr(reply, "\"embedding\":["));
    ask(s, "POST", "/v1/embeddings", "", "{\"input\":[\"\\u006doon\",\"sun\"],\"dimensions\":3}");
    check_json_body(&doc);
    CHECK_INT(count("\"index\":"), 2);
    /* The same text, written differently and in company, has the same vector. */
    CHECK(strncmp(strstr(reply, "\"embedding\":["), first, strcspn(first, "]")) == 0);
    ask(s, "POST", "/v1/embeddings", "", "{\"input\":[1,2,3]}");
    check_json_body(&doc);
    CHECK_INT(count("0."), 384);
    ask(s, "POST", "/v1/embeddings", "",
        "{\"input\":\"a\",\"dimensions\":1,\"encoding_format\":\"base64\"}");
    char *b64 = strstr(reply, "\"embedding\":\"");
    CHECK(b64 != NULL);
    CHECK_UINT(strcspn(b64 + 13, "\""), 8); /* one float: +-1.0 */
    CHECK(strncmp(b64 + 13, "AACAPw==", 8) == 0 || strncmp(b64 + 13, "AACAvw==", 8) == 0);
    json_deinit(&doc);
    sim_stop(s);
}

TEST(what_was_seen) {
    struct sim     *s = start("");
    struct json_doc doc = { 0 };
    ask(s, "GET", "/v1/models", "", "");
    check_json_body(&doc);
    check_has("\"id\":\"sim\"");
    ask(s, "PUT", "/v1/files?x=1", "", "abc");
    check_json_body(&doc);
    check_has("\"method\":\"PUT\",\"path\":\"/v1/files?x=1\"");
    check_has("\"body_bytes\":3");
    ask(s, "GET", "/sim/last", "", "");
    check_json_body(&doc);
    check_has("\"path\":\"/v1/files?x=1\"");
    check_has("\"body\":\"abc\"");
    ask(s, "POST", CHAT, "", "{ \"a\" :\t1e5, \"a\":\"\\ud83d\\ude00\"," HELLO "}");
    ask(s, "GET", "/sim/last", "", "");
    check_json_body(&doc);
    struct buf body;
    buf_init(&body, 0);
    json_decode_string(&doc, json_get(&doc, 0, SLICE("body")), &body);
    CHECK_SLICE(buf_get(&body), SLICE("{ \"a\" :\t1e5, \"a\":\"\\ud83d\\ude00\"," HELLO "}"));
    buf_deinit(&body);
    ask(s, "GET", "/sim/stats", "", "");
    check_json_body(&doc);
    check_has("\"requests\":3,\"streams\":0,\"cancelled\":0");
    json_deinit(&doc);
    sim_stop(s);
}

/* The same bytes, whole, bytewise and at every split; pipelined, chunked or not. */
TEST(requests_in_pieces) {
    static const char two[] =
        "POST " CHAT " HTTP/1.1\r\nHost: x\r\nContent-Length: 62\r\nx-sim: tokens=1\r\n\r\n"
        "{\"messages\":[{\"role\":\"user\",\"content\":\"hello \\u00e9 moon\"}]}  "
        "POST " CHAT " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
        "x-sim: echo\r\n\r\n"
        "a;ext=1\r\n{\"messages\r\n"
        "32\r\n\":[{\"role\":\"user\",\"content\":\"hello \\u00e9 moon\"}]}\r\n"
        "0\r\nTrailer: x\r\n\r\n";
    struct slice all = SLICE("");
    struct sim  *s = start("");
    all = slice_of(two, sizeof(two) - 1);
    for (size_t piece = 1; piece < all.len; piece += piece < 4 ? 1 : 17) {
        int fd = dial(s), one = 1;
        setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
        send_all(fd, all, piece);
        read_until(fd, NULL);
        close(fd);
        NOTE("pieces of %zu", piece);
        CHECK_INT(count("HTTP/1.1 200 OK"), 2);
        check_has("\"content\":\"The \"");
        check_has("\"content\":\"hello \xC3\xA9 moon\"");
    }
    sim_stop(s);
}

TEST(many_pipelined) {
    enum { N = 300 };
    struct sim *s = start("tokens=1");
    struct buf  all;
    buf_init(&all, 0);
    for (int i = 0; i < N; i++) {
        buf_printf(&all, "POST " CHAT " HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n%s",
                   i == N - 1 ? "Connection: close\r\n" : "", strlen(STREAM), STREAM);
    }
    CHECK(!buf_failed(&all));
    int fd = dial(s);
    send_all(fd, buf_get(&all), SIZE_MAX);
    read_until(fd, NULL);
    CHECK_INT(count("data: [DONE]"), N);
    close(fd);
    buf_deinit(&all);
    sim_stop(s);
}

TEST(expects_continue) {
    struct sim *s = start("tokens=1");
    int         fd = dial(s);
    char        head[256];
    snprintf(head, sizeof(head), "POST " CHAT " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
             "Connection: close\r\nContent-Length: %zu\r\n\r\n", strlen(WHOLE));
    send_all(fd, slice_str(head), SIZE_MAX);
    struct slice r = read_until(fd, "\r\n\r\n");
    CHECK_SLICE(r, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    send_all(fd, SLICE(WHOLE), SIZE_MAX);
    read_until(fd, NULL);
    check_has("HTTP/1.1 200 OK");
    close(fd);
    sim_stop(s);
}

/* A client that leaves in the middle is counted; one that stays is dropped when
 * the server stops, and nothing leaks. */
TEST(clients_that_leave) {
    struct sim *s = start("stall=1");
    int         left = dial(s), stays = dial(s);
    send_all(left, request("POST", CHAT, "", STREAM), SIZE_MAX);
    read_until(left, "data: ");
    send_all(stays, request("POST", CHAT, "endless,itl_ms=1000,stall=5", STREAM), SIZE_MAX);
    read_until(stays, "data: ");
    close(left);
    for (int i = 0; i < 200; i++) { /* the close arrives when it does */
        ask(s, "GET", "/sim/stats", "", "");
        if (strstr(reply, "\"cancelled\":1") != NULL) break;
    }
    check_has("\"streams\":2,\"cancelled\":1");
    sim_stop(s);
    close(stays);
}

/* A client that does not read stops the endless stream, not the server. */
TEST_NOFAULT(slow_reader_does_not_fill_memory) {
    struct sim *s = start("endless=1");
    int         fd = dial(s);
    send_all(fd, request("POST", CHAT, "", STREAM), SIZE_MAX);
    for (int i = 0; i < 20; i++) {
        ask(s, "POST", CHAT, "endless=0,tokens=3", STREAM);
        CHECK_INT(count("data: "), 5);
    }
    size_t got = 0;
    while (got < (8u << 20)) { /* more than the socket holds: it did wait for us */
        ssize_t n = recv(fd, reply, sizeof(reply), 0);
        CHECK(n > 0);
        got += (size_t)n;
    }
    close(fd);
    sim_stop(s);
}
