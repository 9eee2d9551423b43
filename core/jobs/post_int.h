/* post_int.h -- what the files of the post share. See post.c. */
#ifndef PERILUNE_JOBS_POST_INT_H
#define PERILUNE_JOBS_POST_INT_H

#include <pthread.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "jobs/post.h"
#include "jobs/post_text.h"
#include "sys/mailbox.h"

#define POST_RETRY_MS     250   /* the first pause before something is tried again */
#define POST_RETRY_MAX_MS 5000  /* it doubles up to this */
#define POST_HOLD_MS      60000 /* for handing a job on: when it is over and nothing was confirmed, it goes out again */

/* A message on its way to the broker.  Embedded in whoever waits; its memory stays until landed(). */
struct flight {
    struct letter letter;
    struct post  *post;
    bool          flies;
    int           rc;           /* of the driver's thread, before the letter is sent */
    char          why[240];
    void        (*landed)(struct flight *f);
};

/* A message that came, as the driver's thread hands it over. */
struct came {
    struct letter letter;
    struct list   link;
    struct post  *post;
    bool          is_result, too_large;
    uint64_t      token;        /* 0: it is not ours any more */
    size_t        len;
    char          text[];
};

struct post {
    struct post_options opt;
    const struct broker_ops *ops;
    struct broker *broker;      /* LOCK for who asks for its state */
    pthread_mutex_t lock;
    char           work[BROKER_NAME_MAX + 1], results[BROKER_NAME_MAX + 1], dead[BROKER_NAME_MAX + 1];
    char           kind[16];
    uint64_t       lease_ms, lost_ms;
    unsigned       max_tries;
    bool           connected, draining, ending, was_connected, said_lost;
    struct mailbox box;
    struct letter  change;
    atomic_bool    change_posted, lost, up;
    struct post_stats stats;
    struct log_limit  bad, odd;
    /* post_out.c */
    struct jobs_op give_op;
    struct timer   pump;
    struct list    parcels;
    unsigned       parcel_count;
    size_t         parcel_bytes;
    uint64_t       pump_pause_ms;
    bool           more;        /* there may be something to hand on */
    /* post_in.c */
    struct list    mails;
    /* post_guest.c */
    struct list      guests;
    struct hashtable by_id;
    struct hash_key  key;
};

/* -- post.c -- */

/* Publishes; 0, and landed() comes once, or an error. */
int  post_fly(struct post *p, struct flight *f, const struct broker_publish *what, void (*landed)(struct flight *f));
void post_settle(struct post *p, uint64_t token, enum broker_settling how); /* 0: nothing */
uint64_t post_pause(uint64_t *pause); /* how long to wait now; it doubles */

/* -- post_out.c: jobs of this node that go out -- */

void out_init(struct post *p);
void out_pump(struct post *p);
void out_deinit(struct post *p); /* no flight is in the air */

/* -- post_in.c: what comes -- */

void in_came(struct post *p, struct came *c); /* takes c */
/* Gives c back to nobody: to the dead with a reason, then it is settled.  Takes c. */
void in_bury(struct post *p, struct came *c, const char *reason);
void in_connected(struct post *p);
void in_lost(struct post *p);
void in_deinit(struct post *p);

/* -- post_guest.c: jobs of others that are done here -- */

/* A message that is a job; takes c. m is borrowed. */
void guest_came(struct post *p, struct came *c, const struct post_message *m);
/* A job of this node that only it can do. False: no memory. */
bool guest_stays(struct post *p, const struct job *j);
void guest_cancel(struct post *p, struct slice id);
void guests_connected(struct post *p);
void guests_lost(struct post *p);
void guests_drain(struct post *p);
bool guests_have_ended(const struct post *p); /* none has an end that was not told */
void guests_deinit(struct post *p);

#endif
