/* test_bridge.c -- a Lua state and its policies, with memory that runs out. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "bridge/cleanup.h"
#include "bridge/policy.h"
#include "unit.h"

static const char CONFIG[] =
    "local perilune = require 'perilune'\n"
    "return { upstreams = { up = { url = 'http://127.0.0.1:9/v1' } }, routes = {\n"
    "  { path = '/v1/chat/completions', policies = {\n"
    "    { 'route', small = 'up', big = 'up' },\n"
    "    { 'stream_fields', fields = { 'a', 'b:text' } }, { 'window', max_tokens = 10 }, { 'prompt_cache' },\n"
    "    function(req, next)\n"
    "      local view = perilune.json.view('{\"b\":[{\"x\":1}],\"a\":\"\\\\u0041\"}')\n"
    "      view.c = #req:prefixes(true)\n"
    "      assert(perilune.json.encode(view):find('c', 1, true) and not perilune.json.view('['))\n"
    "      local stream = perilune.json_stream{ seek = true }\n"
    "      assert(stream:feed('{\"a\":[1,\"\\\\u0041\",{}]}')[2].value == 'A' and stream:finish())\n"
    "      req:saved{ policy = 'mine', before = 10, after = 5, cost = 0.1 }\n"
    "      require('perilune.cost').open(req, 'mine'):remember('state')\n"
    "      return next(req)\n"
    "    end,\n"
    "    function(req, next)\n"
    "      table.insert(req.messages, { role = 'user', content = ('x'):rep(100) })\n"
    "      local both = perilune.all{ function() perilune.sleep(1) return 1 end, function() return 2 end }\n"
    "      assert(both[1] == 1 and both[2] == 2)\n"
    "      assert(#req:body() > 100 and perilune.json.decode(req:body()).model == 'm')\n"
    "      assert(perilune.any{ function() return nil, perilune.error('no') end, function() return 7 end } == 7)\n"
    "      assert(perilune.race{ function() perilune.sleep(9) end, function() return 8 end } == 8)\n"
    "      local squares = perilune.map({ 1, 2, 3 }, function(v) return v * v end, { limit = 2 })\n"
    "      local memory = perilune.shared('spec')\n"
    "      memory:set('k', ('v'):rep(50), 10)\n"
    "      assert(memory:get('k') and memory:incr('n', 2) > 0)\n"
    "      local text = perilune.template('{{a}} {{b|json}}'):render{ a = squares[3], b = { x = { 1, 'é' } } }\n"
    "      assert(#req:fingerprint() == 64 and text:find('9', 1, true) and text:gsub('%d+', '-'))\n"
    "      req:finally(function(o) memory:set('ended', o.ok) end)\n"
    "      req.stream, req.tools, req.tenant, req.ctx.x = true, { { name = 'f' } }, 'acme', 1\n"
    "      local mine = perilune.respond{ chunks = { 'one t', 'wo thr', 'ee' }, stream = true, usage = { prompt_tokens = 1 } }\n"
    "      mine.headers['x-a'] = 'b'\n"
    "      local seen = 0\n"
    "      mine:map('word', function(w) return w:upper() end):tap(function() seen = seen + 1 end):record()\n"
    "      mine:finally(function(o) memory:set('out', o.text) end)\n"
    "      for ev in mine:events() do assert(ev.type ~= 'error') end\n"
    "      assert(mine:text() == 'ONE TWO THREE' and seen > 3)\n"
    "      local res = perilune.respond{ text = 'a: x\\nb: done' }\n"
    "      return res\n"
    "    end } } } }\n";

static const char BODY[] = "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

struct world {
    struct loop           loop;
    struct stores        *stores;
    struct state         *state;
    struct bundle        *bundle;
    struct policy_chain  *chains;
    struct request *request;
    struct task          *task;
    struct sink           client;
    bool                  over, answered, ended;
    bool                  unpinned;  /* no memory to keep what the response's functions are found by */
    char                  code[48];  /* of the failure that the client heard */
};

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct world *w = container_of(k, struct world, client);
    w->ended |= ev->type == EVENT_END;
    if (ev->type == EVENT_ERROR) snprintf(w->code, sizeof(w->code), "%s", ev->failure->code);
    return FLOW_MORE;
}

