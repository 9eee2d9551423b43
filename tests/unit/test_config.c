/* test_config.c -- the normalized configuration as structs; registry.c. */
#include "gateway/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/registry.h"
#include "unit.h"

static int sim_port(void *ud, char *err, size_t errlen) {
    if (ud == NULL) return 4711;
    snprintf(err, errlen, "no simulator today");
    return -1;
}

struct world {
    struct registry   registry;
    struct config_env env;
    char              err[512];
};

static void begin(struct world *w) {
    memset(w, 0, sizeof(*w));
    CHECK_INT(registry_init(&w->registry), 0);
    w->env = (struct config_env){ .registry = &w->registry, .sim_port = sim_port };
}

static struct config *load(struct world *w, const char *json) {
    struct config *c = NULL;
    int rc = config_new(&c, slice_str(json), &w->env, w->err, sizeof(w->err));
    if (rc != 0) CHECK(c == NULL && w->err[0] != '\0');
    return c;
}

static void end(struct world *w) { registry_deinit(&w->registry); }

static const char ALL[] =
    "{\"listen\":[\"127.0.0.1:1\",\"[::1]:2\"],\"admin\":\"127.0.0.1:3\",\"workers\":4,"
    "\"tls\":{\"cert\":\"c.pem\",\"key\":\"k.pem\"},"
    "\"upstreams\":[{\"name\":\"a\",\"urls\":[\"http://x/v1\",\"http://y/v1\"],\"model\":\"m\\u00e9\",\"models\":[\"n\"],"
    "\"forward_headers\":[\"x-a\"],\"headers\":{\"X-B\":\"c\",\"X-D\":\"e\"},\"http2\":true,\"insecure\":true,"
    "\"proxy\":\"http://p:1\",\"ca\":\"/dev/null\",\"max_body\":2048,\"key\":{\"kind\":\"literal\",\"value\":\"sk\"},"
    "\"timeouts\":{\"connect_ms\":1,\"headers_ms\":2,\"first_token_ms\":3,\"idle_ms\":4,\"total_ms\":5}},"
    "{\"name\":\"b\",\"key\":{\"kind\":\"client\"},\"max_body\":33554432,"
    "\"sim\":{\"tokens\":3,\"text\":\"hi\"}}],"
    "\"routes\":[{\"path\":\"/v1/x\",\"methods\":[\"POST\",\"PUT\"],\"chain\":true},"
    "{\"path\":\"/v1/x\",\"upstream\":\"b\"},{\"path\":\"/v1/y*\",\"methods\":[\"GET\"]},{\"path\":\"/*\"}],"
    "\"limits\":{\"body\":6,\"header_timeout_ms\":7,\"body_timeout_ms\":8,\"idle_timeout_ms\":9,\"send_timeout_ms\":18,\"high_water\":10,"
    "\"low_water\":11,\"connections\":12,\"cpu_ms\":13,\"block_ms\":17,\"calls\":18,\"open_calls\":19,\"fetches\":20,\"memory\":14,\"request_timeout_ms\":15,\"keepalive_comment_ms\":16},"
    "\"cors\":{\"origins\":[\"https://a\",\"null\"],\"headers\":\"x-h\",\"expose\":\"*\",\"credentials\":true,\"max_age_ms\":20000},"
    "\"websocket\":{\"on\":true,\"path\":\"/ws\",\"max_message\":21,\"ping_ms\":22,\"pong_ms\":23,\"idle_ms\":24,\"max_requests\":25,\"headers\":[\"x-w\"]},"
    "\"compress\":{\"min_size\":19,\"streams\":true},\"drain_timeout_ms\":17,\"watch\":true,\"log\":{\"access\":true,\"level\":\"warn\"}}";

