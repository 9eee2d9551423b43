/* jobs.h -- where jobs are kept: one interface for all kinds of queues. See jobs.c.
 *
 * A process has one `struct jobs_store` of a queue, and each worker its end of it, a `struct jobs`.  Both are the
 * beginning of what a driver keeps (embedded: jobs_file.h; in memory: jobs_memory.h; Redis: jobs_redis.h).  All is
 * asked on the worker's loop and answered there, later.  A message broker is none of them, because it cannot look a
 * job up: it carries jobs between such queues (courier.h). */
#ifndef PERILUNE_JOBS_JOBS_H
#define PERILUNE_JOBS_JOBS_H

#include "base/hashtable.h"
#include "base/log.h"
#include "jobs/job.h"
#include "sys/loop.h"

struct jobs;
struct jobs_op;

enum jobs_verb {
    JOBS_SUBMIT, /* job: kept safely (on disk, at the broker) when it is answered. The answer's job is it,
                  * or the one that has this key already: `existed`; it is for who asks to see whether they are alike.
                  * In memory a job may bring its id, and the one that has it `existed`: it is kept elsewhere */
    JOBS_GET,    /* id, tenant (NULL ptr: any) */
    JOBS_LIST,   /* tenant (NULL ptr: any), status or all, before this id (pages), count: the newest first; without
                  * bodies and results */
    JOBS_CANCEL, /* id, tenant: queued ones are over at once; running ones (`stopping`) when who works on them beats
                  * or finishes, or his lease runs out. The answer's job is how it is now.  With `forget` one that is
                  * over is gone (`forgotten`), unless its webhook is under way; it is JOBS_IS_OVER all the same */
    JOBS_TAKE,   /* up to count that are due, of queue (NULL ptr: any), for lease_ms: the first by priority; at equal
                  * priority queues and tenants take turns, then by age.  By queue and tenant no more run at once than
                  * limits say.  None: the answer is 0 with count 0 */
    JOBS_BEAT,   /* id, lease: goes on for lease_ms. JOBS_WAS_CANCELED: it is over now; JOBS_LOST: somebody else's */
    JOBS_APPEND, /* id, lease, event: the stream of the answer, or progress (which is job->progress, too), one at a
                  * time.  `after`: the number that it should get: who asks again after a lost answer is answered, and
                  * nothing is appended twice; 0: whichever comes */
    JOBS_FINISH, /* id, lease, end.  QUEUED: another try delay_ms later, or FAILED when there were as many as may be;
                  * one that was given back unharmed used no try.  The answer's job is what became of it,
                  * without body and result: FAILED when the result was too large, or the queue is full.
                  * PERILUNE_ERR_IO: not kept; ask again, and beat meanwhile.  Who asks again after a lost answer gets
                  * it */
    JOBS_EVENTS, /* id, tenant (NULL ptr: any), after this number, count.  The answer's job, too, without body and
                  * result, as it was in the same moment */
    JOBS_HOOK_TAKE, /* up to count webhooks that are due, for lease_ms: `hooks` */
    JOBS_HOOK_DONE, /* number, lease, hook: DELIVERED, DEAD, or WAITING: again delay_ms later; its last_status, and in
                     * `note` what happened, for the log */
    JOBS_HOOKS,  /* id, tenant (NULL ptr: any): those of a job, for the delivery log; no hook->job */
    JOBS_GIVE    /* As TAKE, for who hands jobs on and works on none: they stay queued, it is no try, and for lease_ms
                  * nobody gets them again.  With an id: this one, if it waits, is left alone for lease_ms from now on;
                  * no job is answered */
};

/* As a lease of BEAT, APPEND, FINISH: of who speaks for somebody elsewhere, who has the job without a lease of ours
 * (courier.c).  It is good for any job that is not over.  BEAT: it runs there, in its count-th try. */
#define JOBS_ELSEWHERE UINT64_MAX

/* Answers that are no fault of the queue.  Positive: no PERILUNE_ERR_. */
enum jobs_refusal {
    JOBS_NOT_FOUND = 1,  /* or it is another tenant's */
    JOBS_IS_OVER,        /* CANCEL, BEAT, APPEND, FINISH: it has ended.  The answer has the job (CANCEL) */
    JOBS_LOST,           /* BEAT, APPEND, FINISH, HOOK_DONE: the lease ran out and is another's, or nobody's */
    JOBS_WAS_CANCELED,   /* BEAT, APPEND, FINISH: its work is to stop; it is canceled now */
    JOBS_QUOTA,          /* SUBMIT: the tenant has as many jobs as may be; `why` says which limit */
    JOBS_IS_FULL,        /* SUBMIT: the queue has as many bytes, or jobs, as may be */
    JOBS_TOO_LARGE       /* SUBMIT: body; APPEND: the events of the job together, or the queue has room for none */
};

