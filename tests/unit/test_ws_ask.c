/* test_ws_ask.c -- what messages on a WebSocket ask for. */
#include "gateway/ws_ask.h"

#include "gateway/cors.h"
#include "unit.h"

static const char *const names[] = { "cache-control", "x-a-*" };
static const struct headers_list may = { names, 2 };

static bool reads(const char *message, struct ws_ask *a, struct failure *f) {
    failure_init(f);
    return ws_ask_read(a, slice_str(message), &may, f);
}

TEST_FAULT(a_request) {
    static const char message[] = "{\"headers\":{\"X-A-b\":\" v \",\"cache-control\":\"no-store\"}, \"body\": {\"a\" : 1},"
                                  "\"id\":\"\\u0041\\/\", \"path\":\"/v1/x?y=z?\",\"method\":\"PUT\"}";
    struct ws_ask a;
    struct failure f;
    bool ok = reads(message, &a, &f);
    if (!FAULTED(ok ? 0 : PERILUNE_ERR_NOMEM)) {
        CHECK(ok && !a.cancel);
        CHECK_SLICE(a.id, SLICE("\"A/\""));
        CHECK_SLICE(a.path, SLICE("/v1/x"));
        CHECK_SLICE(a.query, SLICE("y=z?"));
        CHECK_SLICE(a.method, SLICE("PUT"));
        CHECK_SLICE(a.headers, SLICE("X-A-b: v\r\ncache-control: no-store\r\n"));
        CHECK_SLICE(slice_of(message + a.body_at, a.body_len), SLICE("{\"a\" : 1}"));
    } else {
        CHECK_INT(f.kind, FAILURE_NO_MEMORY);
    }
    ws_ask_deinit(&a);
    failure_deinit(&f);
}

TEST(methods_and_bodies) {
    struct ws_ask a;
    struct failure f;
    CHECK(reads("{\"id\":1,\"path\":\"/\"}", &a, &f));
    CHECK_SLICE(a.method, SLICE("GET"));
    CHECK_UINT(a.body_len, 0);
    ws_ask_deinit(&a);
    CHECK(reads("{\"id\":1,\"path\":\"/\",\"body\":null,\"method\":null,\"headers\":null,\"cancel\":null}", &a, &f));
    CHECK_SLICE(a.method, SLICE("GET"));
    ws_ask_deinit(&a);
    CHECK(reads("{\"id\":0,\"path\":\"/\",\"body\":[]}", &a, &f));
    CHECK_SLICE(a.method, SLICE("POST"));
    CHECK_SLICE(a.id, SLICE("0"));
    ws_ask_deinit(&a);
    CHECK(reads("{\"id\":3,\"cancel\":true}", &a, &f));
    CHECK(a.cancel);
    ws_ask_deinit(&a);
}

TEST(refusals) {
    static const struct { const char *message, *param; } bad[] = {
        { "", "" }, { "1", "" }, { "{\"id\":-1,\"path\":\"/\"}", "id" }, { "{\"id\":true,\"path\":\"/\"}", "id" },
        { "{\"id\":1}", "path" }, { "{\"id\":1,\"path\":\"\"}", "path" }, { "{\"id\":1,\"path\":\"http://x/\"}", "path" },
        { "{\"id\":1,\"path\":\"/\\u0000\"}", "path" }, { "{\"id\":1,\"path\":\"/\\u007f\"}", "path" },
        { "{\"id\":1,\"path\":\"/\",\"method\":\"\"}", "method" }, { "{\"id\":1,\"path\":\"/\",\"method\":\"TRACE\"}", "method" },
        { "{\"id\":1,\"path\":\"/\",\"method\":7}", "method" }, { "{\"id\":1,\"path\":\"/\",\"headers\":{\"\":\"a\"}}", "headers" },
        { "{\"id\":1,\"path\":\"/\",\"headers\":{\"x-a-b c\":\"a\"}}", "headers" },
        { "{\"id\":1,\"path\":\"/\",\"headers\":{\"x-a-b\":\"a\\u0000\"}}", "headers" },
        { "{\"id\":1,\"path\":\"/\",\"headers\":{\"x-b\":\"a\"}}", "headers" },
        { "{\"id\":1,\"cancel\":1}", "cancel" }, { "{\"id\":1,\"cancel\":true,\"body\":1}", "" },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct ws_ask a;
        struct failure f;
        NOTE("%s", bad[i].message);
        CHECK(!reads(bad[i].message, &a, &f));
        CHECK_STR(f.param, bad[i].param);
        CHECK(f.status == 400 && f.message[0] != '\0');
        ws_ask_deinit(&a);
        failure_deinit(&f);
    }
}

/* Pages of the same host, whatever a proxy in front speaks. */
TEST(same_origin) {
    static const struct { const char *origin, *host; bool same; } rows[] = {
        { "https://a.test", "a.test", true }, { "https://A.test", "a.TEST:443", true }, { "https://a.test:443", "a.test", true },
        { "http://a.test", "a.test:80", true }, { "http://a.test:8080", "a.test:8080", true }, { "http://[::1]:8", "[::1]:8", true },
        { "http://a.test:8080", "a.test", false }, { "https://a.test", "a.test:80", false }, { "https://b.test", "a.test", false },
        { "https://a.test.evil", "a.test", false }, { "null", "null", false }, { "null", "a.test", false }, { "", "", false },
        { "https://", "", false }, { "a.test", "a.test", false }, { "https://:443", "", false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        NOTE("%s at %s", rows[i].origin, rows[i].host);
        CHECK(cors_is_same(slice_str(rows[i].origin), slice_str(rows[i].host)) == rows[i].same);
    }
}