static void check_all(const struct config *c) {
    const struct target *a = &c->targets[0], *b = &c->targets[1];
    CHECK_UINT(c->listen_count, 2);
    CHECK_STR(c->listen[1], "[::1]:2");
    CHECK_STR(c->admin, "127.0.0.1:3");
    CHECK_UINT(c->workers, 4);
    CHECK_STR(c->tls_cert, "c.pem");
    CHECK_STR(c->tls_key, "k.pem");
    CHECK_UINT(c->target_count, 2);
    CHECK_STR(a->name, "a");
    CHECK_UINT(a->url_count, 2);
    CHECK_STR(a->urls[1], "http://y/v1");
    CHECK_STR(a->model, "m\xc3\xa9");
    CHECK_UINT(a->model_count, 1);
    CHECK_STR(a->models[0], "n");
    CHECK_STR(a->key, "sk");
    CHECK(!a->key_from_client && a->http2 && a->insecure);
    CHECK_STR(a->forward_headers[0], "x-a");
    CHECK_UINT(a->header_count, 2);
    CHECK_STR(a->headers[0], "X-B: c");
    CHECK_STR(a->headers[1], "X-D: e");
    CHECK_STR(a->proxy, "http://p:1");
    CHECK_STR(a->ca, "/dev/null");
    CHECK_UINT(a->max_answer, 2048);
    CHECK(a->timeouts.connect_ms == 1 && a->timeouts.headers_ms == 2 && a->timeouts.first_token_ms == 3);
    CHECK(a->timeouts.idle_ms == 4 && a->timeouts.total_ms == 5);
    CHECK(b->key_from_client && b->key == NULL && b->model == NULL && b->proxy == NULL);
    CHECK_STR(b->urls[0], "http://127.0.0.1:4711/v1");
    CHECK_STR(b->headers[0], "x-sim: tokens=3,text=\"hi\"");
    CHECK(a->health != b->health);
    CHECK(c->http.body == 6 && c->http.header_ms == 7 && c->http.body_ms == 8 && c->http.idle_ms == 9);
    CHECK(c->http.send_ms == 18 && c->http.compress_min == 19 && c->http.compress_streams);
    CHECK(c->cors.origin_count == 2 && c->cors.credentials && c->cors.max_age == 20);
    CHECK_STR(c->cors.origins[1], "null");
    CHECK_STR(c->cors.headers, "x-h");
    CHECK_STR(c->cors.expose, "*");
    const struct websocket *w = &c->websocket;
    CHECK_STR(w->path, "/ws");
    CHECK(w->socket.max_message == 21 && w->socket.ping_ms == 22 && w->socket.pong_ms == 23 && w->socket.idle_ms == 24);
    CHECK(w->socket.message_ms == 8 && w->max_requests == 25 && w->headers.count == 1);
    CHECK_STR(w->headers.names[0], "x-w");
    CHECK(c->http.high_water == 10 && c->http.low_water == 11 && c->http.connections == 12);
    CHECK(c->lua.cpu_us == 13000 && c->lua.block_us == 17000 && c->lua.calls == 18 && c->lua.open_calls == 19 && c->lua.fetches == 20 && c->lua.memory == 14 && c->lua.high_water == 10);
    CHECK_UINT(c->lua.max_answer, 33554432); /* what the largest upstream may send must be readable */
    CHECK(c->request_ms == 15 && c->comment_ms == 16 && c->drain_ms == 17);
    CHECK(c->watch && c->log_access && c->log_level == PERILUNE_LOG_WARN);
}

TEST_FAULT(everything_arrives) {
    struct world w;
    begin(&w);
    struct config *c = load(&w, ALL);
    if (c != NULL) {
        check_all(c);
        config_put(config_ref(c));
        config_put(c);
    } else {
        CHECK(unit_fault_fired());
        CHECK_STR(w.err, "p.lua: out of memory");
    }
    end(&w);
}

static const struct route *route(const struct config *c, const char *method, const char *path, bool wrong) {
    bool said = false;
    struct route_ask ask = { .method = slice_str(method), .path = slice_str(path) };
    const struct route *r = routes_find(c->route_index, &ask, &said);
    NOTE("%s %s", method, path);
    CHECK(r != NULL || said == wrong);
    return r;
}

TEST(the_first_route_that_fits) {
    struct world w;
    begin(&w);
    struct config *c = load(&w, ALL);
    CHECK(c != NULL);
    CHECK_PTR(route(c, "POST", "/v1/x", false), &c->routes[0]);
    CHECK_PTR(route(c, "GET", "/v1/x", false), &c->routes[1]);
    CHECK_PTR(route(c, "GET", "/v1/yes", false), &c->routes[2]);
    CHECK_PTR(route(c, "GET", "/v1/y", false), &c->routes[2]);
    CHECK_PTR(route(c, "POST", "/v1/y", false), &c->routes[3]);
    CHECK_PTR(route(c, "DELETE", "/", false), &c->routes[3]);
    CHECK_PTR(route(c, "get", "/v1/y", false), &c->routes[3]); /* methods have a case */
    c->route_index = routes_new(&c->arena, c->routes, 3);
    CHECK(c->route_index != NULL);
    CHECK_PTR(route(c, "POST", "/v1/y", true), NULL);
    CHECK_PTR(route(c, "POST", "/v1/", false), NULL);
    CHECK_PTR(route(c, "POST", "/v1/xx", false), NULL);
    config_put(c);
    end(&w);
}

