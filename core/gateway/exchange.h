/* exchange.h -- one request, from whoever asked to the last event of its answer. See
 * exchange.c. */
#ifndef PERILUNE_GATEWAY_EXCHANGE_H
#define PERILUNE_GATEWAY_EXCHANGE_H

#include "gateway/worker.h"

enum exchange_state {
    EXCHANGE_NEW,       /* being filled by who asks */
    EXCHANGE_READING,   /* the body is being parsed, not on this thread */
    EXCHANGE_WAITING,   /* for admission */
    EXCHANGE_ASKING,    /* policies run, or an upstream was asked and is silent */
    EXCHANGE_ANSWERING, /* events go to the client */
    EXCHANGE_FAILING,   /* a policy that took too much: its failure goes out a little later */
    EXCHANGE_OVER
};

struct exchange;

/* Who asks implements this and embeds the exchange. */
struct exchange_ops {
    void (*understood)(struct exchange *x); /* the body is read, x->stream is known; nothing was asked yet */
    void (*free)(struct exchange *x);       /* last: its memory */
    /* Not NULL: who asks answers itself, with exchange_reply() or exchange_deliver(), as soon as it is known who asks.
     * Only policies that say so run (admission), and no upstream is asked. */
    void (*admitted)(struct exchange *x);
};

struct exchange {
    enum exchange_state    state;
    const struct exchange_ops *ops;
    struct sink           *client;   /* who asked; NULL: gone */
    struct sink            sink;     /* of the response */
    struct list            link;     /* worker->exchanges */
    struct worker         *w;
    struct generation     *gen;
    struct request        *req;
    const struct route    *route;    /* NULL: none was needed */
    struct reading        *reading;  /* of the body; NULL: none, or no longer */
    struct task           *task;
    struct response       *res;
    struct timer           deadline; /* of the request; while FAILING, of the failure */
    struct failure        *failure;  /* what the client got */
    const char            *via;      /* how it came, for operators; NULL: by HTTP, or nobody asked */
    uint64_t               start_us, policy_us, ttft_us, total_us;
    int                    status;   /* that the client was told, or will be */
    bool                   committed; /* it was told: the client sets it, and status with it */
    bool                   stream;   /* the client asked for one */
    bool                   is_job;   /* admission was when the job was taken on: policies for that have had their say */
    const char            *admitted; /* then by whom: the guard of the route that the job was taken on by; "": nobody */
    const char            *methods;  /* that would be right, after FAILURE_METHOD; NULL: as routes say */
    const char            *job;      /* that it asks about, for the log; NULL: none */
    bool                   named;    /* who asked says itself which tenant that is */
    bool                   trial;    /* nobody asked for it: a policy tries something out */
    const struct dialect  *dialect;  /* of the body and its answer; NULL: they are passed through */
};

/* Takes a share of gen, one of the worker's, and makes the request, with an id and a deadline.
 * start_us: loop_hrtime_us() when the question began to arrive.  Returns 0 or
 * PERILUNE_ERR_NOMEM. */
int  exchange_init(struct exchange *x, struct worker *w, struct generation *gen, const struct exchange_ops *ops,
                   struct sink *client, uint64_t start_us);
/* Whoever asks proposes an id; it is kept when it is harmless in a header and in a log. */
void exchange_propose_id(struct exchange *x, struct slice id);
/* Whoever asks is trusted, and says which tenant that is (at most 127 bytes): no header is looked at. */
void exchange_set_tenant(struct exchange *x, struct slice tenant);
/* The request is complete, body its bytes (taken).  May end and free x. */
void exchange_begin(struct exchange *x, struct buf *body);

/* The same for a job, whose tenant is in the request already, with a deadline of its own; admitted: by whom it was
 * taken on (job_guard(); lives as long as x).  Where another guard stands now, it fails. May end and free x. */
void exchange_begin_job(struct exchange *x, struct buf *body, const char *admitted, uint64_t timeout_ms);

/* From admitted() on: would the job that was made of x run where x was let in, or where nobody asks?  (false: or there
 * is no memory) */
bool exchange_admits_job(struct exchange *x, const struct job *j);

/* Only who asks is found out, as if this path were posted to; then ops->admitted(). May end and free x. */
void exchange_begin_admission(struct exchange *x, struct slice path);
/* Would a POST of this path lead anywhere? */
bool exchange_leads(struct exchange *x, struct slice path);
/* From admitted() on: a whole reply. headers: lines. Empties body.  Frees x. */
void exchange_reply(struct exchange *x, int status, struct slice headers, struct buf *body);
/* The same, from a response (a share). May end and free x. */
void exchange_deliver(struct exchange *x, struct response *res);
void exchange_fail_with(struct exchange *x, const struct failure *f);

/* The question of `from`, which is alive, is asked again for a cache. May end and free x. */
void exchange_begin_again(struct exchange *x, const struct exchange *from);

/* The same, with this body, by this upstream and past all policies (trial.c). May end and free x. */
void exchange_begin_trial(struct exchange *x, const struct exchange *from, struct body *body, const char *upstream);

/* The client takes events again, after FLOW_FULL. */
void exchange_resume(struct exchange *x);
/* The client is gone, or does not want the rest. Frees x. */
void exchange_gone(struct exchange *x);
/* Ends it with an ERROR event to the client. Frees x. */
void exchange_fail(struct exchange *x, enum failure_kind kind, const char *message);

/* Counts and logs what a policy asked on behalf of a request (asks.c): x was in no list and is never freed, and the
 * members that say who asked what and how it ended are filled. */
void exchange_account_ask(struct exchange *x, bool aborted);

/* After FAILURE_METHOD: which ones would be right, "GET, HEAD". */
void exchange_methods(const struct exchange *x, struct buf *out);

/* What a client may want to know of the answer, from its HEAD on. */
struct slice exchange_upstream(const struct exchange *x); /* who answered; empty: nobody said */
/* Who answered; else, who was asked last.  NULL: nobody was. */
const struct target *exchange_target(const struct exchange *x);
/* What is to be paid for its answer, in USD, and for how many tokens, as far as the upstream has said; nothing, when a
 * cache had it.  From within END and ERROR, too. */
double exchange_cost(const struct exchange *x, struct usage *u);
void exchange_put_headers(const struct exchange *x, struct buf *out); /* of the upstream, and of policies */

/* {"id":...,"age_ms":...,"waits_for":...} */
void exchange_describe(const struct list *link, uint64_t now_us, struct buf *out);

#endif
