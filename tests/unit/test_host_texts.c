/* test_host_texts.c -- configuration and policies that a host has in its memory; perilune_check(). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"

/* -- A host with texts --------------------------------------------------------------------- */

struct text {
    const char *name, *text;
};

struct host {
    struct text texts[8];
    perilune   *g;          /* to be called out of read(); NULL: is not */
    int         said;       /* what came of that */
    int         fails;      /* what read() returns instead */
    unsigned    calls;
    char        last[64];   /* lent, and overwritten by the next call */
    char        asked[512]; /* the names, a space behind each */
};

static int host_read(void *ud, const char *name, perilune_str *text) {
    struct host *h = ud;
    h->calls++;
    strncat(h->asked, name, sizeof(h->asked) - strlen(h->asked) - 1);
    strncat(h->asked, " ", sizeof(h->asked) - strlen(h->asked) - 1);
    if (h->g != NULL) {
        h->said = perilune_reload(h->g);
        CHECK_INT(perilune_load(h->g, "other"), h->said);
        CHECK_INT(perilune_listen(h->g, "127.0.0.1:0"), h->said);
        CHECK_INT(perilune_poll(h->g, 0), h->said);
        CHECK_INT(perilune_run(h->g), h->said);
        CHECK(strstr(perilune_errmsg(h->g), "options.read() must not call this") != NULL);
        perilune_close(h->g); /* is none */
    }
    if (h->fails != 0) return h->fails;
    for (const struct text *t = h->texts; t < h->texts + 8 && t->name != NULL; t++)
        if (strcmp(t->name, name) == 0) {
            *text = (perilune_str){ t->text, t->text ? strlen(t->text) : 5 };
            return 1;
        }
    return 0;
}

static int open_host(struct host *h, const char *name, perilune **g, char *err, size_t errlen) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    o.config = name;
    o.read = host_read;
    o.read_ud = h;
    return perilune_open(g, &o, err, errlen);
}

#define UP "upstreams = { up = { url = 'http://127.0.0.1:9/v1' } }, "
static const char USES_QUOTA[] = "return {\n" UP "\n  routes = { { path = '/v1/*', policies = { 'quota' } } } }";
static const char QUOTA[] = "local by = require 'prices.eu'\n"
                            "return function() return function(req, next) return next(req, by) end end";

TEST_NOFAULT(a_configuration_out_of_memory) {
    struct host h = { .texts = { { "tenants/acme", USES_QUOTA }, { "tenants/policies/quota.lua", QUOTA },
                                 { "tenants/prices/eu.lua", "return { timeout = 3 }" } } };
    perilune *g = NULL;
    char err[512] = "";
    for (int threads = 0; threads < 2; threads++) {
        perilune_options o = { .size = sizeof(o), .config = "tenants/acme", .threads = threads * 2, .watch = 1,
                               .read = host_read, .read_ud = &h };
        CHECK_INT(perilune_open(&g, &o, err, sizeof(err)), 0);
        CHECK_STR(err, "");
        CHECK_STR(h.asked, "tenants/acme tenants/policies/quota.lua tenants/policies/prices/eu.lua tenants/prices/eu.lua ");
        CHECK_INT(perilune_listen(g, NULL), 0);
        CHECK(perilune_port(g) > 0);
        CHECK_INT(perilune_reload(g), 0);
        CHECK_INT(h.calls, 8); /* each generation reads anew, once for all workers */
        perilune_close(g);
        h.calls = 0;
        h.asked[0] = '\0';
    }
}

TEST_NOFAULT(a_text_replaces_an_installed_policy_and_what_is_installed_is_found) {
    struct host h = { .texts = { { "c", "return { " UP "routes = { { path = '/*', policies = { { 'fallback' } } } } }" } } };
    perilune *g = NULL;
    char err[512] = "";
    int rc = open_host(&h, "c", &g, err, sizeof(err));
    CHECK(rc == 0 || strstr(err, "fallback") != NULL); /* its options are its own affair */
    CHECK(strstr(h.asked, "policies/fallback.lua ") != NULL);
    perilune_close(g);
    h.texts[1] = (struct text){ "policies/fallback.lua", "error('mine')" };
    CHECK_INT(open_host(&h, "c", &g, err, sizeof(err)), PERILUNE_ERR_CONFIG);
    CHECK(strstr(err, "policies/fallback.lua:1: mine") != NULL);
}

