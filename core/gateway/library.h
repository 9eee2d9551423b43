/* library.h -- what a gateway keeps for the program that it is part of. See library.c. */
#ifndef PERILUNE_GATEWAY_LIBRARY_H
#define PERILUNE_GATEWAY_LIBRARY_H

#include "include/perilune.h"
#include "sys/mailbox.h"

struct worker;

/* Counted: requests that are held outlive their gateway, and find here that it is gone. */
struct library {
    unsigned       refs;
    pid_t          pid;      /* of g, which may be gone when somebody asks */
    perilune      *g;        /* NULL: it is closed */
    bool           ending;   /* it is being closed */
    struct mailbox mail;     /* for requests that another thread cancels */
    struct list    requests; /* struct perilune_request, all of them */
    struct list    spares;   /* requests that were freed, to be used again */
    unsigned       spare_count;
    struct list    husks;    /* those that were freed lately, in a build for finding who uses them after that */
    unsigned       husk_count;
};

int  library_open(struct library **out, perilune *g);
/* What runs is ended, and who hears is told; from here on requests are dead. */
void library_close(struct library *l);
void library_put(struct library *l); /* NULL is fine */

/* The worker of the owner's loop, made ready when there was none (options.threads). NULL: why is in g's errmsg and
 * *rc. */
struct worker *library_worker(perilune *g, int *rc);

/* request_api.c */
/* All requests have had their end when this returns. */
void requests_end_all(struct library *l);
void requests_bury(struct library *l, unsigned husks, unsigned spares); /* so many stay; husks become spares */
/* How many run, or have events for a callback that takes them.  One whose events nobody takes, so that its source
 * waits, does not: it would never end. */
unsigned requests_busy(const struct library *l);

#endif
