/* test_calls.c -- a host's mistakes: every public function without a gateway, with the wrong sizes, in a child. */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "include/perilune.h"
#include "unit.h"

/* -- Every function ----------------------------------------------------------------------- */

/* The functions of the header, by name: a new one without a row here fails the test. */
static char *header(void) {
    FILE *f = fopen("core/include/perilune.h", "r");
    CHECK(f != NULL);
    static char text[200000];
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    return text;
}

static int tools(void) {
    int (*const all[])(int, char **) = {
        perilune_tool_check, perilune_tool_test, perilune_tool_reload, perilune_tool_sim, perilune_tool_tokens,
        perilune_tool_compress, perilune_tool_replay, perilune_tool_batch, perilune_tool_distill, perilune_tool_bench,
        perilune_tool_cache, perilune_tool_train, perilune_tool_eval, perilune_tool_vocab, perilune_tool_model,
        perilune_tool_distill_data };
    (void)all;
    return PERILUNE_ERR_INVAL; /* a program's arguments: args.c and the commands' own tests */
}

static int number_text(const char *s) { return s != NULL && s[0] != '\0' ? PERILUNE_ERR_INVAL : 0; }

static int version(void) { return perilune_version() == PERILUNE_VERSION ? PERILUNE_ERR_INVAL : 0; }
static int strerror_(void) { return number_text(perilune_strerror(12345)); }
static int errname(void) { return number_text(perilune_errname(-12345)); }
static int errmsg(void) { return strstr(perilune_errmsg(NULL), "NULL") ? PERILUNE_ERR_INVAL : 0; }

static int set_allocator(void) {
    perilune_allocator none = { NULL, NULL };
    return perilune_set_allocator(&none);
}

static int set_clock(void) {
    perilune_clock none = { NULL, NULL, NULL };
    return perilune_set_clock(&none);
}

static int set_random(void) { return perilune_set_random(NULL, NULL) == 0 ? PERILUNE_ERR_INVAL : 0; } /* is the kernel's */
static int check(void) { return perilune_check(NULL, NULL, NULL); }
static int open_(void) { return perilune_open(NULL, NULL, NULL, 0); }
static int load(void) { return perilune_load(NULL, NULL); }
static int reload(void) { return perilune_reload(NULL); }
static int listen_(void) { return perilune_listen(NULL, NULL); }
static int port(void) { return perilune_port(NULL); }
static int admin_port(void) { return perilune_admin_port(NULL); }
static int run(void) { return perilune_run(NULL); }
static int poll_(void) { return perilune_poll(NULL, -1); }
static int fd(void) { return perilune_fd(NULL); }
static int timeout(void) { return perilune_timeout(NULL); }
static int stats(void) { return perilune_stats(NULL, NULL, 10); }

static int post(void) { return perilune_post(NULL, NULL, NULL); }

static int request(void) {
    perilune_str text;
    const perilune_event *ev;
    perilune_request *r = (perilune_request *)(uintptr_t)&text;
    bool ok = perilune_request_new(NULL, NULL, NULL, 0, NULL) == PERILUNE_ERR_INVAL &&
              perilune_request_new(NULL, "/v1/models", NULL, 0, &r) == PERILUNE_ERR_INVAL && r == NULL &&
              perilune_request_set(NULL, "tenant", "a") == PERILUNE_ERR_INVAL &&
              perilune_request_start(NULL, NULL, NULL) == PERILUNE_ERR_INVAL &&
              perilune_request_next(NULL, &ev, -1) == PERILUNE_ERR_INVAL && ev == NULL &&
              perilune_request_text(NULL, &text) == PERILUNE_ERR_INVAL && text.len == 0 &&
              strstr(perilune_request_errmsg(NULL), "NULL") != NULL;
    perilune_request_pause(NULL, 1);
    perilune_request_cancel(NULL);
    perilune_request_free(NULL);
    return ok ? PERILUNE_ERR_INVAL : 0;
}