TEST_NOFAULT(messages_name_what_the_host_named) {
    struct host h = { .texts = { { "db:acme", "return {\n" UP "\n  listten = 1 }" }, { "broken", "return {\n\n !" } } };
    perilune *g = NULL;
    char err[512] = "";
    CHECK_INT(open_host(&h, "db:acme", &g, err, sizeof(err)), PERILUNE_ERR_CONFIG);
    CHECK(g == NULL);
    CHECK_STR(err, "db:acme:3: listten: unknown key 'listten'; did you mean 'listen'?");
    CHECK_INT(open_host(&h, "broken", &g, err, sizeof(err)), PERILUNE_ERR_CONFIG);
    CHECK(strncmp(err, "broken:3: ", 10) == 0);
    CHECK_INT(open_host(&h, "nothing", &g, err, sizeof(err)), PERILUNE_ERR_CONFIG);
    CHECK_STR(err, "nothing: the host has no text of this name");
    h.fails = PERILUNE_ERR_TIMEOUT;
    CHECK_INT(open_host(&h, "db:acme", &g, err, sizeof(err)), PERILUNE_ERR_CONFIG);
    CHECK_STR(err, "db:acme: the host cannot give it: timed out");
    h.fails = 0;
    h.texts[0].text = NULL;
    CHECK_INT(open_host(&h, "db:acme", &g, err, sizeof(err)), PERILUNE_ERR_CONFIG);
    CHECK_STR(err, "db:acme: the host gave a length and no text");
}

TEST_NOFAULT(a_policy_that_cannot_be_had_is_no_policy_that_is_missing) {
    struct host h = { .texts = { { "c", "return { " UP "routes = { { path = '/*', policies = { 'quota' } } } }" } } };
    perilune *g = NULL;
    char err[700] = "";
    CHECK_INT(open_host(&h, "c", &g, err, sizeof(err)), PERILUNE_ERR_CONFIG);
    CHECK(strstr(err, "no policy or module 'quota'") != NULL);
    h.texts[1] = (struct text){ "policies/quota.lua", NULL };
    CHECK_INT(open_host(&h, "c", &g, err, sizeof(err)), PERILUNE_ERR_CONFIG);
    CHECK(strstr(err, "policies/quota.lua: the host gave a length and no text") != NULL);
}

TEST_NOFAULT(a_folder_that_the_host_lists) {
    struct host h = { .texts = { { "t/c", "return { " UP "routes = { { path = '/v1/chat/completions', policies = { "
                                          "{ 'rewritten', dir = 'prompts' } } } } }" },
                                 { "t/prompts/", "b.prompt\nread.me" } } };
    perilune *g = NULL;
    char err[700] = "";
    CHECK(open_host(&h, "t/c", &g, err, sizeof(err)) < 0);
    CHECK(strstr(h.asked, "t/prompts/b.prompt ") != NULL && strstr(h.asked, "read.me") == NULL);
    CHECK(strstr(err, "t/prompts/b.prompt: the host has no text of this name") != NULL);
}

TEST_NOFAULT(a_refused_reload_leaves_what_was_loaded) {
    struct host h = { .texts = { { "c", USES_QUOTA }, { "policies/quota.lua", QUOTA }, { "prices/eu.lua", "return {}" } } };
    perilune *g = NULL;
    char err[512], stats[65536];
    CHECK_INT(open_host(&h, "c", &g, err, sizeof(err)), 0);
    h.texts[2].text = "return {";
    CHECK_INT(perilune_reload(g), PERILUNE_ERR_CONFIG);
    CHECK(strstr(perilune_errmsg(g), "prices/eu.lua:1: ") != NULL);
    CHECK(perilune_stats(g, stats, sizeof(stats)) > 0);
    CHECK(strstr(stats, "perilune_reload_generation 1\n") != NULL);
    h.texts[2].text = "return {}";
    CHECK_INT(perilune_reload(g), 0);
    perilune_close(g);
}

TEST_NOFAULT(reading_must_not_call_what_is_loading) {
    struct host h = { .texts = { { "c", "return { " UP "}" } } };
    perilune *g = NULL;
    char err[512];
    CHECK_INT(open_host(&h, "c", &g, err, sizeof(err)), 0);
    h.g = g;
    CHECK_INT(perilune_reload(g), 0);
    CHECK_INT(h.said, PERILUNE_ERR_STATE);
    h.g = NULL;
    CHECK_INT(perilune_reload(g), 0);
    perilune_close(g);
}

static void called_in_a_load(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    struct host *h = ud;
    (void)call, (void)args, (void)count;
    h->said = perilune_reload(h->g);
    CHECK(strstr(perilune_errmsg(h->g), "a function that policies call while they are loaded must not call this"));
    perilune_close(h->g);
}

static void on_log(void *ud, int level, perilune_str line) {
    (void)level;
    size_t n = strlen(ud);
    snprintf((char *)ud + n, 2000 - n, "%.*s\n", (int)line.len, line.ptr);
}

