/* budget.c -- the CPU time of a request: who is charged, and when it ends.
 *
 * A request has one account, struct budget.  Everything that Lua does for it is a stretch,
 * charged to that account: slices of its coroutine and of its branches, functions given to
 * tap, map and finally, and the C functions that all of these call.
 *
 *     stretch_begin(budget) ---- Lua, C functions ---- stretch_end()
 *          |                        |                        |
 *       both clocks       hook, state_has_time()     used_us += what it took
 *
 * A count hook fires every HOOK_COUNT bytecodes.  In a coroutine it *yields* after a slice
 * (1 ms), which no pcall can swallow; the task goes on in the next turn of the loop.  When the
 * budget is used up the hook condemns it: it yields and is never resumed.  Inside a C function
 * that calls back (table.sort, gsub), and in functions of tap, map and finally, a yield is
 * impossible: there the hook raises, and pcall raises again (sandbox.lua).  A hook that raises
 * is still active while an error handler runs, and would not fire in there: so xpcall is ours,
 * and calls its handler when the error has been caught.
 *
 * What cannot be interrupted has a second limit, limits.block_ms, for a stretch: neighbours
 * wait as long as it takes.  Functions of hooks, which one turn of the loop may call thousands
 * of times, have it together in a turn.
 *
 * Nor may a neighbour meet one such stretch after the other.  Behind a turn of the loop that was long
 * (LONG_US) the worker rests as long as it took: tasks that had a long stretch wait (not for ever), one runs at a
 * time, and what else could begin in a long turn begins in the next (task_go_on()).
 *
 *     I/O | A: 8 ms | I/O, short tasks ... 8 ms | B: 6 ms | I/O, short tasks ... 6 ms | A ...
 *
 * What fails is answered later (exchange.c), and functions of finally, behind which nobody waits,
 * share a tenth of the worker's time (earn_finally()).
 *
 * No hook runs inside of C.  C that works long asks state_has_time() in its loops, and when
 * the slice is over by then, the hook fires at the next bytecode.  For the rest (one call on a
 * large string takes milliseconds, and HOOK_COUNT bytecodes are hundreds of calls) it fires
 * more often as long as large blocks are allocated, or it has seen that its last interval was
 * long.
 *
 * Work that a request can do without, such as making its prompt shorter, is an attempt: a part
 * of the budget that raises when it is used up, and condemns nobody.
 *
 * A stream that lasts minutes calls its hooks for each token: while an answer takes its time
 * its request earns a share of it, EARN_PART, up to what it has used.
 *
 * The wall clock is cheap, but runs on while another process has the core; the thread's own
 * clock costs a system call.  So the former says when to doubt, and the latter decides: both
 * are noted when a stretch begins. */
#include "bridge/budget.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "bridge/blame.h"
#include "bridge/state.h"
#include "bridge/task.h"

#define HOOK_COUNT   1000 /* bytecodes between two looks at the clock: some 10 us */
#define DENSE_COUNT  20   /* the same where calls of C take long */
#define DENSE_LOOKS  200  /* short intervals until that is over */
#define LONG_LOOK_US 500
#define SLICE_US     1000
#define SLICE_CAP_US 5000 /* see charge() */
#define MARK_US      200
#define EARN_PART    10   /* a tenth of the time */
#define LONG_US      3000 /* a stretch or a turn that neighbours notice */
#define REST_TIMES   1    /* the worker rests as long as a long turn took, */
#define REST_MAX_US  100000 /* and not longer */
#define FINALLY_US   1000 /* for functions of finally, however much others took */
#define GREEDY_PART  8    /* of limits.memory: who has grown by that waits for the collector */
#define REPRIEVE_US  5000
#define RESERVE_PART 5    /* of limits.cpu_ms: what an attempt leaves for the rest */
#define LEAST_US     1000 /* with less nobody begins anything */
#define OVERTIME_US  1000000
#define OVERTIME_MEMORY (32u << 20)

#define BUDGET_TEXT "the policy used more CPU time than it may (limits.cpu_ms)"
#define BLOCK_TEXT  "the policy used more CPU time in one go than it may (limits.block_ms): tap, map, " \
                    "callbacks and long C functions cannot be interrupted"
#define ATTEMPT_TEXT "there is not enough CPU time left (limits.cpu_ms, limits.block_ms)"
#define BOOT_TEXT   "loading took longer than 5 seconds: an endless loop?"
#define FULL_TEXT   "loading took more than 256 MiB of memory: a table, or a text, that grows without an end?"

/* -- The account ------------------------------------------------------------------- */

