/* flight.h -- one answer for all who ask for it at the same time. See flight.c. */
#ifndef PERILUNE_STORE_FLIGHT_H
#define PERILUNE_STORE_FLIGHT_H

#include "base/hash.h"
#include "flow/source.h"
#include "sys/mailbox.h"

/* Those under way, of all threads. */
struct flights;

/* NULL: no memory. */
struct flights *flights_new(void);
void            flights_free(struct flights *f); /* nobody sits in any more */
/* Seats taken so far in a flight that was there already. */
uint64_t        flights_joined(const struct flights *f);

/* The loop's thread is ending: sources that were made on it stop, and their followers are told.  On that thread. */
void            flights_leave(struct flights *f, struct loop *loop);

struct flight_options {
    struct flights *flights;
    struct loop    *loop;
    struct mailbox *mail;        /* of the loop's thread; NULL: there is one thread */
    struct hash128  key;         /* what all ask for */
    struct hash128  rest;        /* no answer depends on it, but an error about the question may */
    size_t          limit;       /* bytes that a slow one may lie behind, and that a late one still gets */
    size_t          high_water;  /* bytes that the fastest may lie behind before the source pauses */
    /* Makes the source whose answer all get, when this one is to lead: on its thread, now or later. NULL:
     * no memory. */
    struct source *(*make)(void *ud);
    void           (*drop)(void *ud); /* ud is not needed any more; once */
    /* NULL, or told whether this one pays for the answer: when it has a seat, when it is to lead in place of another,
     * and for good before its last event, or while it leaves.  known: what the answer cost, as far as the upstream
     * said it (known->known); NULL: not yet.  On its thread. */
    void           (*pays)(void *ud, bool pays, const struct usage *known);
    void            *ud;
};

/* A seat in the flight of this key, as a source; when there is no such flight, it will lead a new one.
 * Takes ud, also on failure.  NULL: no memory.  *joined: there was one.  Of those whose answer has begun to come
 * exactly one pays, whoever leaves when. */
struct source *flight_join(const struct flight_options *opt, bool *joined);

#endif
