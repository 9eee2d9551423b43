/* test_calls.c -- a host's mistakes: every public function without a gateway, with the wrong sizes, in a child. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static const struct {
    const char *name;
    int       (*without)(void); /* without what it needs: PERILUNE_ERR_INVAL */
} functions[] = {
    { "perilune_version", version }, { "perilune_strerror", strerror_ }, { "perilune_errname", errname },
    { "perilune_set_allocator", set_allocator }, { "perilune_set_clock", set_clock }, { "perilune_set_random", set_random },
    { "perilune_check", check }, { "perilune_open", open_ },
    { "perilune_close", nothing_done }, { "perilune_errmsg", errmsg }, { "perilune_load", load },
    { "perilune_reload", reload }, { "perilune_listen", listen_ }, { "perilune_port", port },
    { "perilune_admin_port", admin_port }, { "perilune_run", run }, { "perilune_poll", poll_ }, { "perilune_fd", fd },
    { "perilune_timeout", timeout }, { "perilune_stop", nothing_done }, { "perilune_wake", nothing_done },
    { "perilune_drain", nothing_done }, { "perilune_stats", stats }, { "perilune_tool_", tools },
    { "perilune_post", post }, { "perilune_request_", request }, { "perilune_event_header", event_header },
    { "perilune_function_add", function_add }, { "perilune_value_set", value_set }, { "perilune_hook", hook },
    { "perilune_eval", eval }, { "perilune_call_", call },
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

static void posted(perilune *g, void *ud) {
    (void)g;
    (void)ud;
}

/* -- Several, and forks ------------------------------------------------------------------------- */

TEST_NOFAULT(a_child_has_no_gateway) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    o.threads = 1;
    CHECK_INT(perilune_open(&g, &o, NULL, 0), 0);
    CHECK_INT(perilune_listen(g, "127.0.0.1:0"), 0);
    perilune_request *begun;
    CHECK_INT(perilune_request_new(g, "/v1/models", NULL, 0, &begun), 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char text[100];
        perilune_request *r;
        bool ok = perilune_request_new(g, "/v1/models", NULL, 0, &r) == PERILUNE_ERR_STATE &&
                  perilune_request_start(begun, NULL, NULL) == PERILUNE_ERR_STATE &&
                  perilune_post(g, posted, NULL) == PERILUNE_ERR_STATE &&
                  perilune_value_set(g, "a", "1", 1) == PERILUNE_ERR_STATE &&
                  perilune_eval(g, "return 1", NULL, NULL, 0, NULL) == PERILUNE_ERR_STATE &&
                  perilune_hook(g, NULL) == PERILUNE_ERR_STATE &&
                  perilune_poll(g, -1) == PERILUNE_ERR_STATE && perilune_run(g) == PERILUNE_ERR_STATE &&
                  perilune_load(g, "x") == PERILUNE_ERR_STATE && perilune_reload(g) == PERILUNE_ERR_STATE &&
                  perilune_listen(g, "127.0.0.1:0") == PERILUNE_ERR_STATE && perilune_fd(g) == PERILUNE_ERR_STATE &&
                  perilune_timeout(g) == PERILUNE_ERR_STATE && perilune_port(g) == PERILUNE_ERR_STATE &&
                  perilune_admin_port(g) == PERILUNE_ERR_STATE &&
                  perilune_stats(g, text, sizeof(text)) == PERILUNE_ERR_STATE &&
                  strstr(perilune_errmsg(g), "fork()") != NULL;
        perilune_wake(g);
        perilune_stop(g);
        perilune_drain(g, 0);
        perilune_close(g);
        perilune *own = NULL; /* one of its own it may have */
        ok = ok && perilune_open(&own, &o, NULL, 0) == 0 && perilune_listen(own, "127.0.0.1:0") == 0;
        perilune_close(own);
        _exit(ok ? 0 : 1);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    perilune_request_free(begun);
    CHECK_INT(perilune_poll(g, 0), 0); /* and the parent's goes on */
    CHECK(perilune_port(g) > 0);
    perilune_close(g);
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