static int event_header(void) { return perilune_event_header(NULL, NULL, NULL); }

static int function_add(void) { return perilune_function_add(NULL, NULL, NULL, NULL); }
static int value_set(void) { return perilune_value_set(NULL, NULL, NULL, 0); }
static int hook(void) { return perilune_hook(NULL, NULL); }

static int eval(void) {
    perilune_str result = { NULL, 7 };
    int rc = perilune_eval(NULL, NULL, NULL, NULL, 0, &result);
    return result.len == 0 ? rc : 0;
}

static int call(void) {
    bool ok = perilune_call_return(NULL, NULL) == PERILUNE_ERR_INVAL &&
              perilune_call_done(NULL, NULL, 0) == PERILUNE_ERR_INVAL &&
              perilune_call_fail(NULL, NULL, NULL) == PERILUNE_ERR_INVAL && perilune_call_defer(NULL, NULL, NULL) == NULL;
    perilune_call_free(NULL);
    return ok ? PERILUNE_ERR_INVAL : 0;
}

static int nothing_done(void) {
    perilune_close(NULL);
    perilune_stop(NULL);
    perilune_wake(NULL);
    perilune_drain(NULL, 0);
    return PERILUNE_ERR_INVAL;
}

/* -- In a child of fork() ------------------------------------------------------------------------- */

/* What the parent had, and what its child tries with it. */
static struct {
    perilune         *g;
    perilune_request *fresh, *begun; /* begun waits for call */
    perilune_call    *call;
    int               fd;            /* perilune_fd() */
} had;

static void posted(perilune *g, void *ud) {
    (void)g;
    (void)ud;
}

static int state_if(bool ok) { return ok ? PERILUNE_ERR_STATE : 0; }

static int child_errmsg(void) { return state_if(strstr(perilune_errmsg(had.g), "fork()") != NULL); }
static int child_load(void) { return perilune_load(had.g, "x"); }
static int child_reload(void) { return perilune_reload(had.g); }
static int child_listen(void) { return perilune_listen(had.g, "127.0.0.1:0"); }
static int child_port(void) { return perilune_port(had.g); }
static int child_admin_port(void) { return perilune_admin_port(had.g); }
static int child_run(void) { return perilune_run(had.g); }
static int child_poll(void) { return perilune_poll(had.g, -1); }
static int child_fd(void) { return perilune_fd(had.g); }
static int child_timeout(void) { return perilune_timeout(had.g); }
static int child_post(void) { return perilune_post(had.g, posted, NULL); }
static int child_value_set(void) { return perilune_value_set(had.g, "a", "1", 1); }
static int child_hook(void) { return perilune_hook(had.g, NULL); }
static int child_eval(void) { return perilune_eval(had.g, "return 1", NULL, NULL, 0, NULL); }

static int child_function_add(void) {
    return perilune_function_add(had.g, "another", (perilune_function)(void (*)(void))posted, NULL);
}

static int child_stats(void) {
    char text[100];
    return perilune_stats(had.g, text, sizeof(text));
}

/* The parent's eventfd is the child's, too: one that rings wakes the parent, and would make had.fd readable. */
static bool is_silent(void) {
    struct pollfd p = { .fd = had.fd, .events = POLLIN };
    return poll(&p, 1, 0) == 0;
}

static int child_does_nothing(void) {
    perilune_wake(had.g);
    perilune_stop(had.g);
    perilune_drain(had.g, 0);
    perilune_close(had.g);
    return state_if(is_silent() && perilune_poll(had.g, 0) == PERILUNE_ERR_STATE);
}

