/* resident_int.h -- what the files of the resident share.  See resident.c. */
#ifndef PERILUNE_LOCAL_RESIDENT_INT_H
#define PERILUNE_LOCAL_RESIDENT_INT_H

#include "local/chat_style.h"
#include "local/flows.h"
#include "local/grammars.h"
#include "local/rows.h"
#include "local/resident.h"

#define RESIDENT_FAILED "the local engine failed" /* for clients */
#define CHOICES_ACTIVE 64 /* most of settings.active */

/* A turn that the resident has. */
struct talk {
    struct list  link;
    struct turn *turn;  /* a share */
    unsigned     open;  /* choices, or texts of an embedding, that are not over */
    uint32_t     prompt, said, cached; /* tokens */
    bool         begun, first_placed;
    uint64_t     parked_ms; /* it waits for the engine since then; 0: it does not */
};

/* One answer, or the vector of one text. */
struct choice {
    struct list    link;   /* in waiting or active of the resident */
    struct talk   *talk;
    unsigned       index;
    struct flow   *flow;    /* its tenant's */
    uint64_t       arrival; /* number */
    uint64_t       round;   /* of resident_next(), in which it was looked at */
    uint32_t       row;    /* ROW_NONE: it waits */
    int32_t       *tokens; /* the prompt and what was said; those behind the row's are to be computed */
    uint32_t       len, cap, prompt, most; /* most: tokens to be said */
    uint32_t       quota;  /* of the step that is being made */
    struct sampler sampler;
    struct utf8_hold    hold; /* then */
    struct voice        voice;
    struct matcher matcher; /* in its grammar */
};

struct resident {
    struct resident_settings  settings;
    const struct perilune_engine *engine;
    struct perilune_engine_model *model;
    const struct perilune_engine_facts *facts;
    struct chat_style      *style;    /* of a chat model */
    struct loop             loop;
    struct mailbox          mail;
    pthread_t               thread;
    struct rows             rows;
    struct list             talks;
    struct list             waiting; /* choices, in the order in which they go */
    struct list             active;  /* choices with a row, the oldest first */
    unsigned                waiting_count, active_count;
    uint64_t                arrivals, round;
    struct flows            flows;
    bool                    stopping, broken;
    /* While it is broken, see resident_recover.c: */
    unsigned                failures, parked; /* failures in a row; parked: choices of talks without any yet */
    uint64_t                next_ms, broke_ms, back_ms; /* of the next try; of the failure; of the last recovery */
    struct timer            again;
    atomic_bool             begun, lost; /* [any] the thread is there; the engine says that it is lost */
    double                  token_us; /* what a token of a prompt takes lately */
    /* When memory to compute with is short, see resident_short.c: */
    uint32_t                step_most; /* tokens of a step; 0: as many as the batch has */
    unsigned                calm, alone; /* steps since then; that fell short with one choice or text, in a row */
    struct perilune_engine_token *batch;
    struct choice         **wanted;   /* of each token of the batch: whose next one it brings; or NULL */
    int32_t                *plain;    /* tokens of an embed(), one text behind the other */
    float                  *scores;   /* as the model said them; or vectors */
    struct sampler_candidate *room;
    char                   *piece;    /* facts->longest bytes */
    struct grammars         grammars;
    struct pieces           pieces;   /* of a chat model: what its tokens say */
    struct buf              whole; /* characters of a token */
    struct resident_stats     stats;
};

/* resident.c */
struct turn_event resident_failure(enum turn_code code, const char *text);
/* k and its choices are gone afterwards. */
void resident_fail(struct resident *r, struct talk *k, const struct turn_event *ev);
void resident_fail_all(struct resident *r, const struct turn_event *ev);
/* c, and maybe its talk, are gone afterwards. */
void resident_end_choice(struct resident *r, struct choice *c, bool keep_row);
void resident_put_back(struct resident *r, struct choice *c); /* it waits again */
/* resident_step.c: what c says is told to who asked. */
void resident_begin_voice(struct choice *c);

/* The choices of a talk that has none yet; k may be gone afterwards. */
void resident_add_texts(struct resident *r, struct talk *k);

/* The next that waits, of those that were not looked at in this round (r->round): of the highest priority, the tenant
 * whose turn it is, the first of it.  NULL: there is none. */
struct choice *resident_next(struct resident *r);

/* resident_recover.c: what it takes to recover later is made sure of. */
int  resident_prepare(struct resident *r);
/* The engine has failed. */
void resident_break(struct resident *r);
/* While it is broken, in each turn: tries again when it is time. */
void resident_recover(struct resident *r);
/* k, which came while it is broken, waits for it, or is told when to come again. */
void resident_park(struct resident *r, struct talk *k, unsigned choices);
/* [any] What an engine calls. */
void resident_on_lost(void *resident);
void resident_say(const struct resident *r, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* resident_step.c: computes one batch, and lets each choice whose turn it is say a token. */
void resident_step(struct resident *r);
/* resident_short.c: tokens that a step may have. */
uint32_t resident_room(const struct resident *r);
/* A step of n tokens was too much for the memory there is.  `only`: whose it was, alone; it may be gone, and the engine
 * broken.  NULL: less may work. */
void resident_fell_short(struct resident *r, uint32_t n, struct choice *only);
void resident_went_well(struct resident *r);
/* resident_embed.c: computes vectors of those that wait. */
void resident_embed(struct resident *r);

/* What a token says: at most facts->longest bytes, in room. */
static inline struct slice resident_piece(const struct resident *r, int32_t token, char *room) {
    unsigned flags = chat_style_is_mark(r->style, token) ? PERILUNE_ENGINE_SPECIAL : 0;
    return slice_of(room, r->engine->piece(r->model, token, flags, room, r->facts->longest));
}

/* Around a call that computes. */
static inline uint64_t resident_step_begins(struct resident *r) {
    uint64_t now = loop_hrtime_us();
    atomic_store_explicit(&r->stats.step_began_us, now, memory_order_relaxed);
    return now;
}
static inline void resident_step_over(struct resident *r) {
    atomic_store_explicit(&r->stats.step_began_us, 0, memory_order_relaxed);
}

static inline uint32_t choice_left(const struct choice *c) { return c->most - (c->len - c->prompt); }
static inline uint32_t choice_rest(const struct resident *r, const struct choice *c) {
    return c->len - r->rows.row[c->row].len; /* tokens to be computed */
}

#endif
