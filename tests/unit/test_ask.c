/* test_ask.c -- requests that policies make: whose they are, what they used, when they end. */
#include "lua_world.h"
#include "request/spent.h"

/* -- The line of ancestors ---------------------------------------------------------------- */

#define A (&(struct ask_route){ "3:/a,", "/a", "" })
#define B (&(struct ask_route){ "3:/b,", "/b", "" })

static struct request *make(void) {
    struct request *r = request_new();
    CHECK(r != NULL);
    r->method = SLICE("POST");
    return r;
}

static void drop(struct request *r) {
    request_end(r);
    request_put(r);
}

TEST(a_child_takes_after_its_parent) {
    struct request *p = make(), *c = make();
    struct http_header lines[] = { { SLICE("X-Tier"), SLICE("free") }, { SLICE("Content-Length"), SLICE("5") },
                                   { SLICE("authorization"), SLICE("key") } };
    struct failure f;
    failure_init(&f);
    snprintf(p->id, sizeof(p->id), "a1");
    snprintf(p->tenant, sizeof(p->tenant), "acme");
    p->route = "3:/a,";
    p->deadline_ms = 77;
    p->headers = lines;
    p->header_count = 2;
    p->removed = 1; /* a policy took the key away */
    CHECK_INT(spent_adopt(c, p, NULL, &f), 0);
    CHECK_STR(c->id, "a1.1");
    CHECK_STR(c->tenant, "acme");
    CHECK_STR(c->route, "3:/a,");
    CHECK_INT(c->deadline_ms, 77);
    CHECK_INT(c->header_count, 1);
    CHECK(slice_eq(request_header(c, SLICE("x-tier")), SLICE("free")));
    struct request *d = make();
    CHECK_INT(spent_adopt(d, p, B, &f), 0); /* the policies of a route ask for the key again */
    CHECK_STR(d->id, "a1.2");
    CHECK_STR(d->route, "3:/b,");
    CHECK(slice_eq(request_header(d, SLICE("authorization")), SLICE("key")));
    p->headers = NULL;
    p->header_count = p->removed = 0;
    drop(d);
    drop(c);
    drop(p);
}

TEST(circles_and_depth) {
    struct request *line[ASK_MOST_DEEP + 1];
    struct failure f;
    failure_init(&f);
    line[0] = make();
    line[0]->route = "3:/a,";
    line[0]->route_label = "/a";
    line[1] = make();
    CHECK_INT(spent_adopt(line[1], line[0], A, &f), PERILUNE_ERR_INVAL);
    CHECK_STR(f.code, "ask_cycle");
    CHECK(strstr(f.detail, "'/a' asks '/a'") != NULL);
    CHECK_INT(spent_adopt(line[1], line[0], B, &f), 0);
    line[2] = make();
    CHECK_INT(spent_adopt(line[2], line[1], NULL, &f), 0); /* a call: the name of the route, and not its policies */
    line[3] = make();
    CHECK_INT(spent_adopt(line[3], line[2], B, &f), PERILUNE_ERR_INVAL);
    CHECK(strstr(f.detail, "'/a' asks '/b' asks '/b'") != NULL);
    for (int i = 3; i < ASK_MOST_DEEP; i++) {
        if (i > 3) line[i] = make();
        CHECK_INT(spent_adopt(line[i], line[i - 1], NULL, &f), 0);
    }
    line[ASK_MOST_DEEP] = make();
    CHECK_INT(spent_adopt(line[ASK_MOST_DEEP], line[ASK_MOST_DEEP - 1], NULL, &f), PERILUNE_ERR_LIMITED);
    CHECK_STR(f.code, "ask_too_deep");
    failure_deinit(&f);
    for (int i = ASK_MOST_DEEP; i >= 0; i--) drop(line[i]);
}

/* -- Who pays ---------------------------------------------------------------------------------- */

TEST(what_children_used_adds_up) {
    struct request *p = make(), *c = make(), *d = make();
    struct failure f;
    failure_init(&f);
    struct outcome o = { .ok = true, .usage = { .known = true, .prompt = 10, .completion = 2, .cached = 4 } };
    CHECK_INT(spent_adopt(c, p, NULL, &f), 0);
    CHECK_INT(spent_adopt(d, c, NULL, &f), 0);
    spent_note(d, NULL, &o);
    o.usage.elsewhere.prompt = 10; /* all of it is a grandchild's */
    o.usage.elsewhere.completion = 2;
    o.usage.elsewhere.cached = 4;
    spent_note(c, NULL, &o);
    CHECK(p->spent != NULL && p->spent->next == NULL);
    CHECK_INT(p->spent->times, 2);
    CHECK_INT(p->spent->usage.prompt, 10);
    CHECK_INT(p->spent->usage.completion, 2);
    CHECK_INT(p->spent->usage.cached, 4);
    drop(d);
    drop(c);
    drop(p);
}

/* -- From Lua ------------------------------------------------------------------------------------- */

#define STREAM "data: {\"id\":\"x\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},"      \
               "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\\n\\ndata: [DONE]\\n\\n"

static const char ASK[] =
    "local core = ...\n"
    "local function child()\n"
    "  return assert(core.new_request('POST', '/v1/chat/completions', {}, '{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"stream\":true}'))\n"
    "end\n"
    "local function ask(seconds, timeout, ...)\n"
    "  local c = child()\n"
    "  return core.result(core.ask(c, function()\n"
    "    return core.result(core.scripted(c, 'up', { { '" STREAM "', seconds } }, seconds, 'text/event-stream'))\n"
    "  end, timeout, ...))\n"
    "end\n";