/* A function of the host's is named as what it is, and not as options.read(). */
TEST_NOFAULT(functions_must_not_close_what_is_loading) {
    struct host h = { .said = 0 };
    char log[2000] = "", path[] = "/tmp/perilune-host-XXXXXX";
    perilune_options o = PERILUNE_OPTIONS_INIT;
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    dprintf(fd, "local p = require 'perilune' p.host.now() return { " UP "}");
    close(fd);
    o.log = on_log;
    o.log_ud = log;
    CHECK_INT(perilune_open(&h.g, &o, NULL, 0), 0);
    CHECK_INT(perilune_function_add(h.g, "now", called_in_a_load, &h), 0);
    perilune *g = h.g;
    CHECK_INT(perilune_load(g, path), 0);
    CHECK_INT(h.said, PERILUNE_ERR_STATE);
    perilune_close(g);
    CHECK(strstr(log, "perilune_close() inside a function that policies call while they are loaded") != NULL);
    unlink(path);
}

/* -- perilune_check() ------------------------------------------------------------------------ */

struct heard {
    unsigned count;
    struct one {
        int  level, line, column;
        char file[128], key[128], text[300], whole[600];
    } all[32];
};

static void copy(char *to, size_t size, perilune_str s) { snprintf(to, size, "%.*s", (int)s.len, s.ptr); }

static void hear(void *ud, const perilune_message *m) {
    struct heard *h = ud;
    if (h->count == 32) return;
    struct one *o = &h->all[h->count++];
    o->level = m->level;
    o->line = m->line;
    o->column = m->column;
    copy(o->file, sizeof(o->file), m->file);
    copy(o->key, sizeof(o->key), m->key);
    copy(o->text, sizeof(o->text), m->text);
    copy(o->whole, sizeof(o->whole), m->whole);
}

static int check_text(const char *text, const char *policy, struct heard *out) {
    struct host h = { .texts = { { "c.lua", text }, { policy ? "policies/own.lua" : NULL, policy } } };
    perilune_options o = PERILUNE_OPTIONS_INIT;
    *out = (struct heard){ .count = 0 };
    o.config = "c.lua";
    o.read = host_read;
    o.read_ud = &h;
    return perilune_check(&o, hear, out);
}

static struct heard heard;

TEST_NOFAULT(all_that_is_wrong_comes_in_pieces) {
    CHECK_INT(check_text("return {\n  upstreams = { big = {\n     urll = 'x', url = 'http://127.0.0.1:9' } },\n  lissten = 3, drain_timeout = 'a: b' }",
                         NULL, &heard), PERILUNE_ERR_CONFIG);
    CHECK_INT(heard.count, 3);
    int seen = 0;
    for (unsigned i = 0; i < heard.count; i++) {
        const struct one *o = &heard.all[i];
        CHECK_INT(o->level, PERILUNE_LOG_ERROR);
        CHECK_STR(o->file, "c.lua");
        if (strcmp(o->key, "upstreams.big.urll") == 0) {
            CHECK_INT(o->line, 3);
            CHECK_INT(o->column, 6);
            CHECK_STR(o->text, "unknown key 'urll'; did you mean 'url'?");
            CHECK_STR(o->whole, "c.lua:3: upstreams.big.urll: unknown key 'urll'; did you mean 'url'?");
            seen++;
        }
        if (strcmp(o->key, "drain_timeout") == 0) {
            CHECK_INT(o->line, 4);
            CHECK_INT(o->column, 16);
            seen++;
        }
    }
    CHECK_INT(seen, 2);
}

TEST_NOFAULT(what_c_finds_comes_in_pieces_too) {
    CHECK_INT(check_text("return { upstreams = { up = { url = 'http://127.0.0.1:9',\n  key = { env = 'PERILUNE_NO_SUCH' } } } }", NULL,
                         &heard), PERILUNE_ERR_CONFIG);
    CHECK_INT(heard.count, 1);
    CHECK_STR(heard.all[0].key, "upstreams.up.key.env");
    CHECK_STR(heard.all[0].text, "the environment variable PERILUNE_NO_SUCH is not set");
    CHECK_INT(heard.all[0].line, 2);
    CHECK_INT(heard.all[0].column, 11);
    CHECK_INT(check_text("return { upstreams = {}, tls = { cert = '/no/such', key = '/no/such' } }", NULL, &heard),
              PERILUNE_ERR_CONFIG);
    CHECK_INT(heard.count, 1);
    CHECK_STR(heard.all[0].key, "tls");
}

