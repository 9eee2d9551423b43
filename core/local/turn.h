/* turn.h -- one question to a local model, between the thread that asks and the one that answers. See turn.c. */
#ifndef PERILUNE_LOCAL_TURN_H
#define PERILUNE_LOCAL_TURN_H

#include <stdatomic.h>

#include "base/mem.h"
#include "local/sampler.h"
#include "local/voice.h"
#include "sys/mailbox.h"

struct resident;

#define TURN_CHOICES 128 /* of a question: OpenAI's most */
#define TURN_STOPS   16  /* of a request; OpenAI's most is 4 */
#define TURN_STOP_SIZE 512 /* bytes of one */

enum turn_kind { TURN_CHAT, TURN_EMBED, TURN_RANK };

/* What is asked. Everything is copied. */
struct turn_ask {
    enum turn_kind      kind;
    const struct slice *texts;      /* of an embedding, or to rank, as many as wanted.  Of a chat pieces of one: they
                                     * are cut into tokens apart, so that none comes of letters on both sides */
    struct slice        question;   /* of TURN_RANK: what texts are to answer */
    unsigned            text_count;
    unsigned            flags;      /* of tokenize() */
    struct hash128      tenant;
    int                 priority;   /* the greater goes first */
    uint64_t            deadline_ms; /* loop clock; 0: none.  Of equal priority the earlier goes first */
    /* Of a chat: */
    unsigned            choices;    /* 1 ... TURN_CHOICES */
    uint32_t            most;       /* tokens of each answer; 0: as many as fit */
    struct sampling     sampling;
    struct voice_reading reading;   /* zeros: all of it is text */
    const struct slice *stops;
    unsigned            stop_count; /* TURN_STOPS at most */
    bool                logprobs;
    unsigned            tops;       /* SAMPLER_TOPS at most */
    const char         *grammar;    /* GBNF; NULL: none */
};

/* Answers, or vectors. */
static inline unsigned turn_choices(const struct turn_ask *a) {
    return a->kind == TURN_CHAT ? a->choices : a->text_count;
}

enum turn_end { TURN_STOP, TURN_LENGTH };

/* What comes. ORDER: turn.c writes and reads them. */
enum turn_event_type {
    TURN_BEGUN,  /* the first token is here */
    TURN_TEXT,   /* of a choice: text */
    TURN_THOUGHT, /* of a choice: text */
    TURN_CALL,   /* of a choice: text holds the arguments, texts of tops[0] and tops[1] the name and the model's id */
    TURN_TOKEN,  /* of a choice: what is told of a token of what is said next: text, value, tops */
    TURN_ENDED,  /* a choice is over: end */
    TURN_VECTOR, /* of text number `choice`: text holds floats; of TURN_RANK one, from 0 to 1 */
    TURN_OVER,   /* all is over: prompt, completion, cached */
    TURN_FAILED  /* all is over: code, text is a sentence for the client */
};

enum turn_code {
    TURN_TOO_LONG, /* the prompt: prompt tokens, of `limit` that fit */
    TURN_BAD,      /* the request cannot be done by this model */
    TURN_BUSY,     /* as many wait as may */
    TURN_BROKEN,   /* the engine failed while it was asked */
    TURN_DOWN,     /* it failed before, and is not there again: `limit` milliseconds from now it may be */
    TURN_CLOSED,   /* the model is being unloaded */
    TURN_MEMORY
};

struct turn_top {
    float        value; /* logarithm of its probability */
    struct slice text;
};

struct turn_event {
    enum turn_event_type type;
    unsigned       choice;
    struct slice   text;
    float          value;
    unsigned       top_count;
    struct turn_top tops[SAMPLER_TOPS];
    enum turn_end  end;
    enum turn_code code;
    uint32_t       prompt, completion, cached, limit;
    bool           at_least; /* of TURN_TOO_LONG: prompt was not counted, only its bytes were */
};

/* Shared by two threads: each has a share, and so has a letter on its way. */
struct turn {
    atomic_uint     refs;
    atomic_bool     left;   /* nobody wants to hear of it any more */
    struct letter   asks, news;
    struct mailbox *mail;   /* of who asked */
    void          (*told)(void *ud); /* on its thread; who asks only */
    void           *ud;
    pthread_mutex_t lock;
    struct buf      out;    /* LOCK: events that were not taken */
    bool            posted; /* LOCK: news is on its way */
    struct turn_ask ask;    /* whose pointers lead into `kept` */
    struct arena   *kept;
    struct stops   *stops;  /* made of ask.stops; NULL: there are none */
    void           *resident_data; /* the resident's */
};

/* Asks; told() is called on the thread of `mail` when events can be taken.  NULL: no memory. */
struct turn *turn_new(struct resident *r, const struct turn_ask *ask, struct mailbox *mail, void (*told)(void *ud),
                      void *ud);
/* All events that came go to `to`, behind what is there.  False: no memory, they stay. */
bool turn_take(struct turn *t, struct buf *to);
/* The first event of the bytes, which are shortened by it.  False: there is none. */
bool turn_next(struct slice *bytes, struct turn_event *ev);
/* Nothing is told any more, and the resident stops within a step.  The asking thread's share is gone. */
void turn_leave(struct turn *t, struct resident *r);

/* -- The resident's side ------------------------------------------------------------- */

static inline bool turn_is_left(const struct turn *t) { return atomic_load_explicit(&t->left, memory_order_relaxed); }
void turn_put(struct turn *t);
/* Appends events; those of a step become one letter: turn_post().  turn_put_news(): the same, and the mailbox that is
 * to be paid then (mailbox_pay), or NULL. */
void turn_write(struct turn *t, const struct turn_event *ev);
void turn_post(struct turn *t);
struct mailbox *turn_put_news(struct turn *t);

#endif