TEST(an_empty_one) {
    struct world w;
    begin(&w);
    struct config *c = load(&w, "{}");
    CHECK(c != NULL);
    CHECK(c->listen_count == 0 && c->admin == NULL && c->target_count == 0 && c->route_count == 0 && !c->watch);
    CHECK_INT(c->log_level, PERILUNE_LOG_INFO);
    config_put(c);
    end(&w);
}

/* -- Keys ------------------------------------------------------------------------------ */

static void key_is(struct world *w, const char *kind, const char *value, const char *key, const char *err) {
    char json[512];
    snprintf(json, sizeof(json), "{\"upstreams\":[{\"name\":\"a\",\"urls\":[\"http://x\"],\"key\":{\"kind\":\"%s\",\"value\":\"%s\"}}]}",
             kind, value);
    NOTE("%s %s", kind, value);
    w->err[0] = '\0';
    struct config *c = load(w, json);
    if (key == NULL) {
        CHECK(c == NULL);
        CHECK(strstr(w->err, err) != NULL);
        return;
    }
    CHECK(c != NULL);
    CHECK_STR(c->targets[0].key, key);
    config_put(c);
}

TEST(keys_from_the_environment) {
    struct world w;
    begin(&w);
    CHECK_INT(setenv("PERILUNE_TEST_KEY", "sk-1", 1), 0);
    key_is(&w, "env", "PERILUNE_TEST_KEY", "sk-1", NULL);
    setenv("PERILUNE_TEST_KEY", "sk-1\r\nx-evil: 1", 1);
    key_is(&w, "env", "PERILUNE_TEST_KEY", NULL,
           "upstreams.a.key: has a space in it: only the key itself belongs here, without \"Bearer\"");
    setenv("PERILUNE_TEST_KEY", "sk-1\nx-evil:1", 1);
    key_is(&w, "env", "PERILUNE_TEST_KEY", NULL,
           "upstreams.a.key: has a value with a line break or another control byte");
    setenv("PERILUNE_TEST_KEY", "", 1);
    key_is(&w, "env", "PERILUNE_TEST_KEY", NULL, "upstreams.a.key.env: the environment variable PERILUNE_TEST_KEY is not set");
    unsetenv("PERILUNE_TEST_KEY");
    key_is(&w, "env", "PERILUNE_TEST_KEY", NULL, "is not set");
    end(&w);
}

static void write_file(const char *path, struct slice text) {
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    CHECK_UINT(fwrite(text.ptr, 1, text.len, f), text.len);
    fclose(f);
}

TEST(keys_from_a_file) {
    struct world w;
    char path[] = "/tmp/perilune-key-XXXXXX", big[5000];
    begin(&w);
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    write_file(path, SLICE("sk-2\r\n \n"));
    key_is(&w, "file", path, "sk-2", NULL);
    write_file(path, SLICE("sk-2\nsk-3\n"));
    key_is(&w, "file", path, NULL, "has a value with a line break or another control byte");
    write_file(path, SLICE("\n"));
    key_is(&w, "file", path, NULL, "is empty");
    memset(big, 'k', sizeof(big));
    write_file(path, slice_of(big, sizeof(big)));
    key_is(&w, "file", path, NULL, "is too long for a key (4095 bytes at most)");
    unlink(path);
    key_is(&w, "file", path, NULL, "No such file or directory");
    key_is(&w, "file", "/tmp", NULL, "Is a directory");
    end(&w);
}

TEST(a_simulator_that_does_not_start) {
    struct world w;
    begin(&w);
    w.env.ud = &w;
    CHECK(load(&w, "{\"upstreams\":[{\"name\":\"a\",\"sim\":{}}]}") == NULL);
    CHECK_STR(w.err, "no simulator today");
    end(&w);
}