static int child_request(void) {
    perilune_request *r = NULL, *both[] = { had.fresh, had.begun };
    const perilune_event *ev;
    perilune_str text;
    bool ok = perilune_request_new(had.g, "/v1/models", NULL, 0, &r) == PERILUNE_ERR_STATE && r == NULL;
    for (size_t i = 0; i < 2; i++) {
        perilune_request_cancel(both[i]);
        perilune_request_pause(both[i], 1);
        perilune_request_free(both[i]);
        ok = ok && perilune_request_set(both[i], "tenant", "a") == PERILUNE_ERR_STATE &&
             strstr(perilune_request_errmsg(both[i]), "fork()") != NULL &&
             perilune_request_start(both[i], NULL, NULL) == PERILUNE_ERR_STATE &&
             perilune_request_next(both[i], &ev, 0) == PERILUNE_ERR_STATE &&
             perilune_request_text(both[i], &text) == PERILUNE_ERR_STATE;
    }
    return state_if(ok && is_silent());
}

static int child_call(void) {
    perilune_call_free(had.call);
    bool ok = perilune_call_defer(had.call, NULL, NULL) == NULL &&
              perilune_call_return(had.call, NULL) == PERILUNE_ERR_STATE &&
              perilune_call_done(had.call, "\"child\"", 7) == PERILUNE_ERR_STATE &&
              perilune_call_fail(had.call, NULL, NULL) == PERILUNE_ERR_STATE;
    return state_if(ok && is_silent());
}

static int no_gateway(void) { return PERILUNE_ERR_STATE; } /* it needs none */

static const struct {
    const char *name;
    int       (*without)(void);  /* without what it needs: PERILUNE_ERR_INVAL */
    int       (*in_child)(void); /* with what is the parent's: PERILUNE_ERR_STATE */
} functions[] = {
    { "perilune_version", version, no_gateway }, { "perilune_strerror", strerror_, no_gateway },
    { "perilune_errname", errname, no_gateway }, { "perilune_set_allocator", set_allocator, no_gateway },
    { "perilune_set_clock", set_clock, no_gateway }, { "perilune_set_random", set_random, no_gateway },
    { "perilune_check", check, no_gateway }, { "perilune_open", open_, no_gateway },
    { "perilune_close", nothing_done, child_does_nothing }, { "perilune_errmsg", errmsg, child_errmsg },
    { "perilune_load", load, child_load }, { "perilune_reload", reload, child_reload },
    { "perilune_listen", listen_, child_listen }, { "perilune_port", port, child_port },
    { "perilune_admin_port", admin_port, child_admin_port }, { "perilune_run", run, child_run },
    { "perilune_poll", poll_, child_poll }, { "perilune_fd", fd, child_fd }, { "perilune_timeout", timeout, child_timeout },
    { "perilune_stop", nothing_done, child_does_nothing }, { "perilune_wake", nothing_done, child_does_nothing },
    { "perilune_drain", nothing_done, child_does_nothing }, { "perilune_stats", stats, child_stats },
    { "perilune_tool_", tools, no_gateway }, { "perilune_post", post, child_post },
    { "perilune_request_", request, child_request }, { "perilune_event_header", event_header, no_gateway },
    { "perilune_function_add", function_add, child_function_add }, { "perilune_value_set", value_set, child_value_set },
    { "perilune_hook", hook, child_hook }, { "perilune_eval", eval, child_eval }, { "perilune_call_", call, child_call },
};

static int row_of(const char *name) {
    for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
        size_t n = strlen(functions[i].name);
        if (strncmp(name, functions[i].name, n) == 0 && (name[n] == '\0' || functions[i].name[n - 1] == '_')) return (int)i;
    }
    return -1;
}

TEST_NOFAULT(every_function_without_what_it_needs) {
    unsigned seen = 0;
    for (char *p = header(); (p = strstr(p, "\nPERILUNE_API ")) != NULL;) {
        char *paren = strchr(p, '('), *begin = paren, name[80];
        while (begin[-1] == '_' || (begin[-1] >= 'a' && begin[-1] <= 'z')) begin--;
        snprintf(name, sizeof(name), "%.*s", (int)(paren - begin), begin);
        NOTE("%s", name);
        int row = row_of(name);
        CHECK(row >= 0);
        CHECK_INT(functions[row].without(), PERILUNE_ERR_INVAL);
        seen++;
        p = paren;
    }
    CHECK(seen > 30);
}