static void on_done(void *owner, const struct policy_result *result) {
    struct world *w = owner;
    w->over = true;
    w->answered = result->response != NULL;
    if (w->unpinned) {
        task_free(w->task);
        w->task = NULL;
        lua_gc(w->state->L, LUA_GCCOLLECT, 0);
    }
    if (w->answered) { /* to a client, and then its end */
        struct outcome o = { .ok = true };
        w->client.event = on_event;
        if (!w->unpinned) response_pin(result->response);
        response_deliver(result->response, &w->client);
        response_finish(result->response, &o);
        w->answered = w->ended;
    }
    response_put(result->response);
    if (w->task != NULL) task_free(w->task);
    w->task = NULL;
}


static int load(struct world *w, const char *path) {
    static const struct state_limits limits = { .cpu_us = 60000000, .memory = 64u << 20, .max_answer = 1u << 20,
                                                .high_water = 1u << 16 };
    char err[512];
    struct buf json;
    unsigned count;
    buf_init(&json, 0);
    w->loop.is_virtual = true;
    w->stores = stores_new();
    int rc = w->stores ? bundle_open(&w->bundle, path, false, err, sizeof(err)) : PERILUNE_ERR_NOMEM;
    if (rc == 0) rc = state_new(&w->state, &w->loop, NULL, w->stores, &limits, err, sizeof(err));
    if (rc == 0) rc = policy_load(w->state, w->bundle, &json, &w->chains, &count, err, sizeof(err));
    buf_deinit(&json);
    return rc;
}

static int ask(struct world *w, bool cancel) {
    struct failure f;
    struct buf body;
    failure_init(&f);
    buf_init(&body, 0);
    buf_puts(&body, BODY);
    w->request = policy_request_new(w->state);
    int rc = w->request ? body_new(&w->request->body, &body, &openai_chat, &f) : PERILUNE_ERR_NOMEM;
    if (w->request == NULL) buf_deinit(&body);
    failure_deinit(&f);
    if (rc != 0) return rc;
    w->request->method = SLICE("POST");
    w->request->path = SLICE("/v1/chat/completions");
    w->task = policy_start(w->state, &w->chains[0], w->request, on_done, w);
    if (w->task == NULL) return PERILUNE_ERR_NOMEM;
    task_resume(w->task);
    if (cancel && w->task != NULL) {
        task_cancel(w->task);
        w->task = NULL;
        return 0;
    }
    loop_run_virtual(&w->loop, &w->over);
    return w->answered ? 0 : PERILUNE_ERR_NOMEM;
}

/* One whole life of a world; returns whether everything went well. */
static bool live_as(struct world *w, const char *path, bool cancel) {
    if (loop_init(&w->loop) != 0) return false;
    bool ok = load(w, path) == 0 && ask(w, cancel) == 0;
    if (w->request) {
        cleanup_run(w->request, &(struct outcome){ .ok = ok, .usage.known = true });
        request_end(w->request);
    }
    request_put(w->request);
    loop_flush(&w->loop);
    state_put(w->state);
    mem_free(w->chains);
    bundle_free(w->bundle);
    stores_free(w->stores);
    loop_deinit(&w->loop);
    return ok;
}

static bool live(const char *path, bool cancel) { return live_as(&(struct world){ .over = false }, path, cancel); }

static void write_text(char *path, struct slice text) {
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK(write(fd, text.ptr, text.len) == (ssize_t)text.len);
    close(fd);
}

static void write_config(char *path) { write_text(path, slice_of(CONFIG, sizeof(CONFIG) - 1)); }

TEST_NOFAULT(a_policy_answers_and_everything_is_given_back) {
    char path[] = "/tmp/perilune-bridge-XXXXXX";
    write_config(path);
    long before = mem_live();
    CHECK(live(path, false));
    CHECK_INT(mem_live(), before);
    CHECK(live(path, true)); /* canceled while its branches wait */
    CHECK_INT(mem_live(), before);
    unlink(path);
}

/* A tap that cannot be called has not looked: what it guards must not pass. */
TEST_NOFAULT(without_their_handle_taps_end_the_answer) {
    static const char config[] =
        "return { upstreams = { up = { url = 'http://127.0.0.1:9/v1' } }, routes = { { path = '/v1/chat/completions',\n"
        "  policies = { function() return require('perilune').respond{ text = 'x' }:tap(function() end) end } } } }\n";
    char path[] = "/tmp/perilune-bridge-XXXXXX";
    write_text(path, slice_of(config, sizeof(config) - 1));
    for (int unpinned = 0; unpinned < 2; unpinned++) {
        struct world w = { .unpinned = unpinned };
        CHECK(live_as(&w, path, false) == !unpinned);
        CHECK_STR(w.code, unpinned ? "policy_error" : "");
    }
    unlink(path);
}