TEST(options_of_a_simulator_are_checked) {
    struct world w;
    begin(&w);
    CHECK(load(&w, "{\"upstreams\":[{\"name\":\"a\",\"sim\":{\"tokenz\":3}}]}") == NULL);
    CHECK(strstr(w.err, "upstreams.a.sim: ") != NULL && strstr(w.err, "tokenz") != NULL);
    CHECK(load(&w, "{\"upstreams\":[{\"name\":\"a\",\"sim\":{\"tokens\":\"many\"}}]}") == NULL);
    CHECK(strstr(w.err, "tokens") != NULL);
    end(&w);
}

/* -- The registry -------------------------------------------------------------------------- */

TEST_FAULT(an_entry_for_each_name_for_ever) {
    struct registry r;
    CHECK_INT(registry_init(&r), 0);
    struct registry_entry *a = registry_get(&r, "a"), *b = registry_get(&r, "b");
    if (!FAULTED(a) && !FAULTED(b)) {
        CHECK(a != NULL && b != NULL && a != b);
        CHECK_PTR(registry_get(&r, "a"), a);
        CHECK_PTR(registry_get(&r, "b"), b);
        CHECK_STR(a->name, "a");
    }
    registry_deinit(&r);
}

static const char POOLS[] =
    "{\"upstreams\":[{\"name\":\"a\",\"urls\":[\"http://x\"],\"max_body\":5,"
    "\"breaker\":{\"failures\":2,\"share\":0.25,\"calls\":4,\"open_ms\":100,\"max_open_ms\":200,\"probes\":1}},"
    "{\"name\":\"b\",\"urls\":[\"http://y\"]}],"
    "\"pools\":[{\"name\":\"chat\",\"choose\":\"prefix\",\"retries\":1,\"region\":\"eu\",\"models\":[\"m\"],"
    "\"upstreams\":[{\"name\":\"b\",\"weight\":2.5,\"region\":\"eu\",\"spot\":true},{\"name\":\"a\",\"weight\":1}]},"
    "{\"name\":\"talk\",\"choose\":\"sticky\",\"key\":\"x-s\",\"retries\":0,\"upstreams\":[{\"name\":\"a\",\"weight\":1}]},"
    "{\"name\":\"two\",\"choose\":\"weighted\",\"long\":{\"upstreams\":[\"b\"],\"above\":900},"
    "\"upstreams\":[{\"name\":\"a\",\"weight\":1},{\"name\":\"b\",\"weight\":1}]}]}";

static void check_pools(const struct config *c) {
    const struct target *chat = &c->targets[2], *talk = &c->targets[3];
    CHECK_UINT(c->target_count, 5);
    CHECK_UINT(c->targets[4].pool->longs, 2);
    CHECK_UINT(c->targets[4].pool->above, 900);
    CHECK(c->targets[4].pool->state->affinity != NULL && chat->pool->longs == 0);
    CHECK_UINT(c->targets[0].breaker.failures, 2);
    CHECK_UINT(c->targets[0].breaker.max_open_ms, 200);
    CHECK_DOUBLE(c->targets[0].breaker.share, 0.25);
    CHECK_UINT(c->targets[1].breaker.failures, 5);
    CHECK_STR(chat->name, "chat");
    CHECK_STR(chat->models[0], "m");
    CHECK(chat->pool != NULL && talk->pool != NULL && c->targets[0].pool == NULL);
    CHECK_UINT(chat->pool->count, 2);
    CHECK_INT(chat->pool->how, PICK_PREFIX);
    CHECK_UINT(chat->pool->members[0].target, 1);
    CHECK_DOUBLE(chat->pool->members[0].weight, 2.5);
    CHECK_STR(chat->pool->members[0].region, "eu");
    CHECK(chat->pool->members[0].spot && !chat->pool->members[1].spot);
    CHECK(chat->pool->state->affinity != NULL && talk->pool->state->affinity == NULL);
    CHECK_INT(talk->pool->how, PICK_STICKY);
    CHECK_STR(talk->pool->key, "x-s");
}

TEST(pools_are_among_the_targets_and_their_state_survives) {
    struct world w;
    begin(&w);
    struct config *c = load(&w, POOLS);
    CHECK(c != NULL);
    check_pools(c);
    struct target_pool_state *state = c->targets[2].pool->state;
    struct target_health *health = c->targets[0].health;
    config_put(c);
    c = load(&w, POOLS);
    CHECK(c != NULL);
    CHECK(c->targets[2].pool->state == state && c->targets[0].health == health);
    CHECK(c->targets[0].health->number != c->targets[1].health->number);
    config_put(c);
    end(&w);
}
