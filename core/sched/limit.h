/* limit.h -- how much of something a key may have in a window. See limit.c. Any thread. */
#ifndef PERILUNE_SCHED_LIMIT_H
#define PERILUNE_SCHED_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/stats.h"

/* ORDER: limit_kind_name(), limit_window_name(), lua/perilune/limit.lua. */
enum limit_kind { LIMIT_REQUESTS, LIMIT_TOKENS, LIMIT_USD, LIMIT_KINDS }; /* USD: in billionths */
enum limit_window { LIMIT_SECOND, LIMIT_MINUTE, LIMIT_HOUR, LIMIT_DAY, LIMIT_MONTH, LIMIT_WINDOWS };

#define LIMIT_METERS (LIMIT_KINDS * LIMIT_WINDOWS) /* a meter is a kind in a window: kind * LIMIT_WINDOWS + window */
#define LIMIT_SLOTS  LIMIT_METERS /* in place of a meter: requests at once */
#define LIMIT_FULL   (LIMIT_METERS + 1) /* the same: no key is idle, and there is no room for one more */
#define LIMIT_KEY    256 /* bytes */
#define LIMIT_NAME   96  /* bytes */
#define LIMIT_GROUPS 1024
#define LIMIT_MODELS 4   /* of a key, whose answers are told apart by length */
#define LIMIT_NANO   1e9 /* of a dollar */

const char *limit_kind_name(unsigned meter);   /* "requests", "tokens", "usd" */
const char *limit_window_name(unsigned meter); /* "second" ... */

/* The monotonic clock in milliseconds, and seconds since 1970 for calendar windows. */
struct limit_clock {
    uint64_t mono_ms;
    int64_t  wall_s;
};

/* What a limit allows. */
struct limit_rule {
    uint32_t mask;               /* bits of the meters there are */
    double   most[LIMIT_METERS]; /* of each */
    double   slots;              /* requests at once; below 0: any number */
};

/* What is asked for.  Amounts of kinds that no meter has do not matter. */
struct limit_ask {
    double   amount[LIMIT_KINDS]; /* certain: of tokens, those of the prompt */
    bool     answers;             /* there will be an answer, of a length that is foretold: */
    uint64_t model;               /* by what this model said before, */
    double   most_out;            /* at most so many tokens; INFINITY: not said */
    double   out_usd;             /* what one of them costs, in billionths of a dollar */
    unsigned slots;               /* 0 or 1 */
};

/* What is left of a kind, in the window that leaves least. */
struct limit_row {
    double   most, left;
    uint64_t reset_ms; /* until all of it is left */
    bool     has;
};

struct limit_verdict {
    unsigned meter;   /* refused: by which, or LIMIT_SLOTS, LIMIT_FULL */
    double   most, used, asked; /* refused: of that meter; used: with what is reserved */
    uint64_t wait_ms; /* refused: until it may go; 0: never */
    double   share;   /* the largest used / most of all meters, what was taken included */
    double   reserved[LIMIT_KINDS]; /* what was asked for in all, with what is foretold */
    struct limit_row row[LIMIT_KINDS];
};

struct limits;
struct limit_group;
struct limit_entry;

/* What was taken and is not settled. Zeroed: nothing. */
struct limit_hold {
    struct limit_entry *entry;
    struct limit_group *group;
    uint32_t            mask;
    double              amount[LIMIT_KINDS];
    unsigned            slots;
};

/* What it was in the end. */
struct limit_use {
    double   tokens, usd; /* usd: in billionths */
    uint64_t model;
    double   out;         /* tokens of the answer, to foretell the next; below 0: nothing is learned of it */
};

struct limit_stats {
    const char   *name;
    stats_counter taken, refused, would_refuse, forgotten, fallback; /* would_refuse: dry runs */
    stats_counter waited;
    stats_counter keys, held_requests, waiting; /* now */
    stats_counter held[LIMIT_KINDS];   /* now; usd in billionths */
};

