/* lua_world.h -- a Lua state with a task and its request, for tests of what Lua calls.
 *
 *     struct world w;
 *     world_open(&w, "local core = ... return core.sha256('x')");
 *     world_run(&w);           "fine", "raised" ... and what it returned or said, as text
 *     world_close(&w);
 *
 * The code is a chunk; its values are to be strings, numbers, booleans, nil or lists of
 * these.  It runs in a task, on a virtual clock, for a chat request; the upstream `up`
 * refuses every connection.  Included by a test once: all is static. */
#ifndef PERILUNE_TESTS_LUA_WORLD_H
#define PERILUNE_TESTS_LUA_WORLD_H

#include <lauxlib.h>
#include <luajit.h>
#include <stdio.h>

#include "base/mem.h"
#include "bridge/policy.h"
#include "unit.h"
#include "upstream/client.h"
#include "upstream/multi.h"

struct world {
    struct loop            loop;
    struct client          client;
    struct target          target;
    struct target_health   health;
    struct call_pool       pool;
    struct stores         *stores;
    struct bundle         *bundle;
    struct state          *state;
    struct request *request;
    struct task           *task;
    const char            *code;
    bool                   over, ok;
    char                   text[2048]; /* what came of it */
};

static void world_done(struct task *t, bool ok) {
    struct world *w = t->owner;
    w->over = true;
    w->ok = ok;
}

/* code -> a task with core as its argument. */
static int world_load(lua_State *L, void *ud) {
    struct world *w = ud;
    if (luaL_loadstring(L, w->code) != 0) lua_error(L);
    /* Memory that ends inside a compiled trace crashes LuaJIT. */
    luaJIT_setmode(L, -1, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "perilune.core");
    lua_call(L, 1, 1);
    w->task = task_new(L, 1);
    w->task->done = world_done;
    w->task->owner = w;
    w->task->request = w->request;
    return 0;
}

static void world_open_request(struct world *w) {
    static const char text[] = "{\"model\":\"gpt-4o\",\"n\":1e3,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
                               "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\\u0041b\"}]}]}";
    struct failure f;
    struct buf bytes;
    failure_init(&f);
    buf_init(&bytes, 0);
    buf_puts(&bytes, text);
    w->request = policy_request_new(w->state);
    CHECK(w->request != NULL);
    CHECK_INT(body_new(&w->request->body, &bytes, &openai_chat, &f), 0);
    w->request->method = SLICE("POST");
    w->request->path = SLICE("/v1/chat/completions");
}

static void world_open(struct world *w, const char *code) {
    static const struct state_limits limits = { .memory = 64u << 20, .max_answer = 1u << 20, .high_water = 1u << 16 };
    char err[512] = "";
    *w = (struct world){ .code = code };
    multi_global_init();
    CHECK_INT(loop_init(&w->loop), 0);
    w->loop.is_virtual = true;
    CHECK_INT(client_init(&w->client, &w->loop), 0);
    w->client.env_proxy = false;
    w->target = (struct target){ .name = "up", .urls = { "http://127.0.0.1:9/v1" }, .url_count = 1,
                                 .max_answer = 1 << 20, .timeouts = { .connect_ms = 5000, .total_ms = 5000 },
                                 .health = &w->health };
    call_pool_init(&w->pool, &w->client, &w->target);
    w->stores = stores_new();
    w->bundle = bundle_new("nowhere/perilune.lua", true);
    CHECK(w->stores != NULL && w->bundle != NULL);
    int rc = state_new(&w->state, &w->loop, NULL, w->stores, &limits, err, sizeof(err));
    if (rc != 0) FAIL("%s", err);
    w->state->time.until_us = 0;
    w->state->services.client = &w->client;
    w->state->services.pools = &w->pool;
    w->state->services.pool_count = 1;
    w->state->bundle = w->bundle;
    world_open_request(w);
    if (state_call(w->state, world_load, w, err, sizeof(err)) != 0) FAIL("%s", err);
}

/* -- Results as text ------------------------------------------------------------------- */

static void world_describe(lua_State *L, int i, char *out, size_t size) {
    size_t n = strlen(out);
    size_t len;
    const char *s;
    switch (lua_type(L, i)) {
    case LUA_TBOOLEAN: snprintf(out + n, size - n, "%s", lua_toboolean(L, i) ? "true" : "false"); break;
    case LUA_TNUMBER: snprintf(out + n, size - n, "%.14g", lua_tonumber(L, i)); break;
    case LUA_TSTRING:
        s = lua_tolstring(L, i, &len);
        snprintf(out + n, size - n, "'");
        for (size_t k = 0; k < len && n + 8 < size; k++) { /* the bytes that show, others as numbers */
            n = strlen(out);
            bool shows = (unsigned char)s[k] >= ' ' && (unsigned char)s[k] < 0x7f;
            snprintf(out + n, size - n, shows ? "%c" : "\\%d", (unsigned char)s[k]);
        }
        n = strlen(out);
        snprintf(out + n, size - n, "'");
        break;
    case LUA_TTABLE:
        snprintf(out + n, size - n, "{");
        for (int k = 1; k <= (int)lua_objlen(L, i); k++) {
            lua_rawgeti(L, i, k);
            world_describe(L, lua_gettop(L), out, size);
            lua_pop(L, 1);
            n = strlen(out);
            snprintf(out + n, size - n, ",");
        }
        n = strlen(out);
        snprintf(out + n, size - n, "}");
        break;
    default: snprintf(out + n, size - n, "%s", luaL_typename(L, i));
    }
}

/* Runs the task to its end; did it end, and without raising? */
static bool world_run(struct world *w) {
    task_resume(w->task);
    loop_run_virtual(&w->loop, &w->over);
    return w->over && w->ok;
}

/* After world_run(), and when memory is there again. */
static const char *world_text(struct world *w) {
    lua_State *co = w->task->co;
    w->text[0] = '\0';
    if (!w->over) return "waits for ever";
    if (!w->ok) {
        const char *s = state_text(co, -1);
        snprintf(w->text, sizeof(w->text), "raised: %s", s ? s : "?");
        w->text[strcspn(w->text, "\n")] = '\0'; /* without the traceback */
        return w->text;
    }
    for (int i = 1, n = lua_gettop(co); i <= n; i++) {
        if (i > 1) snprintf(w->text + strlen(w->text), sizeof(w->text) - strlen(w->text), " ");
        world_describe(co, i, w->text, sizeof(w->text));
    }
    return w->text;
}

static void world_close(struct world *w) {
    task_free(w->task);
    request_end(w->request);
    request_put(w->request);
    loop_flush(&w->loop);
    state_put(w->state);
    call_pool_deinit(&w->pool);
    client_close(&w->client);
    uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    loop_flush(&w->loop);
    loop_deinit(&w->loop);
    client_deinit(&w->client);
    bundle_free(w->bundle);
    stores_free(w->stores);
}

#endif