/* -- Sizes ----------------------------------------------------------------------------------- */

static void refused(const perilune_options *o, const char *sentence) {
    perilune *g = (perilune *)(uintptr_t)o;
    char err[300] = "";
    CHECK_INT(perilune_open(&g, o, err, sizeof(err)), PERILUNE_ERR_INVAL);
    CHECK(g == NULL);
    CHECK(strstr(err, sentence) != NULL);
}

TEST_NOFAULT(options_of_a_wrong_size) {
    static const size_t wrong[] = { 0, 1, 8, 12, 40, sizeof(perilune_options) + 1, sizeof(perilune_options) - 4, 4104,
                                    (size_t)-1, (size_t)-8 };
    perilune_options o = PERILUNE_OPTIONS_INIT;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        NOTE("%zu", wrong[i]);
        o.size = wrong[i];
        refused(&o, "begin it with PERILUNE_OPTIONS_INIT");
    }
    refused(NULL, "options are missing");
    o = (perilune_options)PERILUNE_OPTIONS_INIT;
    o.threads = -2;
    refused(&o, "options.threads is -1");
    o.threads = 1 << 30;
    refused(&o, "options.threads is -1");
}

/* A program that was compiled with an older header, and one with a newer. */
TEST_NOFAULT(options_of_another_version) {
    struct newer {
        perilune_options o;
        void            *more[4];
    } n = { .o = PERILUNE_OPTIONS_INIT };
    perilune *g = NULL;
    n.o.size = offsetof(perilune_options, read);
    CHECK_INT(perilune_open(&g, &n.o, NULL, 0), 0);
    perilune_close(g);
    n.o.size = sizeof(n);
    CHECK_INT(perilune_open(&g, &n.o, NULL, 0), 0);
    perilune_close(g);
    n.more[2] = &n;
    refused(&n.o, "too old to know");
}

TEST_NOFAULT(the_buffer_of_stats) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    CHECK_INT(perilune_open(&g, &o, NULL, 0), 0);
    CHECK(perilune_stats(g, NULL, 0) > 100);
    CHECK_INT(perilune_stats(g, NULL, 1), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_load(g, NULL), PERILUNE_ERR_INVAL);
    CHECK_STR(perilune_errmsg(g), "no path given");
    CHECK_INT(perilune_set_allocator(NULL), PERILUNE_ERR_STATE);
    CHECK_INT(perilune_set_clock(NULL), PERILUNE_ERR_STATE);
    CHECK_INT(perilune_set_random(NULL, NULL), PERILUNE_ERR_STATE);
    perilune_close(g);
}

/* -- Several, and forks ------------------------------------------------------------------------- */

static int read_text(void *ud, const char *name, perilune_str *text) {
    static const char config[] = "return { host_functions = { 'wait' }, upstreams = { none = { url = 'http://127.0.0.1:1' } },"
                                 "  routes = { { path = '/v1/*', policies = { 'wait' } } } }";
    static const char policy[] = "local perilune = require 'perilune' return function() return function()"
                                 "  return perilune.respond{ text = host.wait() } end end";
    bool is_policy = strcmp(name, "policies/wait.lua") == 0;
    (void)ud;
    if (!is_policy && strcmp(name, "host.lua") != 0) return 0;
    *text = is_policy ? (perilune_str){ policy, sizeof(policy) - 1 } : (perilune_str){ config, sizeof(config) - 1 };
    return 1;
}

static void wait_for_parent(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    (void)args, (void)count, (void)ud;
    had.call = perilune_call_defer(call, NULL, NULL);
}

