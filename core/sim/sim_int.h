/* sim_int.h -- what the files of the simulated upstream share.  Private to
 * sim*.c; the picture is in sim.c. */
#ifndef PERILUNE_SIM_SIM_INT_H
#define PERILUNE_SIM_SIM_INT_H

#include <uv.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/list.h"
#include "http/parse.h"
#include "sim/sim.h"
#include "sim/sim_prefix.h"

#define SIM_MAX_CHOICES 128       /* OpenAI's limit of `n` */
#define SIM_MAX_BODY  (64u << 20)
#define SIM_INPUT     (256u << 10) /* one read; also the most pipelined bytes kept */
#define SIM_BATCH     (64u << 10)  /* one write of a stream that has much to say */

/* -- Options (sim_options.c) -------------------------------------------------- */

enum sim_option_type { SIM_MS, SIM_COUNT, SIM_BOOL, SIM_TEXT };

struct sim_option {
    const char          *name;
    size_t               offset; /* in struct sim_options */
    enum sim_option_type type;
    double               min, max;
    const char          *value, *help;
};

#define SIM_OPTION_COUNT 27
const struct sim_option *sim_option_table(void);

/* -- Timers (sim_timer.c) ------------------------------------------------------ */

struct sim_timer {
    uint64_t due_us;
    uint32_t slot; /* place in the heap + 1; 0: not armed */
    uint8_t  kind; /* enum sim_timer_kind */
};

enum sim_timer_kind { SIM_TIMER_ANSWER, SIM_TIMER_PACE };

struct sim_heap {
    struct sim_timer **at;
    uint32_t           len, cap;
};

/* Room for n armed timers in all.  0 or PERILUNE_ERR_NOMEM. */
int  sim_heap_reserve(struct sim_heap *h, size_t n);
/* Arms or moves t; there must be room. */
void sim_heap_set(struct sim_heap *h, struct sim_timer *t, uint64_t due_us);
void sim_heap_remove(struct sim_heap *h, struct sim_timer *t); /* armed or not */
/* Takes the earliest timer out if it is due; else NULL. */
struct sim_timer *sim_heap_take_due(struct sim_heap *h, uint64_t now_us);
void sim_heap_deinit(struct sim_heap *h);

/* -- The server (sim.c) --------------------------------------------------------- */

struct sim_counters {
    uint64_t requests, streams;
    uint64_t cancelled;              /* the client left before the answer was out */
    uint64_t open, max_open;         /* connections */
    uint64_t answering, max_answering;
};

struct sim {
    uv_loop_t    loop;
    uv_tcp_t     listener;
    uv_timer_t   clock;  /* armed for the earliest of timers */
    uv_async_t   stopper;
    uv_signal_t  signals[3];
    uv_tcp_t     refused; /* accepts and closes when there is no memory */
    uv_thread_t  thread;
    bool         loop_open, threaded, stopping, refusing, refused_one;
    int          port;
    int          listen_error; /* libuv's */

    struct sim_options options;
    char              *text; /* owns options.text */
    const struct sim_fault *faults; /* BORROWS: from the command line */
    size_t             fault_count;
    struct rng         rng;

    struct list         conns;
    struct sim_heap     timers;
    uint64_t            armed_us; /* when clock fires; 0: not armed */
    struct sim_counters count;
    struct sim_prefixes prefixes;

    struct buf last_head, last_body; /* of the last request, for /sim/last */

    /* Scratch: valid within one callback, never across. */
    char            *input;
    struct http_head head;
    struct json_doc  doc;
    struct buf       out, event, tmp;
};

uint64_t sim_now_us(void);
/* A connection has at most this many timers. */
#define SIM_TIMERS_PER_CONN 2
/* Arms t; the loop will call sim_conn_timer() with it. */
void sim_arm(struct sim *s, struct sim_timer *t, uint64_t due_us);
void sim_disarm(struct sim *s, struct sim_timer *t);
void sim_write_stats(const struct sim *s, struct buf *out);

/* -- Connections (sim_conn.c) ---------------------------------------------------- */

enum sim_state {
    SIM_HEAD,    /* reading a request head */
    SIM_BODY,    /* reading a body of known length */
    SIM_CHUNKED, /* reading a chunked body */
    SIM_ANSWER,  /* answering; what the client pipelines meanwhile waits */
    SIM_FLUSH,   /* the answer is complete but not yet in the kernel */
    SIM_LINGER,  /* said FIN, waiting for the client's */
    SIM_CLOSED,
};

