/* state.h -- one lua_State: memory, time, entry. See state.c. */
#ifndef PERILUNE_BRIDGE_STATE_H
#define PERILUNE_BRIDGE_STATE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "base/json.h"
#include "base/log.h"
#include "base/pool.h"
#include "bridge/after.h"
#include "bridge/budget.h"
#include "bridge/handle.h"
#include "request/savings.h"
#include "request/services.h"
#include "request/shadow.h"
#include "sched/batch.h"
#include "store/stores.h"
#include "sys/loop.h"
#include "upstream/played.h"

struct task;
struct bundle;
struct jobs_alone;

struct state_limits {
    uint64_t cpu_us;     /* of one request, its branches and hooks together; 0: no limit */
    uint64_t block_us;   /* of what cannot be interrupted, in one go; 0: no limit */
    unsigned calls, open_calls; /* of one request, in all and at once; 0: no limit */
    unsigned fetches;    /* of the whole state, at once; 0: no limit */
    size_t   memory;     /* of the whole state, bytes */
    size_t   max_answer; /* bytes of an answer that Lua reads as a whole */
    size_t   high_water; /* bytes held for a reader that is not there yet */
};

#define STATE_STEPS 1024 /* between two looks at the clock, see state_pay() */

/* How much Lua work there was; written by the state's thread. */
struct state_stats {
    atomic_uint_least64_t policy_us, tasks, kills, errors;
    struct savings_stats saved;
    struct shadow_stats shadow;
    struct batch_stats batches;
};

/* Where its Lua objects are, and how many bytes of them. */
/* What loading has of its memory. */
enum loading_memory {
    LOADING_FITS,
    LOADING_FULL,   /* it has more than the most, and the hook has not said so yet */
    LOADING_REFUSED /* it got a "not enough memory", which is on its way to whoever says it */
};

struct state_memory {
    struct pool         pool;       /* small blocks of Lua */
    size_t              used;       /* bytes */
    size_t              loading_most; /* `used` while loading; 0: as much as there is */
    struct overdraft    loading_overdraft;
    enum loading_memory loading;
    size_t              collected_at; /* `used` behind the last full collection */
    struct deferred     collect;    /* garbage of a condemned request, step by step */
    unsigned            cycles;     /* of the collector, since then */
    char       *reserve;      /* while lua_newstate() runs, for what fails */
    size_t      reserve_used;
};

/* How long Lua has been running, and when somebody looks again. See budget.c. */
struct state_time {
    struct stretch      run;        /* what is charged at the moment, and to whom */
    uint64_t            mark_us;    /* the wall clock near the beginning of `run` */
    uint64_t            mark_cpu_us; /* and the thread's */
    uint64_t            until_us;   /* while loading: when to ask the thread's clock whether to give up; 0: never */
    uint64_t            until_cpu_us; /* and when to give up, on that */
    uint64_t            looked_us;  /* when the hook fired last, or the slice began */
    char                place[96];  /* "FILE:LINE:" where the last slice was over; LuaJIT does not know it afterwards */
    const char         *over;       /* why loading was ended; until_us was set for saying so */
    unsigned            quick_looks;
    size_t              steps;      /* since state_pay() looked at the clock */
    int                 hook_count; /* bytecodes between two of its calls: see budget.c */
    uint64_t            turn, turn_us; /* a turn of the loop, and what stretches took in it */
    uint64_t            rest_until_us; /* until then those wait that run long */
    uint64_t            finally_us, finally_at_us; /* what functions of finally may take, and as of when */
};

struct limit_line;

struct state {
    lua_State          *L;
    unsigned            refs;       /* generation, tasks, exchanges */
    unsigned            leaving;    /* shares that state_put_soon() gives back */
    struct deferred     leave;
    struct loop        *loop;
    struct log         *log;
    struct stores      *stores;     /* what all threads share */
    struct state_limits limits;
    struct state_stats *stats;      /* NULL in the checker */
    struct buf         *log_lines;  /* where who made the state keeps log lines, for core.log_lines(); NULL: nowhere */
    struct failure     *thrown;     /* where a hook's perilune.error goes; NULL: nobody asks */
    struct services     services;   /* upstreams, counters: what requests are served with */
    struct state_memory memory;
    struct state_time   time;
    const struct bundle *bundle;    /* while booting */
    unsigned            fetches;    /* under way */
    struct task        *running;
    struct list         ready;      /* tasks that could run, in the order in which they will */
    struct deferred     run_soon, run_next; /* task.c: who runs them, in this turn and the next */
    struct after_line  *after, own_after; /* work behind replies: the worker's line; its own where there is none */
    struct list         resting;    /* tasks that could run, but wait: budget_must_rest() */
    struct timer        rest;       /* runs them */
    struct task        *spare[64];  /* tasks that ended by themselves, to be used again */
    unsigned            spare_count;
    struct handles      handles;
    struct handle_type  request_type, response_type;
    pid_t               pid;        /* whose loop it is, of a guest that runs; 0: nobody else has it in its memory */
    bool                is_guest;   /* L is a coroutine of somebody else's lua_State: guest.c */
    int                 require_ref; /* its own require(), of a guest; 0: the global one is ours */
    int                 run_ref, trace_ref; /* C functions of state_call(): protected, its error handler */
    int                 job_entry;  /* what runs jobs that are functions, lua/perilune/jobs.lua; 0: there are none */
    struct jobs_alone  *jobs_alone; /* of a spec, which has no gateway; NULL: it has none yet */
    int                 called;     /* where blame_call() keeps its function, in the frame of the entry */
    void              (*closed)(void *ud); /* after lua_close() */
    void               *closed_ud;
    struct json_doc     scratch_doc; /* of json.decode(), and of counting a message */
    struct cache_entry *found;      /* by the last look-up in the cache: a share; NULL: nothing */
    struct limit_line  *limit_lines; /* who waits for limits: limit_line.c */
    unsigned            host_waiting; /* calls of the program's functions that are not answered yet */
    struct buf          host_text;  /* what the last one answered, while it is pushed */
    int                 eval_entry; /* what runs rules, lua/perilune/rules.lua; 0: nobody has asked yet */
    uint64_t            values_seen; /* as of when value_index() keeps what it read; see l_host.c */
    size_t              values_copied, values_copied_most; /* in copies of them; when to look for whose is over */
    struct player       player;     /* of core.play() */
    int                 player_ref; /* its function; 0: nothing is played */
    struct buf          decode, encode; /* scratch of lib_scratch(), lib_output() */
};