static void have_a_gateway(int threads) {
    static const char body[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    perilune_options o = PERILUNE_OPTIONS_INIT;
    o.config = "host.lua";
    o.read = read_text;
    o.threads = threads;
    CHECK_INT(perilune_open(&had.g, &o, NULL, 0), 0);
    CHECK_INT(perilune_function_add(had.g, "wait", wait_for_parent, NULL), 0);
    CHECK_INT(perilune_listen(had.g, "127.0.0.1:0"), 0);
    CHECK_INT(perilune_request_new(had.g, "/v1/models", NULL, 0, &had.fresh), 0);
    CHECK_INT(perilune_request_new(had.g, "/v1/chat/completions", body, sizeof(body) - 1, &had.begun), 0);
    CHECK_INT(perilune_request_start(had.begun, NULL, NULL), 0);
    for (int i = 0; i < 1000 && had.call == NULL; i++) CHECK_INT(perilune_poll(had.g, 1), 0);
    CHECK(had.call != NULL);
    had.fd = perilune_fd(had.g);
    while (!is_silent()) CHECK_INT(perilune_poll(had.g, 0), 0);
}

/* Returns 0, or the number of the first row that does otherwise. */
static int child_main(void) {
    for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++)
        if (functions[i].in_child() != PERILUNE_ERR_STATE) return (int)i + 1;
#ifndef __SANITIZE_THREAD__ /* which ends a child of threads that starts one */
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *own = NULL; /* one of its own it may have */
    o.threads = 1;
    if (perilune_open(&own, &o, NULL, 0) != 0 || perilune_listen(own, "127.0.0.1:0") != 0) return 100;
    perilune_close(own);
#endif
    return 0;
}

TEST_NOFAULT(a_child_has_no_gateway) {
    for (int threads = 0; threads < 2; threads++) {
        perilune_str text;
        int status;
        memset(&had, 0, sizeof(had));
        have_a_gateway(threads);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) _exit(child_main());
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status));
        int row = WEXITSTATUS(status);
        NOTE("%s", row > 0 && row < 100 ? functions[row - 1].name : "");
        CHECK_INT(row, 0);
        CHECK_INT(perilune_call_done(had.call, "\"parent\"", 8), 0); /* and the parent's goes on */
        perilune_call_free(had.call);
        CHECK_INT(perilune_request_text(had.begun, &text), 0);
        CHECK_INT(text.len, 6);
        CHECK(memcmp(text.ptr, "parent", 6) == 0);
        CHECK_INT(perilune_request_set(had.fresh, "tenant", "a"), 0);
        perilune_request_free(had.fresh);
        perilune_request_free(had.begun);
        CHECK(perilune_port(had.g) > 0);
        perilune_close(had.g);
    }
}

TEST_NOFAULT(several_gateways_in_one_process) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g[4] = { NULL };
    for (int i = 0; i < 4; i++) {
        o.threads = i % 3;
        CHECK_INT(perilune_open(&g[i], &o, NULL, 0), 0);
        CHECK_INT(perilune_listen(g[i], "127.0.0.1:0"), 0);
        for (int k = 0; k < i; k++) CHECK(perilune_port(g[k]) != perilune_port(g[i]));
    }
    CHECK(perilune_load(g[1], "/no/such/file") < 0); /* one's failure is not the other's */
    CHECK(strstr(perilune_errmsg(g[1]), "/no/such/file") != NULL);
    CHECK_STR(perilune_errmsg(g[2]), "");
    perilune_stop(g[0]);
    CHECK_INT(perilune_run(g[0]), 0);
    CHECK_INT(perilune_poll(g[3], 0), 0);
    static const int order[] = { 2, 0, 3, 1 };
    for (int i = 0; i < 4; i++) perilune_close(g[order[i]]);
}

/* -- Other threads ---------------------------------------------------------------------- */

static perilune *owned;
static perilune_request *owned_request;

