/* test_after.c -- work behind replies (l_after.c, sched/afterwork.c) and signals between branches (l_signal.c).
 *
 * As in test_lib.c each line of Lua runs as it is, and again with its n-th allocation failing: then it gives the same or
 * speaks of memory, and whatever happens all of it is given back. */
#include "bridge/after.h"
#include "sched/afterwork.h"

#include "lua_world.h"

#define PRELUDE                                                                                         \
    "local core = ...\n"                                                                                \
    "local result, request = core.result, core.request()\n"                                             \
    "local function after(fn, ms, queue) return core.after(request, fn, { timeout_ms = ms,\n"    \
    "  bytes = 10, max_queue = queue or 5, max_bytes = 1e6 }) end\n"

static void close_world(struct world *w) {
    after_line_cancel(w->state->after);
    world_close(w);
}

static void run_once(const char *code, const char *want) {
    struct world w;
    long before = mem_live();
    world_open(&w, code);
    world_run(&w);
    CHECK_STR(world_text(&w), want);
    close_world(&w);
    CHECK_INT(mem_live(), before);
}

static void starve(const char *code, const char *want, bool forever) {
    bool reached = true;
    long before = mem_live();
    for (long n = 1; reached; n += n < 100 ? 1 : n / 16) {
        struct world w;
        world_open(&w, code);
        mem_fail_at(n, forever);
        world_run(&w);
        reached = mem_fail_count() >= n;
        mem_fail_at(0, false);
        const char *text = world_text(&w);
        bool fair = strcmp(text, want) == 0 || strcmp(text, "raised: ?") == 0 || strcmp(text, "waits for ever") == 0 ||
                    strstr(text, "memory") != NULL || strstr(text, "stack overflow") != NULL;
        if (!fair) FAIL("allocation %ld: %s", n, text);
        close_world(&w);
        CHECK_INT(mem_live(), before);
    }
}

static void item(const char *lua, const char *want) {
    static char code[4096];
    snprintf(code, sizeof(code), "%s%s", PRELUDE, lua);
    NOTE("%s", lua);
    run_once(code, want);
    starve(code, want, false);
    starve(code, want, true);
}

TEST_NOFAULT(it_runs_later_with_a_request_of_its_own) {
    item("local n, own = 0, nil\n"
         "local taken = after(function() n = n + 1 own = core.request() return true end, 1000)\n"
         "local before = n\n"
         "result(core.sleep(0.1))\n"
         "return taken == 'taken' or taken == 'full', before, n <= 1", "true 0 true");
    run_once(PRELUDE "local said\n"
             "after(function() local r = core.request() said = r.id:match('%-after$') .. r.messages[1].content return true end, 1000)\n"
             "result(core.sleep(0.1))\n"
             "return said", "'-afterhi'");
}

TEST_NOFAULT(it_is_given_up_when_its_time_is_over) {
    item("local n = 0\n"
         "after(function() result(core.sleep(9)) n = 1 end, 1000)\n"
         "after(function() error('oh') end, 1000)\n"
         "result(core.sleep(20))\n"
         "return n", "0");
}

#define KEEP "local function keep(told, bytes, queue) return core.after_keep(request, { { task = 'a', told = told } }," \
             " { queue = 'default', max_queue = queue or 5, max_bytes = bytes or 1e6 }) end\n"

TEST_NOFAULT(what_survives_a_crash_is_a_job) {
    item(KEEP "local taken = keep('{}')\n"
         "result(core.sleep(0.1))\n"
         "return taken == 'taken' or taken == 'full'", "true");
    item(KEEP "keep('{}') keep('{}')\n"
         "return true", "true");
    run_once(PRELUDE KEEP "local said\n"
             "require('perilune.jobs').define_task('a', print, function(job)\n"
             "  local r = core.request()\n"
             "  said = { r.id:match('%-after$'), r.messages[1].content, r.path, job.args.x, job.tenant }\n"
             "end)\n"
             "request.tenant = 'ac\\nme' keep('{\"x\":7}')\n"
             "result(core.sleep(1))\n"
             "return table.concat(said, ' ')",
             "'-after hi /v1/chat/completions 7 (after_reply) ac\\10me'");
    run_once(PRELUDE KEEP "local a, told = keep(('x'):rep(1000), 1500)\n"
             "return a, told, (keep('{}', nil, 0))", "'full' true 'full'");
}

TEST_NOFAULT(there_is_no_room) {
    run_once(PRELUDE "local a, told = after(print, 1000, 0)\n"
             "local b, again = after(print, 1000, 0)\n"
             "return a, told, b", "'full' true 'full'");
}

TEST_NOFAULT(what_is_not_done_when_the_worker_ends_is_canceled) {
    static const char code[] = PRELUDE "for _ = 1, 3 do after(function() result(core.sleep(9)) end, 60000) end\n"
                               "result(core.sleep(1))\nreturn true";
    struct world w;
    world_open(&w, code);
    CHECK(world_run(&w));
    CHECK_UINT(afterwork_open(&w.stores->afterwork), 3);
    CHECK_UINT(after_line_cancel(w.state->after), 3);
    CHECK_UINT(afterwork_open(&w.stores->afterwork), 0);
    CHECK_UINT(atomic_load(&w.stores->afterwork.results[AFTERWORK_CANCELED]), 3);
    CHECK_UINT(atomic_load(&w.stores->afterwork.bytes), 0);
    world_close(&w);
}

TEST_NOFAULT(the_account_is_exact_at_its_edges) {
    struct afterwork a = { .told_s = 0 };
    CHECK(afterwork_enter(&a, 60, 2, 100));
    CHECK(!afterwork_enter(&a, 60, 2, 100)); /* bytes */
    CHECK(afterwork_enter(&a, 40, 2, 100));
    CHECK(!afterwork_enter(&a, 0, 2, 100)); /* items */
    afterwork_begin(&a);
    afterwork_leave(&a, 60, true, AFTERWORK_DONE);
    CHECK(afterwork_enter(&a, 60, 2, 100));
    CHECK_UINT(atomic_load(&a.results[AFTERWORK_FULL]), 2);
    CHECK_UINT(atomic_load(&a.running), 0);
    CHECK(afterwork_tell(&a, 7) && !afterwork_tell(&a, 7) && afterwork_tell(&a, 8));
}

TEST_NOFAULT(signals) {
    item("local s, log = core.signal(), {}\n"
         "result(core.spawn('all', {\n"
         "  function() result(core.signal_wait(s)) log[#log + 1] = 2 return true end,\n"
         "  function() core.signal_tell(s) log[#log + 1] = 1 return true end }))\n"
         "return log", "{1,2,}");
    item("local s = core.signal()\n"
         "result(core.spawn('race', {\n"
         "  function() result(core.signal_wait(s)) return true end,\n"
         "  function() core.signal_tell(s) return true end }))\n"
         "s = nil\n"
         "result(core.sleep(0.1))\n"
         "return true", "true");
}
