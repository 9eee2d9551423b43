/* gate.h -- how many may work at once, who waits, and in which order. See gate.c.  Any thread. */
#ifndef PERILUNE_SCHED_GATE_H
#define PERILUNE_SCHED_GATE_H

#include "base/buf.h"
#include "base/stats.h"
#include "sched/adaptive.h"
#include "sys/mailbox.h"

#define GATE_CLASSES 8
#define GATE_NAME    64  /* bytes of a name of a gate, or of a class, with its NUL */
#define GATE_FLOW    128 /* of a tenant */

struct gates; /* of a process, by name; they survive reloads */
struct gate;

struct gates *gates_new(void); /* NULL: no memory */
void          gates_free(struct gates *g); /* nobody waits or works any more; NULL is fine */
/* Made when there is none of this name; lives as long as the gates.  NULL: there are GATES_MAX, or no memory. */
#define GATES_MAX 256
struct gate  *gates_find(struct gates *g, struct slice name); /* NULL: there is none */
struct gate  *gates_get(struct gates *g, struct slice name);

const char   *gate_name(const struct gate *g); /* as long as it lives */

struct gate_settings {
    unsigned least, most;  /* at work at once; the same: fixed.  0: nobody may */
    unsigned start;        /* where it begins, when it is found out */
    unsigned classes;      /* 1 to GATE_CLASSES; the first goes first */
    char     names[GATE_CLASSES][GATE_NAME];
    unsigned most_waiting; /* of all classes */
    uint64_t target_ms, interval_ms; /* a queue that stands longer is made shorter (codel.h); 0: it is not */
};
/* From now on; who waits gets what slots there are more, who works is not touched. loop: of this thread. */
void gate_configure(struct gate *g, struct loop *loop, const struct gate_settings *s);

enum gate_answer {
    GATE_OPEN,     /* a slot is taken: gate_leave() gives it back */
    GATE_WAITS,    /* gate_told_fn says more */
    GATE_FULL,     /* as many wait as may, and none of them matters less */
    GATE_HOPELESS, /* its turn would come behind its deadline */
    GATE_SHED,     /* the queue stands, and somebody had to go */
    GATE_CLOSED,   /* nobody may, by its settings: waiting is no use */
    GATE_NO_MEMORY
};

struct gate_ticket; /* of who waits */

/* On the thread that entered, once: OPEN, SHED or FULL.  The ticket is gone. */
typedef void gate_told_fn(void *ud, enum gate_answer how);

struct gate_entry {
    struct loop    *loop;
    struct mailbox *mail;        /* of this thread; NULL: there is one thread */
    unsigned        class_;      /* those beyond the last are the last */
    struct slice    flow;        /* whose turn it uses; over GATE_FLOW bytes are cut */
    double          weight, cost; /* above 0 */
    uint64_t        deadline_ms; /* loop clock; 0: none */
    gate_told_fn   *told;
    void           *ud;
};

/* *ticket: set when it WAITS.  *wait_ms: an estimate, for who is refused; at least 1. */
enum gate_answer gate_enter(struct gate *g, const struct gate_entry *e, uint64_t now, struct gate_ticket **ticket,
                            uint64_t *wait_ms);
/* It does not want to wait any more; told() will not be called.  late: its time was up. */
void gate_give_up(struct gate_ticket *t, bool late);
/* Gives a slot back. loop: of this thread. */
void gate_leave(struct gate *g, struct loop *loop, const struct adaptive_sample *s);

/* -- For who looks ---------------------------------------------------------------------------- */

struct gate_class_count {
    char     name[GATE_NAME];
    unsigned waiting;
    uint64_t admitted, full, hopeless, shed, late, left; /* left: they gave up before their time was up */
    struct histogram waited;
};

struct gate_count {
    unsigned limit, busy, waiting, classes;
    struct gate_class_count of[GATE_CLASSES];
};

void   gate_count(struct gate *g, struct gate_count *out);
/* How many there are for each that may work: at work, and waiting; above 1 somebody waits.  0 of a gate that lets
 * nobody through. */
double gate_saturation(struct gate *g);
double gate_count_saturation(const struct gate_count *c);
/* Calls see() for each; the gates cannot change meanwhile. */
void   gates_each(struct gates *g, void (*see)(void *ud, const char *name, const struct gate_count *c), void *ud);

#endif