struct budget *budget_new(void) {
    struct budget *b = mem_alloc(sizeof(*b));
    if (b != NULL) budget_reset(b);
    return b;
}

void budget_reset(struct budget *b) { *b = (struct budget){ .refs = 1 }; }

struct budget *budget_ref(struct budget *b) {
    b->refs++;
    return b;
}

void budget_put(struct budget *b) {
    if (b != NULL && --b->refs == 0) mem_free(b);
}

static void condemn(struct budget *b, const char *why) {
    if (b->killed != NULL) return;
    b->killed = why;
    b->kill_kind = FAILURE_POLICY_BUDGET;
}


static bool is_free(const struct state *s, const struct budget *b) { return b->trusted || s->limits.cpu_us == 0; }

static uint64_t total_left(const struct state *s, const struct budget *b) {
    uint64_t most = s->limits.cpu_us + b->earned_us;
    return most > b->used_us ? most - b->used_us : 0;
}

/* The running task, when it is in an attempt. */
static struct task *trying(const struct state *s) {
    return !s->time.run.in_hook && s->running != NULL && s->running->trying ? s->running : NULL;
}

static uint64_t attempt_left(const struct state *s, const struct budget *b) {
    const struct task *t = trying(s);
    if (t == NULL) return UINT64_MAX;
    return t->attempt_us > b->used_us ? t->attempt_us - b->used_us : 0;
}

/* Of what a stretch may take in one go. */
static uint64_t block_left(const struct state *s, const struct budget *b) {
    uint64_t most = b->block_us ? b->block_us : s->limits.block_us;
    if (most == 0) return UINT64_MAX;
    uint64_t taken = s->time.run.in_hook ? b->turn_us : 0;
    return most > taken ? most - taken : 0;
}

/* Functions of finally run when the answer was sent: nobody waits for them, and nothing makes a client
 * wait for what they take.  So all of a worker share a tenth of its time, and what they saved up to block_ms. */
static void earn_finally(struct state *s, uint64_t now) {
    uint64_t most = s->limits.block_us ? s->limits.block_us : UINT64_MAX / 2;
    uint64_t more = (now - s->time.finally_at_us) / EARN_PART;
    s->time.finally_us = more < most - s->time.finally_us ? s->time.finally_us + more : most;
    s->time.finally_at_us = now;
}

uint64_t budget_finally_left(struct state *s) {
    earn_finally(s, loop_hrtime_us());
    return s->time.finally_us > FINALLY_US ? s->time.finally_us : FINALLY_US;
}

void budget_finally_took(struct state *s, uint64_t us) {
    s->time.finally_us = s->time.finally_us > us ? s->time.finally_us - us : 0;
}

void budget_reprieve(struct state *s, struct budget *b) {
    if (b->killed == NULL || b->reprieved) return;
    b->reprieved = true;
    b->killed = NULL;
    b->overdraft = (struct overdraft){ 0 };
    if (total_left(s, b) < REPRIEVE_US) b->earned_us = b->used_us + REPRIEVE_US - s->limits.cpu_us;
}

const char *budget_refuses_call(const struct state *s, const struct budget *b) {
    const struct state_limits *l = &s->limits;
    if (!b->trusted && l->calls != 0 && b->calls >= l->calls)
        return "the request has made as many calls as it may (limits.calls)";
    if (!b->trusted && l->open_calls != 0 && b->open_calls >= l->open_calls)
        return "the request has as many calls at once as it may (limits.open_calls): perilune.map has a limit, too";
    return NULL;
}

void budget_begin_call(void *ud) {
    struct budget *b = ud;
    b->calls++;
    b->open_calls++;
    budget_ref(b);
}

void budget_end_call(void *ud) {
    struct budget *b = ud;
    b->open_calls--;
    budget_put(b);
}

struct budget *budget_hold(struct state *s, size_t bytes) {
    struct budget *b = s->time.run.budget;
    if (b == NULL) return NULL;
    b->outside += bytes;
    return budget_ref(b);
}

void budget_let_go(struct budget *b, size_t bytes) {
    if (b == NULL) return;
    b->outside -= bytes;
    budget_put(b);
}

/* -- The clocks -------------------------------------------------------------------- */

static uint64_t thread_cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Notes both clocks at most every MARK_US. */
static void mark(struct state *s, uint64_t now) {
    if (now - s->time.mark_us < MARK_US) return;
    s->time.mark_us = now;
    s->time.mark_cpu_us = thread_cpu_us();
}