static int from_load(void) { return perilune_load(owned, "x"); }
static int from_reload(void) { return perilune_reload(owned); }
static int from_listen(void) { return perilune_listen(owned, "127.0.0.1:0"); }
static int from_port(void) { return perilune_port(owned); }
static int from_admin_port(void) { return perilune_admin_port(owned); }
static int from_run(void) { return perilune_run(owned); }
static int from_poll(void) { return perilune_poll(owned, -1); }
static int from_fd(void) { return perilune_fd(owned); }
static int from_timeout(void) { return perilune_timeout(owned); }
static int from_hook(void) { return perilune_hook(owned, NULL); }
static int from_eval(void) { return perilune_eval(owned, "return 1", NULL, NULL, 0, NULL); }
static int from_start(void) { return perilune_request_start(owned_request, NULL, NULL); }

static int from_set(void) { return perilune_request_set(owned_request, "tenant", "a"); }

static int from_next(void) {
    const perilune_event *ev;
    return perilune_request_next(owned_request, &ev, 0);
}

static int from_text(void) {
    perilune_str text;
    return perilune_request_text(owned_request, &text);
}

/* What gives no code does nothing: it is there afterwards, and can be started. */
static int from_free(void) {
    perilune_request_pause(owned_request, 1);
    perilune_request_free(owned_request);
    return strstr(perilune_request_errmsg(owned_request), "perilune_post()") ? PERILUNE_ERR_STATE : 0;
}

static void nothing(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    (void)call, (void)args, (void)count, (void)ud;
}

static int from_function_add(void) { return perilune_function_add(owned, "f", nothing, NULL); }

static int from_request_new(void) {
    perilune_request *r;
    return perilune_request_new(owned, "/v1/models", NULL, 0, &r);
}

/* What is the owner's. */
static const struct {
    const char *name;
    int       (*call)(void);
} owners[] = {
    { "perilune_load", from_load }, { "perilune_reload", from_reload }, { "perilune_listen", from_listen },
    { "perilune_port", from_port }, { "perilune_admin_port", from_admin_port }, { "perilune_run", from_run },
    { "perilune_poll", from_poll }, { "perilune_fd", from_fd }, { "perilune_timeout", from_timeout },
    { "perilune_function_add", from_function_add }, { "perilune_hook", from_hook }, { "perilune_eval", from_eval },
    { "perilune_request_new", from_request_new }, { "perilune_request_start", from_start },
    { "perilune_request_set", from_set }, { "perilune_request_next", from_next }, { "perilune_request_text", from_text },
    { "perilune_request_free", from_free },
};
#define OWNERS (sizeof(owners) / sizeof(*owners))

static int elsewhere_rc[OWNERS];
static char elsewhere_said[300];
static atomic_bool elsewhere_done;

static void call_all(void *ud, const perilune_finished *r) {
    (void)ud, (void)r;
    for (size_t i = 0; i < OWNERS; i++) elsewhere_rc[i] = owners[i].call();
    snprintf(elsewhere_said, sizeof(elsewhere_said), "%s", perilune_errmsg(owned));
    atomic_store(&elsewhere_done, true);
}

static void call_all_from_log(void *ud, int level, perilune_str line) {
    (void)level, (void)line;
    if (!atomic_load(&elsewhere_done)) call_all(ud, NULL);
}

static void all_were_refused(void) {
    for (size_t i = 0; i < OWNERS; i++) {
        NOTE("%s", owners[i].name);
        CHECK_INT(elsewhere_rc[i], PERILUNE_ERR_STATE);
    }
    CHECK(strstr(elsewhere_said, "perilune_post()") != NULL);
}

static int read_nothing(void *ud, const char *name, perilune_str *text) {
    static const char config[] = "return {}";
    (void)ud;
    *text = (perilune_str){ config, sizeof(config) - 1 };
    return strcmp(name, "c") == 0;
}

static void get(int port_number) {
    static const char ask[] = "GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n";
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port_number),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char reply[256];
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(s >= 0 && connect(s, (struct sockaddr *)&a, sizeof(a)) == 0);
    CHECK(send(s, ask, sizeof(ask) - 1, 0) == (ssize_t)sizeof(ask) - 1);
    CHECK(recv(s, reply, sizeof(reply), 0) > 0);
    close(s);
}

