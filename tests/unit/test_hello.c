/* test_hello.c -- hello.c: the request that `perilune serve` shows works with the configuration at hand. */
#include "cli/hello.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_engine.h"
#include "gateway/gateway.h"
#include "local/resident.h"
#include "unit.h"

/* What is shown for a configuration. */
static void shown(const char *fields, char *text, size_t size) {
    char path[] = "/tmp/perilune-test-XXXXXX";
    FILE *f = fdopen(mkstemp(path), "w");
    CHECK(f != NULL);
    fprintf(f, "return { %s }", fields);
    fclose(f);
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g;
    char err[500] = "";
    o.config = path;
    int rc = perilune_open(&g, &o, err, sizeof(err));
    NOTE("%s", err);
    CHECK_INT(rc, 0);
    struct buf b;
    buf_init(&b, 0);
    hello_write(g->config, 81, &b);
    snprintf(text, size, "%.*s", SLICE_ARG(buf_get(&b)));
    buf_deinit(&b);
    perilune_close(g);
    unlink(path);
}

static void shows(const char *fields, const char *url, const char *part) {
    char text[2000];
    shown(fields, text, sizeof(text));
    NOTE("%s: %s", fields, text);
    CHECK(strstr(text, url) != NULL);
    CHECK(part == NULL || strstr(text, part) != NULL);
}

#define UP "upstreams = { big = { url = 'http://127.0.0.1:9/v1' }, small = { url = 'http://127.0.0.1:9/v1' } }, "
#define KEYS "{ 'auth_keys', keys = { ['2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b'] = 'a' } }"

TEST_NOFAULT(a_model_that_is_served_on_a_path_that_leads_to_it) {
    char text[2000];
    shows(UP, "curl -s http://127.0.0.1:81/v1/chat/completions ", "-d '{\"model\":\"big\",");
    shows(UP "routes = { { path = '/v1/chat/completions', upstream = 'small' } }", ":81/v1/chat/completions ", "\"model\":\"small\"");
    shows(UP "routes = { { path = '/team/*', strip_prefix = '/team' } }, unrouted = false", ":81/team/v1/chat/completions ", "big");
    shows(UP "routes = { { path = '/x', host = 'a' }, { path = '/ai/chat/completions', upstream = 'small' } }, unrouted = false",
          ":81/ai/chat/completions ", "small");
    shows(UP "unrouted = false", ":81/v1/models\n", NULL);
    shows("", ":81/v1/models\n", NULL);
    shows("upstreams = { [\"o'b\"] = { url = 'http://127.0.0.1:9/v1' } }", "completions", "\"model\":\"o'\\''b\"");
    shown(UP, text, sizeof(text));
    CHECK(strstr(text, "authorization") == NULL);
}

/* Of these upstreams the first `vectors` are models in this process that make vectors. */
static void shows_beside_vectors(unsigned vectors, const char *part) {
    char why[200], path[] = "/tmp/perilune-test-XXXXXX";
    struct resident *r;
    struct buf b;
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g;
    FILE *f = fdopen(mkstemp(path), "w");
    fprintf(f, "return { " UP "}");
    fclose(f);
    memset(&fake, 0, sizeof(fake));
    fake.width = 4;
    CHECK_INT(resident_new(&r, &(struct resident_settings){ .engine = &fake_engine, .active = 1, .batch = 64 }, why,
                           sizeof(why)), 0);
    o.config = path;
    CHECK_INT(perilune_open(&g, &o, why, sizeof(why)), 0);
    for (unsigned i = 0; i < vectors; i++) g->config->targets[i].engine = r;
    buf_init(&b, 0);
    hello_write(g->config, 81, &b);
    for (unsigned i = 0; i < vectors; i++) g->config->targets[i].engine = NULL;
    NOTE("%s", buf_cstr(&b));
    CHECK(strstr(buf_cstr(&b), part) != NULL);
    buf_deinit(&b);
    perilune_close(g);
    resident_free(r);
    unlink(path);
}

TEST_NOFAULT(who_makes_vectors_is_asked_for_no_chat) {
    shows_beside_vectors(1, "\"model\":\"small\"");
    shows_beside_vectors(2, ":81/v1/models\n");
}

TEST_NOFAULT(keys_hosts_and_schemes) {
    shows(UP "routes = { { path = '/v1/chat/completions', policies = { " KEYS " } } }", "completions",
          "-H \"authorization: Bearer $KEY\"");
    shows("upstreams = { up = { url = 'http://127.0.0.1:9/v1', key = 'client' } }", "completions", "Bearer $KEY");
    shows(UP "listen = ':0'", "http://127.0.0.1:81/", NULL);
    shows(UP "listen = '[::]:0'", "http://127.0.0.1:81/", NULL);
    shows(UP "listen = { '[::1]:0', '127.0.0.1:0' }", "http://[::1]:81/", NULL);
    char folder[400], fields[1200];
    CHECK(getcwd(folder, sizeof(folder)) != NULL);
    snprintf(fields, sizeof(fields), UP "tls = { cert = '%s/tests/support/tls/cert.pem', key = '%s/tests/support/tls/key.pem' }",
             folder, folder);
    shows(fields, "curl -sk https://127.0.0.1:81/", NULL);
}