/* bytes: of all keys together. NULL: no memory. */
struct limits *limits_new(size_t bytes);
void           limits_free(struct limits *l); /* NULL is fine */

/* The limit of that name, for as long as l lives; NULL: no memory, or LIMIT_GROUPS have other names. */
struct limit_group *limits_group(struct limits *l, struct slice name);
const char *limit_group_name(const struct limit_group *g);
/* It was decided without Redis (away), or with it.  True: say so, because an outage begins or has ended; workers have a
 * connection each, and one outage for all. */
bool limit_group_falls_back(struct limit_group *g, bool away, uint64_t now_ms);
void limit_group_count_dry(struct limit_group *g);
void limit_group_count_waiting(struct limit_group *g, int by); /* by 1: one more has waited, too */

/* Of a refusal: it counts as one, as one of a dry run, or not at all, because it is asked again; FORCE: nothing is
 * refused, and it is taken beyond what there is. */
enum limit_count { LIMIT_COUNT, LIMIT_DRY, LIMIT_AGAIN, LIMIT_FORCE };

/* Takes from all meters of the rule, or from none.  0, and *hold is to be settled; PERILUNE_ERR_LIMITED, and *v says by
 * what; PERILUNE_ERR_NOMEM.  key: at most LIMIT_KEY bytes. */
int  limits_take(struct limit_group *g, const struct limit_rule *rule, struct slice key, const struct limit_ask *ask,
                 struct limit_clock now, enum limit_count how, struct limit_hold *hold, struct limit_verdict *v);
/* The reservation becomes what was used; the rest of it goes back.  Nothing when hold is zeroed, as it is then. */
void limits_settle(struct limit_hold *hold, const struct limit_use *use, struct limit_clock now);
/* As if it had never been taken. */
void limits_give_back(struct limit_hold *hold, struct limit_clock now);
/* The largest used / most of the key's meters. */
double limits_share(struct limit_group *g, const struct limit_rule *rule, struct slice key, struct limit_clock now);

/* -- Shared by machines: who decides is elsewhere -------------------------------------------- */

/* What another place says of a key. */
struct limit_state {
    double used[LIMIT_METERS]; /* by meter */
    double held[LIMIT_KINDS];  /* reserved, by all */
    double slots;
};
/* The same ask with the answer foretold, capped and at least 1: what is to be reserved. */
void limits_foretell(struct limit_group *g, const struct limit_rule *rule, struct slice key, struct limit_ask *ask);
/* Remembers the state, for the time when that place is away, and says what follows of it.  hold: what was taken there
 * is held here as well, and is to be settled in both; NULL: it was refused, and *v is as after a refusal of ask.
 * 0 or PERILUNE_ERR_NOMEM, PERILUNE_ERR_LIMITED (no room): nothing is held, and *v is filled all the same. */
int  limits_mirror(struct limit_group *g, const struct limit_rule *rule, struct slice key, const struct limit_ask *ask,
                   const struct limit_state *state, struct limit_clock now, bool dry, struct limit_hold *hold,
                   struct limit_verdict *v);

/* The number of the day or month, and milliseconds until the next begins. */
uint32_t limit_period(enum limit_window w, int64_t wall_s, uint64_t *left_ms);
uint64_t limit_window_ms(enum limit_window w); /* of a month: 31 days */

/* -- For operators ------------------------------------------------------------------------------ */

/* Borrowed for the call. */
struct limit_seen {
    struct slice name, key;
    unsigned     in_flight;
    struct {
        unsigned meter;
        double   most, used;
        uint64_t reset_ms;
    } meter[LIMIT_METERS];
    unsigned     count;
    double       held[LIMIT_KINDS];
};
/* Up to `most` keys, those in use and the latest first of each part of the table; returns how many there are. */
size_t limits_each(struct limits *l, size_t most, struct limit_clock now,
                   void (*fn)(void *ud, const struct limit_seen *s), void *ud);
/* Of the i-th limit, while the result is not NULL. */
const struct limit_stats *limits_stats(struct limits *l, unsigned i);
size_t limits_bytes(struct limits *l);

#endif