static void *call_all_and_close(void *ud) {
    call_all(ud, NULL);
    perilune_close(owned);
    return NULL;
}

static atomic_uint closes_refused;

static void count_closes(void *ud, int level, perilune_str line) {
    (void)ud, (void)level;
    static const char said[] = "perilune_close() does nothing: this is not the thread that opened the gateway";
    if (memmem(line.ptr, line.len, said, sizeof(said) - 1) != NULL) atomic_fetch_add(&closes_refused, 1);
}

static bool some_request_runs(void) {
    return perilune_request_set(owned_request, "tenant", "a") == PERILUNE_ERR_STATE; /* it was started */
}

/* The owner turns its loop meanwhile. */
TEST_NOFAULT(what_is_the_owners_on_threads_of_the_hosts) {
    for (int threads = 0; threads < 3; threads += 2) {
        perilune_options o = PERILUNE_OPTIONS_INIT;
        pthread_t t[2];
        o.threads = threads;
        o.config = "c";
        o.read = read_nothing;
        o.log = count_closes;
        atomic_store(&closes_refused, 0);
        atomic_store(&elsewhere_done, false);
        CHECK_INT(perilune_open(&owned, &o, NULL, 0), 0);
        CHECK_INT(perilune_request_new(owned, "/v1/models", NULL, 0, &owned_request), 0);
        CHECK(pthread_create(&t[0], NULL, call_all_and_close, NULL) == 0);
        while (!atomic_load(&elsewhere_done)) CHECK_INT(perilune_poll(owned, 1), 0);
        pthread_join(t[0], NULL);
        all_were_refused();
        CHECK(!some_request_runs());
        CHECK(pthread_create(&t[1], NULL, call_all_and_close, NULL) == 0);
        pthread_join(t[1], NULL);
        all_were_refused();
        CHECK_INT(perilune_request_start(owned_request, NULL, NULL), 0); /* nobody has freed or closed */
        perilune_str text;
        CHECK_INT(perilune_request_text(owned_request, &text), 0);
        perilune_request_free(owned_request);
        perilune_close(owned);
        CHECK_INT(atomic_load(&closes_refused), 2);
    }
}

TEST_NOFAULT(what_is_the_owners_on_a_worker_and_on_the_log_thread) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune_hooks h = { .size = sizeof(h), .finished = call_all };
    o.threads = 1;
    o.config = "c";
    o.read = read_nothing;
    CHECK_INT(perilune_open(&owned, &o, NULL, 0), 0);
    CHECK_INT(perilune_request_new(owned, "/v1/models", NULL, 0, &owned_request), 0);
    CHECK_INT(perilune_hook(owned, &h), 0);
    CHECK_INT(perilune_listen(owned, "127.0.0.1:0"), 0);
    get(perilune_port(owned));
    CHECK(atomic_load(&elsewhere_done));
    all_were_refused();
    CHECK_INT(perilune_hook(owned, NULL), 0);
    memset(elsewhere_rc, 0, sizeof(elsewhere_rc));
    CHECK_INT(perilune_request_set(owned_request, "tenant", "a"), 0); /* nobody has freed it */
    perilune_request_free(owned_request);
    perilune_close(owned);

    atomic_store(&elsewhere_done, true); /* until there is a request to try with */
    o.log = call_all_from_log;
    CHECK_INT(perilune_open(&owned, &o, NULL, 0), 0);
    CHECK_INT(perilune_request_new(owned, "/v1/models", NULL, 0, &owned_request), 0);
    atomic_store(&elsewhere_done, false);
    CHECK_INT(perilune_reload(owned), 0); /* has a line */
    for (int i = 0; i < 5000 && !atomic_load(&elsewhere_done); i++) usleep(1000);
    CHECK(atomic_load(&elsewhere_done));
    all_were_refused();
    perilune_request_free(owned_request);
    perilune_close(owned);
}