/* One without a lua_State, for state_new() and guest.c.  NULL: no memory. */
struct state *state_make(struct loop *loop, struct log *log, struct stores *stores, const struct state_limits *limits);
/* What state_call() needs in L, which s gets.  PERILUNE_ERR_NOMEM: there is no memory for that. */
int  state_enter_lua(struct state *s, lua_State *L);

/* A fresh state with the sandbox, the C tables and the Lua library loaded.
 * Returns 0 or an error; err gets a sentence. */
int  state_new(struct state **out, struct loop *loop, struct log *log, struct stores *stores,
               const struct state_limits *limits, char *err, size_t errlen);
/* What state_new() began is over: no more time for loading, and memory is collected as usual. */
void state_loaded(struct state *s);
/* Loading seldom collects, until a quarter of what it may have is used. */
void state_collect_loading(struct state *s);
/* While loading: code that may have as much memory as there is. */
void state_loads_trusted(struct state *s);
struct state *state_ref(struct state *s);
void state_put(struct state *s); /* the last share closes it */
/* The same when this turn of the loop is done with its callbacks: for who may be
 * running below a frame that still uses the state. */
void state_put_soon(struct state *s);

/* The allocator of those that are ours, by which they are known. */
void *state_allocate(void *ud, void *ptr, size_t osize, size_t nsize);
/* The state that is a guest in the lua_State of L, or raises: there is none any more. [0, 0, e] */
struct state *guest_of(lua_State *L);

/* The state behind any of its coroutines.  Raises only where the host closes its lua_State. [0, 0, e] */
static inline struct state *state_of(lua_State *L) {
    void *ud;
    if (lua_getallocf(L, &ud) == state_allocate) return ud;
    return guest_of(L);
}

/* require(name), of the library's own files. [0, +1, e] */
void state_require(lua_State *L, const char *name);

/* Is this a child of fork(), and the loop its parent's? */
bool state_is_foreign(const struct state *s);

void limit_lines_free(struct state *s); /* limit_line.c; nobody waits any more */

/* The string at index, or NULL.  For C outside of protected calls: lua_tostring() would
 * make a string of a number, and memory that ends there ends the process. */
const char *state_text(lua_State *L, int index);

/* Calls fn(L, ud) protected, on the main coroutine: the way for C to touch Lua
 * values outside a task.  Returns 0, or the code of the failure with the text in
 * err.  Keeps the stack balanced. */
int  state_call(struct state *s, int (*fn)(lua_State *L, void *ud), void *ud, char *err,
                size_t errlen);

/* Is f what state_call() calls, with the caller's fn inside? */
bool state_is_entry(lua_CFunction f);

/* Counted registry references. [-1, +0, e] and [0, 0, -] */
int  state_ref_new(lua_State *L);
void state_ref_drop(struct state *s, int ref);

/* Raises when the running request was condemned, or loading took too long. [0, 0, e] */
void state_check(lua_State *L);
/* Has the running code time left?  Condemns its request when it has not: then raise, by
 * state_check().  For C that works long and holds what luaL_error() would leak. */
bool state_has_time(struct state *s);
/* Both at once, for C that holds nothing. [0, 0, e] */
void state_tick(lua_State *L);
/* The same for loops of short steps, some ten nanoseconds each: looks at the clock now and then. [0, 0, e] */
static inline void state_pay(lua_State *L, size_t steps) {
    struct state *s = state_of(L);
    s->time.steps += steps;
    if (s->time.steps < STATE_STEPS) return;
    s->time.steps = 0;
    state_tick(L);
}

/* Bytes that the running request may still take, also in C; SIZE_MAX where there is no limit. */
size_t state_memory_left(const struct state *s);
/* So many bytes will be taken: raises, and condemns the running request, when it may not have them. [0, 0, e] */
void state_want(lua_State *L, size_t bytes);

/* Collects garbage when the heap comes near its limit: LuaJIT by itself waits
 * until it has doubled, which may be too late. */
void state_collect_early(struct state *s);
/* A condemned request leaves much garbage: collects it, a little in each turn, and
 * gives the memory back to the system. */
void state_collect_soon(struct state *s);

/* The queue of a spec goes, with all that runs (l_jobs.c). */
void state_close_jobs(struct state *s);

/* Pushes the chunk of a file of the library, or the sentence that there is none.  Returns 1. [0, +1, e] */
int state_load_embedded(lua_State *L, const char *name);

/* Text of an embedded Lua file ("perilune/init.lua", "policies/route.lua");
 * NULL when there is none. */
const char *embedded_file(const char *name, size_t *len);
const char *embedded_name(unsigned i); /* NULL behind the last */

#endif
