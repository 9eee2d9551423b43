/* budget.h -- what one request may use of its worker, and what of it is gone. See budget.c. */
#ifndef PERILUNE_BRIDGE_BUDGET_H
#define PERILUNE_BRIDGE_BUDGET_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct state;

/* Bytes that Lua gets although there is no memory left for it: see state.c. */
struct overdraft {
    size_t most; /* 0: nothing was granted yet */
    size_t taken;
};

/* The account of a request: counted, because its tasks and the hooks of its answers share it. */
struct budget {
    unsigned    refs;
    bool        trusted;      /* no limits */
    bool        reprieved;    /* budget_reprieve() was used */
    bool        runs_long;    /* had a long stretch: waits while the worker rests */
    unsigned    long_slices;  /* see charge() */
    uint64_t    used_us;      /* CPU time: slices of coroutines, hooks, and the C functions both call */
    uint64_t    took_us;      /* the same, with what is not charged */
    uint64_t    earned_us;    /* CPU time that came to limits.cpu_ms while an answer took its time */
    uint64_t    hook_ended_us;
    uint64_t    turn;         /* the turn of the loop in which a hook ran last */
    uint64_t    turn_us;      /* what hooks took in it */
    uint64_t    block_us;     /* instead of limits.block_us, for finally; 0: that */
    size_t      memory;       /* bytes of the Lua state grown since it began */
    struct overdraft overdraft;
    size_t      outside;      /* bytes in C that handles of Lua hold: budget_hold() */
    unsigned    branches;     /* tasks that live: branches, and functions that write answers */
    unsigned    calls, open_calls; /* made so far, to upstreams and by fetch; of these not over yet */
    const char *killed;       /* why it must not go on; static text */
    enum failure_kind kill_kind;
};

/* NULL: no memory. */
struct budget *budget_new(void);
struct budget *budget_ref(struct budget *b);
void budget_put(struct budget *b); /* b may be NULL */
/* The same as a new one; only for a budget with a single share. */
void budget_reset(struct budget *b);

/* A stretch: Lua that runs without giving its thread away. */
struct stretch {
    struct budget *budget; /* borrowed; NULL: our own code, and loading */
    uint64_t       began_us;
    size_t         began_used;
    bool           in_hook; /* tap, map, finally: outside of any coroutine */
};

/* From here to stretch_end() everything is charged to b.  The stretch around it, if there is
 * one, is kept in *outer and goes on behind it. Returns nothing and cannot fail. */
void stretch_begin(struct state *s, struct stretch *outer, struct budget *b, bool in_hook);
/* Returns the CPU time that it took.  Whether the request may go on is in budget->killed. */
uint64_t stretch_end(struct state *s, const struct stretch *outer);

/* Work outside of stretches that b is charged with: it began at since_us and ends now. */
void budget_took(struct state *s, struct budget *b, uint64_t since_us);

/* CPU time that the running request has left, of which at_once without giving its thread away;
 * UINT64_MAX where there is no limit. */
uint64_t budget_left_us(struct state *s, bool at_once);
/* One call more for the request: NULL, or why it may not be made. */
const char *budget_refuses_call(const struct state *s, const struct budget *b);
/* It is made: it has a share of b until the end. */
void budget_begin_call(void *b);
void budget_end_call(void *b);

/* For C that can give up without harm: is there still time?  Unlike state_has_time() it
 * condemns nobody.  ud is the state. */
bool budget_may_go_on(void *ud);

/* What the running task does from here on it can do without: it has all that is left but a
 * reserve for what follows.  Whatever takes longer raises, and the request lives on.  False:
 * there is no time for it.  True has budget_attempt_end() behind it, which says whether the
 * attempt ran out of time. */
bool budget_attempt(struct state *s);
bool budget_attempt_end(struct state *s);

/* A condemned request cleans up (finally): a few milliseconds more, once. */
void budget_reprieve(struct state *s, struct budget *b);
/* What functions of finally may take now, of what the worker has for all of them; and that they took it. */
uint64_t budget_finally_left(struct state *s);
void budget_finally_took(struct state *s, uint64_t us);

/* Has this turn of the loop been long?  Then whatever can wait begins in the next one. */
bool budget_turn_is_full(const struct state *s);
/* Must the request of b wait, because the worker rests from a long stretch, or collects what it left? */
bool budget_must_rest(const struct state *s, const struct budget *b);
/* The running request must not go on behind the instruction that runs; the first reason stays.  From anywhere, also
 * from the allocator. */
void budget_condemn(struct state *s, const char *why);
/* Files are being loaded from here on, and may take this much CPU time of this thread. */
void budget_loading(struct state *s, uint64_t us);
/* They must not go on, as a request that is condemned. */
void budget_loading_full(struct state *s);
/* Loading asked for more than it may have, and gets nothing: raises at the line that did. [0, 0, e] */
void budget_refuse_loading(lua_State *L);

/* Bytes in C that something of Lua's holds count as its memory, until they are let go.  hold gives a share of the
 * running request's account, for let_go(); NULL: nobody is charged. */
struct budget *budget_hold(struct state *s, size_t bytes);
void budget_let_go(struct budget *b, size_t bytes); /* b may be NULL; takes the share */

/* Sets the hook that ends slices. [0, 0, -] */
void budget_watch(lua_State *L);
/* A large block is allocated, and with it comes work on as many bytes: the hook will look more
 * often, and at once if the slice is over. */
void budget_large_block(struct state *s);

#endif