/* What of `ran` was ours: at most MARK_US too much. */
static uint64_t cpu_of(const struct state *s, uint64_t ran) {
    uint64_t used = thread_cpu_us() - s->time.mark_cpu_us;
    return used < ran ? used : ran;
}

/* By the wall clock, but for a stretch that took suspiciously long. */
static uint64_t taken_us(const struct state *s, uint64_t now) {
    uint64_t ran = now - s->time.run.began_us;
    return ran > SLICE_US + MARK_US ? cpu_of(s, ran) : ran;
}

/* -- Stretches --------------------------------------------------------------------- */

static void charge_memory(const struct state *s, struct budget *b) {
    if (s->memory.used > s->time.run.began_used) {
        b->memory += s->memory.used - s->time.run.began_used;
        return;
    }
    size_t less = s->time.run.began_used - s->memory.used;
    b->memory -= b->memory < less ? b->memory : less;
}

/* What this turn took, of all requests; a long one makes the worker rest. */
static void add_to_turn(struct state *s, uint64_t now, uint64_t took) {
    if (s->time.turn != s->loop->turn) s->time.turn_us = 0;
    s->time.turn = s->loop->turn;
    s->time.turn_us += took;
    if (s->time.turn_us < LONG_US) return;
    uint64_t rest = s->time.turn_us * REST_TIMES, until = now + (rest < REST_MAX_US ? rest : REST_MAX_US);
    if (until > s->time.rest_until_us) s->time.rest_until_us = until;
}

bool budget_turn_is_full(const struct state *s) {
    return !s->loop->is_virtual && s->time.turn_us >= LONG_US && s->time.turn == s->loop->turn;
}

bool budget_must_rest(const struct state *s, const struct budget *b) {
    if (s->loop->is_virtual) return false; /* time does not pass there by itself */
    if (b->killed != NULL) return false;   /* nothing of it runs any more, and what it leaves is to go */
    if (b->runs_long && loop_hrtime_us() < s->time.rest_until_us) return true;
    return deferred_is_waiting(&s->memory.collect) && b->memory > s->limits.memory / GREEDY_PART && !is_free(s, b);
}

/* The first two slices are not charged more than SLICE_CAP_US: what is longer may be work of
 * ours, like copying a large body.  What hooks leave in memory is not charged at all, because
 * the collector frees it in somebody else's stretch. */
static uint64_t charge(struct state *s, uint64_t now) {
    struct budget *b = s->time.run.budget;
    uint64_t took = taken_us(s, now), charged = took;
    if (s->stats) atomic_fetch_add_explicit(&s->stats->policy_us, took, memory_order_relaxed);
    if (s->time.run.in_hook) {
        b->turn_us += took;
        b->hook_ended_us = now;
    } else {
        if (took > SLICE_CAP_US && b->long_slices < 2) {
            b->long_slices++;
            charged = SLICE_CAP_US;
        }
        charge_memory(s, b);
    }
    b->used_us += charged;
    b->took_us += took;
    if (took >= LONG_US) b->runs_long = true;
    add_to_turn(s, now, took);
    if (!is_free(s, b) && b->used_us > s->limits.cpu_us + b->earned_us) condemn(b, BUDGET_TEXT);
    return took;
}

/* A hook begins: what its request earned since the last one, and whether this is another turn. */
static void earn(struct state *s, struct budget *b, uint64_t now) {
    if (b->hook_ended_us != 0) b->earned_us += (now - b->hook_ended_us) / EARN_PART;
    if (b->earned_us > b->used_us) b->earned_us = b->used_us;
    if (s->loop->turn != b->turn) b->turn_us = 0;
    b->turn = s->loop->turn;
}

static void begin(struct state *s, uint64_t now) {
    s->time.run.began_us = s->time.looked_us = now;
    s->time.run.began_used = s->memory.used;
    mark(s, now);
}

void stretch_begin(struct state *s, struct stretch *outer, struct budget *b, bool in_hook) {
    uint64_t now = loop_hrtime_us();
    *outer = s->time.run;
    if (outer->budget != NULL) charge(s, now);
    s->time.run.budget = b;
    s->time.run.in_hook = in_hook;
    if (in_hook) earn(s, b, now);
    begin(s, now);
}

uint64_t stretch_end(struct state *s, const struct stretch *outer) {
    uint64_t now = loop_hrtime_us(), took = charge(s, now);
    s->time.run = *outer;
    if (outer->budget != NULL) begin(s, now);
    return took;
}

