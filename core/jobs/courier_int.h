/* courier_int.h -- what the files of the courier share. See courier.c. */
#ifndef PERILUNE_JOBS_COURIER_INT_H
#define PERILUNE_JOBS_COURIER_INT_H

#include <pthread.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "jobs/courier.h"
#include "jobs/courier_text.h"
#include "sys/mailbox.h"

#define COURIER_RETRY_MS     250   /* the first pause before something is tried again */
#define COURIER_RETRY_MAX_MS 5000  /* it doubles up to this */

/* A message on its way to the broker.  Embedded in whoever waits; its memory stays until landed(). */
struct flight {
    struct letter letter;
    struct courier  *courier;
    bool          flies;
    int           rc;           /* of the driver's thread, before the letter is sent */
    char          why[240];
    void        (*landed)(struct flight *f);
};

/* A message that came, as the driver's thread hands it over. */
struct came {
    struct letter letter;
    struct list   link;
    struct courier  *courier;
    bool          is_result, too_large;
    uint64_t      token;        /* 0: it is not ours any more */
    unsigned      losses;       /* that there were when it came: after one more it is not */
    size_t        len;
    char          text[];
};

struct courier {
    struct courier_options opt;
    const struct broker_ops *ops;
    struct broker *broker;      /* LOCK for who asks for its state */
    pthread_mutex_t lock;
    char           work[BROKER_NAME_MAX + 1], results[BROKER_NAME_MAX + 1], dead[BROKER_NAME_MAX + 1];
    char           kind[16];
    uint64_t       lease_ms, lost_ms;
    uint64_t       hold_ms;     /* for handing a job on: then it goes out again, unless it was confirmed */
    unsigned       max_tries;
    bool           connected, draining, ending, was_connected, said_lost;
    struct mailbox box;
    struct letter  change;
    atomic_bool    change_posted, lost, up;
    atomic_uint    losses;      /* connections that broke: counted before the letter about it is opened */
    struct courier_stats stats;
    struct log_limit  bad, odd;
    /* courier_out.c */
    struct jobs_op give_op;
    struct timer   pump;
    struct list    parcels;
    unsigned       parcel_count;
    size_t         parcel_bytes;
    uint64_t       pump_pause_ms;
    bool           more;        /* there may be something to hand on */
    /* courier_in.c */
    struct list    mails;
    struct deferred wake;       /* those that waited for another of the same job */
    struct list    heard;       /* struct heard, the oldest first */
    struct hashtable heard_of;  /* the same, by the job's id */
    /* courier_guest.c */
    struct list      guests, gone; /* gone: those that have left, the first that left first */
    struct timer     forget;
    struct jobs_op   forget_op;
    struct hashtable by_id;
    struct hash_key  key;
};

/* -- courier.c -- */

/* Publishes; 0, and landed() comes once, or an error. */
int  courier_fly(struct courier *p, struct flight *f, const struct broker_publish *what,
                 void (*landed)(struct flight *f));
void courier_settle(struct courier *p, uint64_t token, enum broker_settling how); /* 0: nothing */
uint64_t courier_pause(uint64_t *pause); /* how long to wait now; it doubles */

/* -- courier_out.c: jobs of this node that go out -- */

void courier_out_init(struct courier *p);
void courier_out_pump(struct courier *p);
void courier_out_deinit(struct courier *p); /* no flight is in the air */

/* -- courier_in.c: what comes -- */

void courier_in_init(struct courier *p);
void courier_in_came(struct courier *p, struct came *c); /* takes c */
/* Gives c back to nobody: to the dead with a reason, then it is settled.  Takes c. */
void courier_in_bury(struct courier *p, struct came *c, const char *reason);
void courier_in_connected(struct courier *p);
void courier_in_lost(struct courier *p);
void courier_in_deinit(struct courier *p);

/* -- courier_guest.c: jobs of others that are done here -- */

/* A message that is a job; takes c. m is borrowed. */
void courier_guest_came(struct courier *p, struct came *c, const struct courier_message *m);
/* A job of this node that only it can do. False: no memory. */
bool courier_guest_stays(struct courier *p, const struct job *j);
void courier_guest_cancel(struct courier *p, struct slice id);
void courier_guests_connected(struct courier *p);
void courier_guests_lost(struct courier *p);
void courier_guests_drain(struct courier *p);
bool courier_guests_have_ended(const struct courier *p); /* none has an end that was not told */
void courier_guests_deinit(struct courier *p);

#endif