/* -- Time ---------------------------------------------------------------------- */

#define LOST_MS 4

/* As if another process had the core. */
static int l_lose_core(lua_State *L) {
    (void)L;
    nanosleep(&(struct timespec){ .tv_nsec = LOST_MS * 1000000 }, NULL);
    return 0;
}

struct loser {
    struct task *task;
    bool         over, ok;
};

static void on_loser_done(struct task *t, bool ok) {
    struct loser *l = t->owner;
    l->over = true;
    l->ok = ok;
}

static int start_loser(lua_State *L, void *ud) {
    struct loser *l = ud;
    static const char policy[] = "local lose_core = ...\n"
                                 "local sleep = require('perilune').sleep\n"
                                 "for _ = 1, 10 do lose_core() sleep(1) end\n";
    CHECK_INT(luaL_loadstring(L, policy), 0);
    lua_pushcfunction(L, l_lose_core);
    l->task = task_new(L, 1);
    l->task->done = on_loser_done;
    l->task->owner = l;
    return 0;
}

/* Ten slices lose the core for longer than the whole budget. */
TEST_NOFAULT(time_that_another_process_had_is_not_charged) {
    static const struct state_limits limits = { .cpu_us = 20000, .memory = 64u << 20 };
    struct loop loop;
    struct state *s;
    struct loser l = { .over = false };
    char err[256];
    CHECK_INT(loop_init(&loop), 0);
    loop.is_virtual = true;
    CHECK_INT(state_new(&s, &loop, NULL, NULL, &limits, err, sizeof(err)), 0);
    CHECK_INT(state_call(s, start_loser, &l, err, sizeof(err)), 0);
    task_resume(l.task);
    loop_run_virtual(&loop, &l.over);
    NOTE("charged %d us", (int)l.task->budget->used_us);
    CHECK(l.ok && l.task->budget->killed == NULL);
    CHECK(l.task->budget->used_us < 10 * LOST_MS * 1000);
    task_free(l.task);
    loop_flush(&loop);
    state_put(s);
    loop_deinit(&loop);
}

/* -- Memory -------------------------------------------------------------------- */

/* Every allocation of a life fails, once alone and once with all behind it; and every one
 * of a life that is canceled.  In parts, because there are thousands of lives. */
#define PARTS 8

static unsigned every_allocation_of(const char *path, int part, bool forever, bool cancel) {
    CHECK(live(path, false)); /* what is made once for all of them stays */
    long before = mem_live();
    unsigned lives = 0;
    bool reached = true;
    for (long n = part + 1; reached; n += PARTS) {
        NOTE("allocation %ld%s%s", n, forever ? " and all behind it" : "", cancel ? ", canceled" : "");
        mem_fail_at(n, forever);
        bool ok = live(path, cancel);
        reached = mem_fail_count() >= n;
        mem_fail_at(0, false);
        CHECK(ok || reached);
        CHECK_INT(mem_live(), before);
        lives++;
    }
    return lives;
}

static void every_allocation(int part) {
    char path[] = "/tmp/perilune-bridge-XXXXXX";
    write_config(path);
    CHECK(every_allocation_of(path, part, false, false) > 3000 / PARTS);
    CHECK(every_allocation_of(path, part, true, false) > 3000 / PARTS);
    CHECK(every_allocation_of(path, part, true, true) > 2000 / PARTS);
    unlink(path);
}

TEST_NOFAULT(any_allocation_may_fail_1) { every_allocation(0); }
TEST_NOFAULT(any_allocation_may_fail_2) { every_allocation(1); }
TEST_NOFAULT(any_allocation_may_fail_3) { every_allocation(2); }
TEST_NOFAULT(any_allocation_may_fail_4) { every_allocation(3); }
TEST_NOFAULT(any_allocation_may_fail_5) { every_allocation(4); }
TEST_NOFAULT(any_allocation_may_fail_6) { every_allocation(5); }
TEST_NOFAULT(any_allocation_may_fail_7) { every_allocation(6); }
TEST_NOFAULT(any_allocation_may_fail_8) { every_allocation(7); }