TEST_NOFAULT(a_mistake_in_a_policy_is_said_to_be_there) {
    const char *uses = "return { " UP "\n routes = { { path = '/*', policies = { 'own' } } } }";
    CHECK_INT(check_text(uses, "local x = 1\nreturn function( end", &heard), PERILUNE_ERR_CONFIG);
    CHECK_INT(heard.count, 1);
    CHECK_STR(heard.all[0].file, "policies/own.lua");
    CHECK_INT(heard.all[0].line, 2);
    CHECK_STR(heard.all[0].key, "routes[1].policies[1]");
    CHECK(strncmp(heard.all[0].whole, "c.lua:2: routes[1].policies[1]: policies/own.lua:2: ", 52) == 0);
    /* A doubt: it runs, and is wrong all the same. */
    CHECK_INT(check_text(uses, "return function() return function(req, next)\n return no_such_thing(req) end end", &heard),
              PERILUNE_ERR_CONFIG);
    CHECK(heard.count >= 1);
    CHECK_STR(heard.all[0].file, "policies/own.lua");
    CHECK(heard.all[0].line > 0);
}

TEST_NOFAULT(a_text_that_is_no_lua_and_one_that_throws) {
    CHECK_INT(check_text("return {\n  = }", NULL, &heard), PERILUNE_ERR_CONFIG);
    CHECK_INT(heard.count, 1);
    CHECK_STR(heard.all[0].file, "c.lua");
    CHECK_INT(heard.all[0].line, 2);
    CHECK_STR(heard.all[0].key, "");
    CHECK(strncmp(heard.all[0].text, "unexpected symbol", 17) == 0);
    CHECK_INT(check_text("error('key: not a key: at all', 0)", NULL, &heard), PERILUNE_ERR_CONFIG);
    CHECK_INT(heard.count, 1);
    CHECK_STR(heard.all[0].key, "");
    CHECK_STR(heard.all[0].text, "key: not a key: at all");
}

TEST_NOFAULT(a_warning_is_none_and_nothing_wrong_is_nothing) {
    CHECK_INT(check_text("return { " UP "}", NULL, &heard), 0);
    CHECK_INT(heard.count, 0);
    CHECK_INT(check_text("return { " UP "routes = { { path = '/*', policies = { { 'capture', file = '/no/such/folder/x' } } } } }",
                         NULL, &heard), 0);
    CHECK_INT(heard.count, 1);
    CHECK_INT(heard.all[0].level, PERILUNE_LOG_WARN);
    CHECK_STR(heard.all[0].key, "routes[1].policies[1]");
}

TEST_NOFAULT(more_than_a_sentence_has_room_for) {
    char text[4096] = "return {\n";
    for (int i = 0; i < 30; i++) snprintf(text + strlen(text), sizeof(text) - strlen(text), "  nonsense_of_a_long_name_number_%d = 1,\n", i);
    strcat(text, "}");
    CHECK_INT(check_text(text, NULL, &heard), PERILUNE_ERR_CONFIG);
    CHECK_INT(heard.count, 30);
    for (unsigned i = 0; i < 30; i++) CHECK(heard.all[i].line > 1 && heard.all[i].column == 3);
}

TEST_NOFAULT(checking_without_anything_to_check) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    heard.count = 0;
    CHECK_INT(perilune_check(NULL, hear, &heard), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_check(&o, hear, &heard), PERILUNE_ERR_INVAL);
    CHECK_INT(heard.count, 2);
    CHECK(strstr(heard.all[0].text, "PERILUNE_OPTIONS_INIT") != NULL);
    CHECK_STR(heard.all[1].text, "options.config names nothing to check");
    CHECK_INT(perilune_check(&o, NULL, NULL), PERILUNE_ERR_INVAL);
    o.config = "/no/such/file";
    CHECK(perilune_check(&o, hear, &heard) < 0);
    CHECK_STR(heard.all[2].file, "/no/such/file");
    CHECK_STR(heard.all[2].text, "No such file or directory");
}

TEST_NOFAULT(any_allocation_of_a_check_may_fail) {
    long before = mem_live();
    const char *wrong = "return { upstreams = {}, nonsense = 1 }";
    CHECK_INT(check_text(wrong, NULL, &heard), PERILUNE_ERR_CONFIG);
    for (long n = 1; n < 30; n++) { /* what is before LuaJIT, which crashes of itself (test_bridge.c) */
        mem_fail_at(n, false);
        int rc = check_text(wrong, NULL, &heard);
        mem_fail_at(0, false);
        CHECK(rc == PERILUNE_ERR_NOMEM || rc == PERILUNE_ERR_CONFIG);
        CHECK_INT(mem_live(), before);
    }
}