void budget_took(struct state *s, struct budget *b, uint64_t since_us) {
    uint64_t now = loop_hrtime_us(), took = now - since_us;
    if (s->stats) atomic_fetch_add_explicit(&s->stats->policy_us, took, memory_order_relaxed);
    b->used_us += took;
    b->took_us += took;
    add_to_turn(s, now, took);
}

/* -- How often the hook looks -------------------------------------------------------- */

static void on_count(lua_State *L, lua_Debug *ar);

/* May be called anywhere, also from the allocator.  The hook of a lua_State that is a host's is the host's. */
static void set_hook(struct state *s, int count) {
    if (s->is_guest || s->time.hook_count == count) return;
    s->time.hook_count = count;
    lua_sethook(s->L, on_count, LUA_MASKCOUNT, count);
}

/* The slice is over, but we are inside of C: the hook is to fire behind it. */
static void look_at_once(struct state *s) { set_hook(s, 1); }

static void look_often(struct state *s, bool dense) {
    s->time.quick_looks = 0;
    set_hook(s, dense ? DENSE_COUNT : HOOK_COUNT);
}

void budget_condemn(struct state *s, const char *why) {
    if (s->time.run.budget == NULL) return;
    condemn(s->time.run.budget, why);
    look_at_once(s);
}

void budget_loading_full(struct state *s) {
    s->memory.loading = LOADING_FULL;
    look_at_once(s);
}

void budget_large_block(struct state *s) {
    if (s->time.hook_count == 1) return;
    look_often(s, true);
    if (loop_hrtime_us() - s->time.run.began_us >= SLICE_US) look_at_once(s);
}

/* -- Is it over? ------------------------------------------------------------------- */

/* Why the running code must not go on, or NULL. */
static const char *verdict(const struct state *s) {
    const struct task *t = trying(s);
    if (s->time.run.budget->killed != NULL) return s->time.run.budget->killed;
    return t != NULL && t->attempt_over ? ATTEMPT_TEXT : NULL;
}

/* Condemns the running request when its time is up, or ends its attempt. */
static const char *ask(struct state *s, uint64_t now) {
    struct budget *b = s->time.run.budget;
    struct task *t = trying(s);
    if (verdict(s) != NULL || is_free(s, b)) return verdict(s);
    uint64_t ran = now - s->time.run.began_us, total = total_left(s, b), block = block_left(s, b);
    uint64_t attempt = attempt_left(s, b);
    if (ran <= total && ran <= block && ran <= attempt) return NULL;
    ran = cpu_of(s, ran);
    if (t != NULL && (ran > attempt || ran > block)) t->attempt_over = true;
    if (ran > total) condemn(b, BUDGET_TEXT);
    else if (ran > block && t == NULL) condemn(b, BLOCK_TEXT);
    return verdict(s);
}

uint64_t budget_left_us(struct state *s, bool at_once) {
    struct budget *b = s->time.run.budget;
    if (b == NULL || is_free(s, b)) return UINT64_MAX;
    if (b->killed != NULL) return 0;
    uint64_t took = taken_us(s, loop_hrtime_us()), left = total_left(s, b), block = block_left(s, b);
    if ((at_once || s->time.run.in_hook) && block < left) left = block;
    uint64_t attempt = attempt_left(s, b);
    if (attempt < left) left = attempt;
    return left > took ? left - took : 0;
}

bool budget_may_go_on(void *ud) {
    struct state *s = ud;
    if (s->time.run.budget == NULL) return state_has_time(s);
    if (loop_hrtime_us() - s->time.run.began_us >= SLICE_US) look_at_once(s);
    return verdict(s) == NULL && budget_left_us(s, true) > LEAST_US;
}

bool budget_attempt(struct state *s) {
    struct budget *b = s->time.run.budget;
    struct task *t = s->running;
    uint64_t left = budget_left_us(s, false), reserve = s->limits.cpu_us / RESERVE_PART;
    if (left <= reserve + LEAST_US) return false;
    t->trying = true;
    t->attempt_over = false;
    /* `left` counts from now, used_us from the beginning of the stretch. */
    t->attempt_us = left == UINT64_MAX ? UINT64_MAX : s->limits.cpu_us + b->earned_us - reserve;
    return true;
}

bool budget_attempt_end(struct state *s) {
    bool over = s->running->attempt_over;
    s->running->trying = s->running->attempt_over = false;
    return over;
}

void budget_loading(struct state *s, uint64_t us) {
    s->time.until_us = loop_hrtime_us() + us;
    s->time.until_cpu_us = thread_cpu_us() + us;
}