static void open_ask(struct world *w, const char *code) {
    static char text[4096];
    snprintf(text, sizeof(text), "%s%s", ASK, code);
    world_open(w, text);
}

/* As it is, and then with its n-th allocation failing: nothing crashes, and all memory comes back. */
static void ask(const char *code, const char *want) {
    struct world w;
    long before = mem_live();
    open_ask(&w, code);
    world_run(&w);
    CHECK_STR(world_text(&w), want);
    world_close(&w);
    CHECK_INT(mem_live(), before);
    bool reached = true;
    for (long n = 1; reached; n += n < 100 ? 1 : n / 16) {
        open_ask(&w, code);
        mem_fail_at(n, n % 2 == 0);
        world_run(&w);
        reached = mem_fail_count() >= n;
        mem_fail_at(0, false);
        NOTE("allocation %ld: %s", n, world_text(&w));
        world_close(&w);
        CHECK_INT(mem_live(), before);
    }
}

TEST_NOFAULT(answers_and_failures) {
    ask("local res = ask(1) core.result(core.wait_end(res)) return core.read_text(res), res.upstream", "'hi' 'up'");
    ask("local res, err = ask(9, 2) return res, err.code", "nil 'timeout'");
    ask("local c = child() local res, err = core.result(core.ask(c, function()\n"
        "return ask(1, nil, 1, 'r') end, nil, 1, 'r')) return res, err.code", "nil 'ask_cycle'");
    ask("local a, b = core.result(core.ask(child(), function() error 'x' end))\n"
        "local c, d = core.result(core.ask(child(), function() return 5 end)) return a, b.code, c, d.code",
        "nil 'policy_error' nil 'policy_error'");
    ask("ask(0) return 'done'", "'done'");
    ask("return core.result(core.spawn('race', { function() return ask(5) end, function() return 'first' end }))",
        "'first'");
}

/* What a coroutine writes, read by who made it. */
#define READ "core.result(core.wait_end(res)) local t, e = core.read_text(res) return t, e and e.code"

TEST_NOFAULT(answers_made_of_pieces) {
    ask("local res = core.compose(function(out)\n"
        "core.result(core.compose_text(out, 'a '))\n"
        "local info = core.result(core.compose_pipe(out, (ask(1)), 'whole'))\n"
        "core.result(core.compose_call(out, 'id', 'f', '{}'))\n"
        "core.compose_count(out, 1, 2, 3, {}) core.compose_reason(out, info.finish_reason)\n"
        "end) " READ, "'a hi' nil");
    ask("local res = core.compose(function(out) core.result(core.compose_text(out, 'a')) error('x') end) " READ,
        "nil 'policy_error'");
    ask("local res = core.compose(function(out) return nil, { code = 'mine' } end) " READ, "nil 'mine'");
    ask("local res = core.compose(function(out)\n"
        "local a, b = (ask(0)), (ask(0))\n"
        "core.result(core.spawn('all', { function() return core.result(core.compose_pipe(out, a, 'line', '1 ')) end,\n"
        "function() return core.result(core.compose_pipe(out, b, 'line', '2 ')) end }))\n"
        "end) " READ, "'1 hi\\102 hi\\10' nil");
    ask("core.compose(function(out) core.result(core.sleep(9)) end) return 'left'", "'left'");
    ask("local res res = core.compose(function(out) res:discard() core.result(core.sleep(1)) end)\n"
        "core.result(core.sleep(2)) return 'dropped'", "'dropped'");
}

TEST_NOFAULT(latches_and_graphs) {
    ask("local l = core.latch()\n"
        "return core.result(core.spawn('all', { function() return core.result(core.latch_wait(l)) end,\n"
        "function() core.result(core.sleep(1)) core.latch_set(l) return 'set' end,\n"
        "function() return core.result(core.latch_wait(core.latch(), 2)) end }))", "{true,'set',false,}");
    ask("local list = {}\n"
        "local function step(n, s) return function() core.result(core.sleep(s)) list[#list + 1] = n return n end end\n"
        "core.result(core.spawn('all', { step('a', 2), step('b', 1), step('c', 0), step('d', 9) }, nil, nil,\n"
        "{ [1] = { 2, 3 }, [2] = { 3 }, edges = 3, seconds = { [4] = 4 }, optional = { [4] = true } }))\n"
        "return list", "{'c','b','a',}");
    ask("return core.result(core.spawn('all', { function() core.result(core.sleep(9)) end, function() return 'b' end }, nil,\n"
        "nil, { edges = 0, seconds = {}, optional = {} }, 3))[2]", "'b'");
    ask("return pcall(core.spawn, 'all', { print, print }, nil, nil, { [1] = { 2 }, [2] = { 1 }, edges = 2,\n"
        "seconds = {}, optional = {} })", "false 'a graph in a circle'");
    ask("return pcall(core.spawn, 'all', { print }, nil, nil, { [1] = { 7 }, edges = 1, seconds = {}, optional = {} })",
        "false 'a graph has no branch 7'");
    ask("local r, e = core.result(core.spawn('all', { function() core.result(core.sleep(9)) end }, nil, nil,\n"
        "{ edges = 0, seconds = { 1 }, optional = {} })) return r, e.code", "nil 'timeout'");
}

TEST_NOFAULT(what_is_left_ends_with_the_request) {
    struct world w;
    open_ask(&w, "local res = ask(0) return 'done'");
    CHECK(world_run(&w));
    spent_stop_all(w.request);
    CHECK(list_is_empty(&w.request->asks));
    CHECK(w.request->spent != NULL);
    CHECK_INT(w.request->spent->usage.prompt, 3);
    world_close(&w);
}