struct sim_pace { /* `slow` and `split`: output that waits for its turn */
    struct sim_timer timer;
    struct sim_conn *conn;
    struct buf       out;
    size_t           piece;
    uint64_t         gap_us;
};

struct sim_conn {
    uv_tcp_t            tcp;
    struct sim         *sim;
    struct list         link; /* in sim->conns */
    struct sim_timer    timer;
    enum sim_state      state;
    bool                feeding, paused, close_after, reset_after;
    struct buf          in;     /* bytes not yet understood */
    struct buf          whole;  /* chunked: head, then the decoded body */
    struct http_chunked chunked;
    size_t              seen;   /* of in: looked at by the parser */
    size_t              head_len, need;
    size_t              queued; /* bytes libuv still holds */
    struct sim_answer  *answer;
    struct sim_pace    *pace;
};

void sim_conn_accept(struct sim *s);
void sim_conn_timer(struct sim_timer *t);
void sim_conn_close(struct sim_conn *c); /* at once; memory goes in the close callback */
/* Sends or queues; after a failure c is SIM_CLOSED. */
void sim_conn_send(struct sim_conn *c, struct slice s);
/* Output that is neither in the kernel nor dropped. */
bool sim_conn_is_behind(const struct sim_conn *c);
/* The answer is complete: next request, or the end of the connection. */
void sim_conn_finish(struct sim_conn *c);
/* From now on output goes out in pieces. 0 or PERILUNE_ERR_NOMEM. */
int  sim_conn_pace(struct sim_conn *c, size_t piece, uint64_t gap_us);

/* -- Answers (sim_answer.c decides, sim_stream.c says it) ------------------------- */

enum sim_kind { SIM_STREAM, SIM_WHOLE, SIM_FIXED };
enum sim_framing { SIM_BY_LENGTH, SIM_BY_CHUNKS, SIM_BY_CLOSE };
enum sim_phase { SIM_PHASE_DELAY, SIM_PHASE_HEAD, SIM_PHASE_TOKENS, SIM_PHASE_END, SIM_PHASE_STALLED };

struct sim_answer {
    struct sim_options opt;  /* opt.text is not used: see text */
    enum sim_kind      kind;
    enum sim_framing   framing;
    enum sim_phase     phase;
    int                status;
    uint64_t           due_us;
    uint64_t           next, total; /* tokens said, to say */
    uint64_t           choices; /* equal answers, side by side */
    size_t             text_at;
    uint64_t           prompt_tokens, cached_tokens;
    struct buf         hashes; /* of the prompt's beginnings, until they are kept */
    bool               usage;     /* STREAM: send it */
    bool               cut_short; /* finish_reason "length" */
    bool               head_only; /* HEAD: no body */
    struct buf         prefix; /* STREAM: of each event; WHOLE: of the body; FIXED: the body */
    struct buf         text;   /* JSON-escaped text to say; empty: the word list */
    struct buf         tool;   /* a tool call up to its arguments; empty: none */
};

/* Answers the request whose head is in c->sim->head. `raw` is the head as it came. */
void sim_answer_request(struct sim_conn *c, struct slice raw, struct slice body);
/* Answers what was no request: the parser's complaint, a body over the limit. */
void sim_answer_bad(struct sim_conn *c, int status, const char *why);
void sim_answer_free(struct sim_answer *a);
/* Says as much as is due and the socket takes. */
/* What stands before the text of a choice of a whole answer. */
void sim_put_choice(const struct sim_answer *a, uint64_t index, struct buf *out);
void sim_answer_pump(struct sim_conn *c);
/* Counts the tokens of a->text, or takes opt's numbers; call when both are set. */
void sim_answer_measure(struct sim_answer *a);
/* Starts it: phase, delays, pacing. */
void sim_answer_start(struct sim_conn *c, struct sim_answer *a);

/* -- Embeddings (sim_embed.c) ------------------------------------------------------ */

/* Writes the answer to the embeddings request in doc.  Returns NULL, or what is
 * wrong with the request (then *param names the field). */
const char *sim_write_embeddings(struct buf *out, struct buf *tmp, const struct json_doc *doc,
                                 const char **param);

#endif
