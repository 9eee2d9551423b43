/* request.h -- what was asked, whoever asked it: a client's connection, a job, a caller of
 * the library. No HTTP, no Lua. See request.c. */
#ifndef PERILUNE_REQUEST_REQUEST_H
#define PERILUNE_REQUEST_REQUEST_H

#include "base/list.h"
#include "base/mem.h"
#include "http/parse.h"
#include "request/body.h"
#include "request/lookups.h"
#include "request/savings.h"
#include "tokens/models.h"

#define GUARD_SIZE     17  /* with its NUL: hexadecimal digits of a hash of the route and of who asks there */
#define GUARD_OPERATOR "*" /* of a job that a policy describes: the operator's own word */

struct breaker_settings;
struct budget;
struct note;
struct outcome;
struct request;
struct reserved;
struct response;
struct spending;
struct state;
struct target;

/* Of who hangs something of its own on requests (the bridge). */
struct request_user_ops {
    void (*ended)(struct request *r);   /* request_end(): lets go of all that policies hold */
    void (*release)(struct request *r); /* r is being freed */
};

/* What somebody in C wants done when a request is over, whatever became of it: a slot given back, a reservation
 * settled.  Embedded in the struct of whoever registers it. */
struct at_end {
    struct at_end *next;
    void (*run)(struct at_end *a, struct request *r, const struct outcome *o); /* once; frees a; touches no Lua */
};

/* Counted: the exchange has a share, and the handle of a policy.  Slices and headers are
 * borrowed from who asked, until request_end(). */
struct request {
    unsigned      refs;
    bool          live;       /* until request_end() */
    struct arena  arena;
    char          id[80];
    char          tenant[128];
    char          upstream[64]; /* that a policy chose; empty: by model */
    struct slice  method, path, query;
    struct slice  whole_path; /* before its route took a prefix away; empty: the same */
    const char   *route;      /* which one it took, told apart from all others; "": none */
    const char   *route_label; /* the same for people: its name, or its path */
    char          guard[GUARD_SIZE]; /* who says on that route who may ask; "": nobody does */
    const char   *job;        /* its id, when it is done for nobody who waits; "": it is not */
    const char   *peer;       /* address without port */
    struct http_header *headers;
    unsigned      header_count;
    unsigned      removed;    /* lines behind these that policies took away: part of the question as it came */
    struct body  *body;       /* as it came; NULL: no JSON body */
    struct blob  *raw;        /* a body that was not parsed (pass-through) */
    uint64_t      deadline_ms; /* loop clock; 0: none */
    uint64_t      counted;    /* tokens of `body`, when somebody asked; 0: nobody */
    struct model  counted_for;
    struct list   responses;  /* struct response: calls made for it */
    const struct target *asked; /* by the last call; NULL: none was made */
    unsigned      tries, retries, fallbacks; /* calls; of these again to the same, and to another target */
    struct savings_entry *saved; /* what policies reported; in the arena */
    struct lookups *lookups;  /* what caches said; the same */
    struct reserved *reserved; /* by limits, see reserved.h */
    struct spending *spending; /* what upstreams were paid; NULL: nobody asks */
    const struct request_user_ops *user_ops; /* NULL: nobody */
    struct state *state;      /* the user's: */
    void         *handle;
    unsigned      slot;
    struct at_end *ends;      /* the newest first */
    int           cleanup_ref; /* functions of req:finally(), see bridge/cleanup.c; 0: none */
    struct budget *cleanup_budget; /* their time; NULL: none */
    struct note  *notes;      /* what policies want to have said of it, see notes.h; in the arena */
    struct spans *spans;      /* what was done for it, see spans.h; in the arena */
    bool          kept;       /* request_keep() was called */
    struct request *parent;   /* that a policy asked this one for (spent.h); NULL: nobody did.  Outlives it */
    bool          through;    /* it was asked through the policies of `route`, and not past them */
    unsigned      asked_count; /* requests that were asked for it, */
    struct list   asks;       /* struct ask: those of them that are not over, */
    struct spent *spent;      /* and what the others used; in the arena */
    const struct breaker_settings *breaker; /* its calls are refused where a breaker is open: by these
                                              * settings, and the upstream's where one is 0; NULL: none is */
    uint64_t      sample;     /* which of several answers to one question it wants, counted from 1 (and that of the one
                                 that asks, mixed in): they share no cached answer, nor one under way.  0: any */
    bool          coalesces;  /* its calls may share an answer with those of others, */
    uint64_t      since;      /* who were asked since the same things were let go: cache_since(); 0: nothing was */
    bool          admitted;   /* policies that say who may ask have let it through (core.admit) */
    bool          refreshes;  /* it is asked for the sake of a cache: nobody waits, and nothing stored will do */
};

/* One share. NULL when there is no memory. */
struct request *request_new(void);
struct request *request_ref(struct request *r);
void request_put(struct request *r); /* NULL is fine */
/* a->run is called when r is over, in request_finish(), those that were registered last first. */
void request_at_end(struct request *r, struct at_end *a);
/* r is over with this outcome: slots are given back, and what limits reserved is settled.  res: what was delivered, or
 * NULL.  Before request_end(), which calls what is left as canceled. */
void request_finish(struct request *r, const struct response *res, const struct outcome *o);
/* It is answered, or nobody waits for the answer: calls that were made for it stop, what
 * policies hold of it is empty from now on, its bytes go.  The caller has a share. */
void request_end(struct request *r);

/* From here on method, path, headers and peer are its own: functions that run when the reply has
 * ended (finally) may still ask for them, and who asked has let go of its question by then.
 * False: no memory. */
bool request_keep(struct request *r);

/* Does who asked wait for a stream, and for events of usage in it?  Whatever policies made of the body. */
bool request_wants_stream(const struct request *r);
bool request_wants_usage(const struct request *r);

/* First header of that name (any case), or a slice whose ptr is NULL. */
struct slice request_header(const struct request *r, struct slice name);

#endif