struct jobs_ask {
    enum jobs_verb verb;
    const struct job *job;       /* SUBMIT; lent until jobs_begin() returns, as is */
    const struct job_end *end;   /* FINISH */
    struct blob   *hold;         /* SUBMIT: the job's body lies in it, and is not copied but held; NULL: it is copied */
    struct slice   id, tenant;
    struct slice   queue;        /* TAKE */
    uint64_t       lease, lease_ms, after; /* after: EVENTS, APPEND */
    uint64_t       delay_ms;     /* FINISH, HOOK_DONE */
    bool           forget;       /* CANCEL */
    struct slice   before;       /* LIST */
    int            status;       /* LIST: an enum job_status, or -1 */
    unsigned       count;        /* LIST, TAKE, GIVE, EVENTS, HOOK_TAKE: JOBS_MOST at most */
    struct job_event event;      /* APPEND; its number is given by the queue */
    struct {
        uint64_t            number;
        enum job_hook_state state;
        int                 status;
        struct slice        note;
        bool                unsent; /* WAITING: nobody was asked, so it was no try, and nothing is noted */
    } hook;                      /* HOOK_DONE */
    uint64_t       within_ms;    /* an answer that takes longer is PERILUNE_ERR_TIMEOUT, and then nobody knows whether
                                  * it was done; 0: JOBS_WITHIN_MS */
};

#define JOBS_MOST      1000
#define JOBS_WITHIN_MS 10000
#define JOBS_WAITING   65536
#define JOBS_SAY_MS    10000

/* Borrowed until done() returns. */
struct jobs_answer {
    int               rc;        /* 0, an enum jobs_refusal, or PERILUNE_ERR_IO, TIMEOUT, CANCELED, NOMEM */
    bool              existed;   /* SUBMIT */
    bool              forgotten; /* CANCEL */
    bool              kept;      /* JOBS_QUOTA: by max_kept, so that waiting alone may not help */
    const struct job *jobs;      /* SUBMIT, GET, CANCEL, FINISH, EVENTS (one), LIST, TAKE, GIVE */
    const struct job_event *events; /* EVENTS; APPEND (one: its number) */
    const struct job_hook  *hooks;
    unsigned          count;     /* of events for EVENTS, of hooks for HOOK_*, else of jobs */
    const char       *why;       /* rc != 0: a sentence for the operator's log, or NULL */
};

/* -- What a queue is told ------------------------------------------ */

/* What may be, for all processes that share the queue; 0: no limit.  A reload says it anew: what runs goes on. */
struct jobs_queue_limit {
    const char *name;
    unsigned    concurrency;
};
struct jobs_limits {
    unsigned concurrency;        /* at once of a queue that `queues` does not name */
    unsigned tenant_concurrency; /* at once of a tenant, in all queues */
    unsigned max_queued, max_kept; /* of a tenant: that wait; in whatever status.  Over it SUBMIT is JOBS_QUOTA */
    const struct jobs_queue_limit *queues; /* copied */
    unsigned queue_count;
};

/* Until it is closed.  Borrowed during *_open(), which copies. */
struct jobs_settings {
    uint64_t    max_bytes;       /* of the file, or of what memory holds */
    uint64_t    max_body, max_result; /* bytes of one job: question; answer, and the same again for its events */
    uint64_t    keep_ms;         /* for jobs that do not say */
    uint64_t    poll_ms;         /* how often it is looked what other processes did */
    struct log *log;             /* NULL: nobody reads; outlives the store */
    /* For tests, which own the clocks; NULL: the system's, or the loop's where its time is virtual. */
    uint64_t  (*wall_ms)(void), (*steady_ms)(void);
};

/* Sensible ones: 4 GiB, 16 MiB, a day, 250 ms. */
void jobs_settings_init(struct jobs_settings *s);

/* Of one queue, for metrics and operators. */
struct jobs_count {
    struct slice queue;
    uint64_t     queued, running;    /* now */
    uint64_t     failed;             /* kept: the dead-letter list */
    uint64_t     oldest_ms;          /* when the oldest of those that wait and are due was made; 0: none waits */
};
struct jobs_totals {
    uint64_t jobs;               /* kept, in whatever status */
    uint64_t hooks;              /* waiting or being sent */
    uint64_t bytes;              /* of the file, without what is free in it */
};

/* -- Drivers ------------------------------------------ */

struct jobs_store {
    const struct jobs_driver *driver;
};