/* While a busy machine has the core for others it is no endless loop of ours: then as much time more as is left. */
static bool is_loading_over(struct state *s) {
    uint64_t now = loop_hrtime_us();
    if (s->time.until_us == 0 || now <= s->time.until_us) return false;
    uint64_t used = thread_cpu_us();
    if (used > s->time.until_cpu_us) return true;
    s->time.until_us = now + s->time.until_cpu_us - used;
    return false;
}

/* Why loading must not go on, or NULL. */
static const char *loading_verdict(struct state *s) {
    bool is_more = s->memory.used > s->memory.loading_most; /* or it was collected meanwhile */
    if (s->memory.loading == LOADING_FULL && is_more) return FULL_TEXT;
    return is_loading_over(s) ? BOOT_TEXT : NULL;
}

/* Loading ends here, at the line of the configuration or policy that runs.  Once there is a
 * second more, and memory, in which Lua says which policy it was; a policy's pcall throws in it, too. */
static int stop_loading(lua_State *L, struct state *s, const char *why) {
    lua_Debug ar;
    s->memory.loading = LOADING_FITS;
    if (s->time.over == NULL) {
        s->time.over = why;
        budget_loading(s, OVERTIME_US);
        if (s->memory.loading_most != 0) s->memory.loading_most = s->memory.used + OVERTIME_MEMORY;
    }
    if (!blame_line(L, &ar)) return luaL_error(L, "%s", s->time.over);
    const char *file = ar.source[0] == '@' ? ar.source + 1 : ar.short_src; /* long names, too */
    lua_pushfstring(L, "%s:%d: %s", file, ar.currentline, s->time.over);
    return lua_error(L);
}

void budget_refuse_loading(lua_State *L) { stop_loading(L, state_of(L), FULL_TEXT); }

bool state_has_time(struct state *s) {
    if (s->time.run.budget == NULL) return loading_verdict(s) == NULL;
    uint64_t now = loop_hrtime_us();
    if (now - s->time.run.began_us >= SLICE_US) look_at_once(s);
    return ask(s, now) == NULL;
}

void state_check(lua_State *L) {
    struct state *s = state_of(L);
    if (s->time.run.budget == NULL) {
        const char *why = s->time.over != NULL ? s->time.over : loading_verdict(s);
        if (why != NULL) stop_loading(L, s, why);
    } else if (verdict(s) != NULL) {
        luaL_error(L, "%s", verdict(s));
    }
}

void state_tick(lua_State *L) {
    if (!state_has_time(state_of(L))) state_check(L);
}

/* -- The hook ---------------------------------------------------------------------- */

/* Once: the next time may be behind the pcall that caught it.  What a pcall of the policy
 * catches is thrown again by state_check(). */
static bool attempt_ends(struct state *s, uint64_t now) {
    struct task *t = trying(s);
    if (t == NULL || t->attempt_over) return false;
    if (taken_us(s, now) > attempt_left(s, s->time.run.budget)) t->attempt_over = true;
    return t->attempt_over;
}

/* Of the code that runs, but for the library's own. */
static void note_place(lua_State *L, struct state *s) {
    lua_Debug ar;
    if (blame_line(L, &ar))
        snprintf(s->time.place, sizeof(s->time.place), "%s:%d:", ar.short_src, ar.currentline);
}

static void on_count(lua_State *L, lua_Debug *ar) {
    (void)ar;
    struct state *s = state_of(L);
    uint64_t now = loop_hrtime_us();
    if (now - s->time.looked_us > LONG_LOOK_US) look_often(s, true);
    else if (s->time.hook_count == DENSE_COUNT && ++s->time.quick_looks > DENSE_LOOKS) look_often(s, false);
    s->time.looked_us = now;
    if (s->time.hook_count == 1) look_often(s, true);
    if (s->time.run.budget == NULL) {
        const char *why = loading_verdict(s);
        if (why != NULL) stop_loading(L, s, why);
        state_collect_loading(s);
        return;
    }
    bool can_yield = !s->time.run.in_hook && s->running != NULL && L == s->running->co && lua_isyieldable(L);
    if (!can_yield) {
        if (ask(s, now) != NULL) state_check(L);
    } else if (s->time.run.budget->killed == NULL && attempt_ends(s, now)) {
        look_at_once(s);
        state_check(L);
    } else if (s->time.run.budget->killed != NULL || now - s->time.run.began_us >= SLICE_US) {
        note_place(L, s);
        lua_yield(L, 0); /* task_resume() decides whether it goes on */
    }
}

void budget_watch(lua_State *L) { look_often(state_of(L), false); }
