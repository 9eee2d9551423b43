/* breaker.h -- is it worth asking an upstream? See breaker.c. */
#ifndef PERILUNE_SCHED_BREAKER_H
#define PERILUNE_SCHED_BREAKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"

/* ORDER: breaker_state_name(). */
enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

/* What a call says of the upstream. */
enum breaker_outcome {
    BREAKER_NONE,    /* nothing: the client left, the request was at fault, we were */
    BREAKER_GOOD,
    BREAKER_FAILED,  /* it answered, and badly: 5xx, an error inside of a 200, a broken stream */
    BREAKER_DARK,    /* it did not answer: no connection, a reset, a timeout */
    BREAKER_LIMITED, /* 429: it says, or we guess, when to come back */
    BREAKER_QUOTA,   /* the account has run out */
    BREAKER_DENIED   /* 401, 403: our key is refused */
};

struct breaker_settings {
    unsigned failures;   /* in a row that open it, ... */
    unsigned calls;      /* ... or so many in the window, ... */
    double   share;      /* ... of which this share failed */
    unsigned probes;     /* that must be good to close it; as many at once */
    uint64_t open_ms, max_open_ms; /* how long it is open, doubling up to the latter */
};
#define BREAKER_DEFAULTS \
    { .failures = 5, .calls = 10, .share = 0.5, .probes = 2, .open_ms = 5000, .max_open_ms = 120000 }

/* What is given (not 0) takes the place of what s has.  When open_ms were above max_open_ms then, the given one is
 * both. */
void breaker_settings_replace(struct breaker_settings *s, const struct breaker_settings *given);

#define BREAKER_SLOTS 10

struct breaker {
    pthread_mutex_t       lock;
    atomic_uint           state, epoch; /* epoch: changes of state so far; written under the lock */
    atomic_uint_least64_t until_ms;     /* OPEN: when probes may go; loop clock */
    /* under the lock: */
    uint64_t              since_ms, length_ms; /* of this state; OPEN: how long that is */
    unsigned              row, level;          /* failures in a row; openings since it was closed */
    unsigned              probing, passed;     /* HALF_OPEN */
    enum breaker_outcome  why;                 /* of the last failure */
    char                  code[48];            /* the same */
    struct { uint64_t at; unsigned good, bad; } slots[BREAKER_SLOTS];
    uint64_t              scout_at_ms, scout_wait_ms;
    bool                  scouted; /* the waiting was ended by a scout, and no probe has proved it right yet */
    bool                  alarmed, inited;
    struct rng            rng;
    atomic_uint_least64_t opened, refused, alarms; /* for metrics */
};

/* What a call was admitted as. */
struct breaker_ticket {
    unsigned epoch;
    bool     probe;
};

/* What breaker_settle() has changed, for the log. */
enum { BREAKER_HAS_OPENED = 1, BREAKER_HAS_CLOSED = 2, BREAKER_ALARM = 4 };

/* For people. */
struct breaker_view {
    enum breaker_state state;
    uint64_t           since_ms, until_ms; /* until: OPEN */
    unsigned           row, good, bad;     /* good, bad: in the window */
    char               code[48];           /* of the last failure; empty: there was none */
};

const char *breaker_state_name(enum breaker_state s);
/* seed 0: from the kernel. */
int  breaker_init(struct breaker *b, uint64_t seed);
void breaker_deinit(struct breaker *b);

/* All any thread; now: loop_now(). */

/* May a call go?  When it may, *t is what breaker_settle() or breaker_drop() gets, once. */
bool breaker_admit(struct breaker *b, const struct breaker_settings *s, uint64_t now, struct breaker_ticket *t);
/* It goes whatever the breaker says; the same holds for *t. */
void breaker_force(struct breaker *b, struct breaker_ticket *t);
/* How the call ended; wait_ms: what the upstream asked for, 0: nothing; code: of the failure.  Returns the changes. */
int  breaker_settle(struct breaker *b, const struct breaker_settings *s, const struct breaker_ticket *t,
                    enum breaker_outcome o, uint64_t wait_ms, const char *code, uint64_t now);
/* A call that was settled as good broke off in the middle. */
int  breaker_broke(struct breaker *b, const struct breaker_settings *s, enum breaker_outcome o, uint64_t wait_ms,
                   const char *code, uint64_t now);
/* The call told nothing. */
void breaker_drop(struct breaker *b, const struct breaker_ticket *t);

/* Would a call be refused?  Milliseconds until it would not, at least 1; 0: it would not. */
uint64_t breaker_refuses(const struct breaker *b, uint64_t now);
/* Is it time to find out by other means whether it is back?  Then this is the caller's to do, and breaker_scouted()
 * what it found. */
bool breaker_wants_scout(struct breaker *b, uint64_t now);
void breaker_scouted(struct breaker *b, bool alive, uint64_t now);

/* Another one stands behind it now: as new, and what is under way says nothing of it. */
void breaker_forget(struct breaker *b, uint64_t now);
/* Somebody may have seen to the account: open for that, probes may go at once. */
void breaker_doubt_account(struct breaker *b, uint64_t now);

void breaker_look(struct breaker *b, uint64_t now, struct breaker_view *out);

#endif