struct jobs_driver {
    const char *name;            /* "memory", "file", "redis" */
    /* A worker's end, on its loop's thread. */
    int  (*attach)(struct jobs_store *s, struct loop *loop, struct jobs **out);
    /* These [any thread] */
    int  (*limit)(struct jobs_store *s, const struct jobs_limits *l);
    void (*counts)(struct jobs_store *s, void (*each)(void *ud, const struct jobs_count *c), void *ud,
                   struct jobs_totals *totals);
    /* No end is open any more.  May wait for a thread of its own. */
    void (*shut)(struct jobs_store *s);
    /* Sends the question; jobs_answer() is due once, later.  Or an error, and it is not. */
    int  (*begin)(struct jobs *j, struct jobs_op *op, const struct jobs_ask *ask);
    /* Nobody waits for op any more. */
    void (*forget)(struct jobs *j, struct jobs_op *op);
    void (*close)(struct jobs *j); /* no op waits and nobody watches any more; frees j, now or later */
};

struct jobs {
    const struct jobs_driver *driver;
    struct loop  *loop;
    struct list   ops;           /* that wait */
    unsigned      count, limit;
    struct hashtable watches;    /* by id */
    struct hash_key  key;        /* of watches: ids come from clients */
    /* There may be something to take: a new job, one whose time came, a lease that ran out.  On the loop; set by who
     * takes.  hook_due: the same for webhooks. */
    void        (*due)(void *ud);
    void        (*hook_due)(void *ud);
    void         *ud, *hook_ud;
    uint64_t      said_ms;       /* jobs_say(): of the loop; 0: never */
    unsigned      unsaid;        /* since then */
};

/* One question.  Embedded in whoever waits; zeroed before the first use. */
struct jobs_op {
    struct list     link;
    struct jobs    *jobs;        /* NULL: waits for nothing */
    struct timer    deadline;
    void           *driver;      /* the driver's own */
    /* The answer is borrowed until it returns.  Never from within jobs_begin(). */
    void          (*done)(struct jobs_op *op, const struct jobs_answer *a);
};

/* Who wants to know that a job has new events, progress, another status, or is to stop: told() is a hint, ask then.
 * Also of changes by other processes, up to poll_ms later, and then it may be for nothing.  told() may unwatch any,
 * and begin ops. */
struct jobs_watch {
    struct chained chained;
    struct list    pending;      /* told() is due */
    struct jobs   *jobs;         /* NULL: watches nothing */
    char           id[JOB_ID_SIZE];
    void         (*told)(struct jobs_watch *w);
};

/* -- For who asks ------------------------------------------ */

/* Of a worker: at most JOBS_WAITING ops wait at once.  NULL: no memory, or no descriptors. */
struct jobs *jobs_open(struct jobs_store *s, struct loop *loop);
/* Ops that wait end with PERILUNE_ERR_CANCELED from within; watches watch nothing any more.  NULL is fine.
 * The loop must turn, or be closed by loop_deinit(), for all memory to go. */
void jobs_close(struct jobs *j);

/* The store: opened and closed by the thread that loads (jobs_memory_open(), jobs_file_open()); all else any
 * thread's. */
/* 0, or PERILUNE_ERR_NOMEM: those before stay. */
int  jobs_store_limit(struct jobs_store *s, const struct jobs_limits *l);
/* As it was a moment ago; borrowed during the call.  each, totals: may be NULL. */
void jobs_store_counts(struct jobs_store *s, void (*each)(void *ud, const struct jobs_count *c), void *ud,
                       struct jobs_totals *totals);
/* Behind all that were opened: what was asked is done or refused, files are closed.  NULL is fine. */
void jobs_store_close(struct jobs_store *s);

/* Returns 0, and done() comes exactly once unless it is canceled; or, and then it never comes, PERILUNE_ERR_LIMITED,
 * PERILUNE_ERR_NOMEM or PERILUNE_ERR_INVAL (a name too long, a priority out of range, a count over JOBS_MOST). */
int  jobs_begin(struct jobs *j, struct jobs_op *op, const struct jobs_ask *ask,
                void (*done)(struct jobs_op *op, const struct jobs_answer *a));
void jobs_cancel(struct jobs_op *op);

/* w is zeroed or watches nothing.  PERILUNE_ERR_NOMEM: it does not watch. */
int  jobs_watch(struct jobs *j, struct jobs_watch *w, struct slice id);
void jobs_unwatch(struct jobs_watch *w);

/* A line for operators about an answer that is not 0, when it is their business: a fault of the queue, or that it is
 * full; not what a client may not.  One in JOBS_SAY_MS, with how many there were.  request: its id, or NULL. */
void jobs_say(struct jobs *j, struct log *log, const char *request, const struct jobs_answer *a);

/* -- For drivers ------------------------------------------ */

/* On the loop; not from within begin(). */
void jobs_answer(struct jobs_op *op, const struct jobs_answer *a);
/* This job changed; id of len 0: any may have.  From the loop, not from within begin(). */
void jobs_tell(struct jobs *j, struct slice id);

#endif
