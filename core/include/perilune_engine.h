/* perilune_engine.h -- what runs a model inside of the process.
 *
 * An engine knows how to compute; it knows nothing of requests, queues, samplers or protocols.  libllama is one
 * (core/local/llama.c); tests have another, which needs no model.
 *
 *     load --> facts, tokenize, piece                  any thread, once load() has returned
 *          --> seq_start, seq_copy, seq_cut, step,     one thread: who runs the model (core/local/resident.c)
 *              logits, embed
 *          --> recover                                 the same thread, after an error of step() or embed()
 *          --> cancel                                  any thread: ends the step() or embed() under way soon
 *          --> free                                    nobody uses the model any more
 *
 * A SEQUENCE is a number below facts.sequences with a row of tokens whose state the engine keeps.  Position p of a row
 * is given once, in order: step() appends.  Rows may share their beginnings (seq_copy); shared positions take memory
 * once.  The memory is facts.cells positions of all rows together; who steps takes care that they suffice.
 *
 * ERRORS.  A function that says nothing else returns 0 or a negative PERILUNE_ERR_... code.  An engine must answer any
 * argument within the limits of its facts without ending the process, and refuses others with PERILUNE_ERR_INVAL.
 *
 * GROWTH.  The version is the first word; whoever gets an engine whose version it does not know does not use it. */
#ifndef PERILUNE_ENGINE_H
#define PERILUNE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PERILUNE_ENGINE_VERSION 3

/* What load() is told.  Strings are borrowed during the call. */
struct perilune_engine_options {
    const char *model;      /* path of the file */
    const char *library;    /* folder of the engine's library; NULL: where it is usually found */
    unsigned    threads;    /* that compute; 0: one for each core */
    unsigned    context;    /* positions of all rows together; 0: what the model was trained with, 8192 at most */
    unsigned    context_each; /* instead: positions of each row, which has them for itself; 0: rows share */
    unsigned    sequences;  /* rows */
    unsigned    batch;      /* most tokens of a step */
    int         gpu_layers; /* in a GPU's memory; below 0: as many as fit what is free of it */
    const char *device;     /* names of GPUs with commas between; NULL: all */
    const float *split;     /* how much of the layers each of them gets; split_count 0: as the engine likes */
    unsigned    split_count;
    int         flash_attention; /* 1: yes; -1: no; 0: where the engine can */
    const char *kv_type;    /* of the numbers that are kept for each position: "f16", "q8_0" ...; NULL: the engine's */
    /* Of an engine that runs in a process of its own; others look past the first two. */
    const char *program;    /* what is started for it; NULL: Perilune's program */
    unsigned    step_ms;    /* a step that takes longer hangs; 0: a minute */
    void      (*say)(void *ud, const char *sentence); /* for the operator; any thread, until free().  NULL: nobody */
    void      (*lost)(void *ud); /* the same: the model is lost, it must recover().  NULL: step() will tell */
    void       *ud;
};

enum perilune_engine_kind {
    PERILUNE_ENGINE_CHAT,  /* says the next token */
    PERILUNE_ENGINE_EMBED, /* turns texts into vectors */
    /* Says how well a text answers a question: an embed() of pairs, whose first number counts.  With a width of 1 it is
     * any number, else a share of 1. */
    PERILUNE_ENGINE_RANK
};

/* What is known of a model. Borrowed: lives as long as the model. */
struct perilune_engine_facts {
    enum perilune_engine_kind kind;
    const char *name;          /* "llama 135M Q4_1", for people */
    const char *chat_template; /* as the file has it (Jinja); NULL: none */
    const char *bos, *eos;     /* texts of these tokens; "": none */
    uint32_t    vocab;         /* tokens are 0 ... vocab - 1 */
    uint32_t    cells;         /* positions of all rows together */
    uint32_t    row;           /* positions of one row at most */
    uint32_t    sequences, batch;
    uint32_t    width;         /* numbers of a vector of embed() */
    uint32_t    longest;       /* bytes of the longest piece of a token */
    bool        shares;        /* seq_copy() works, and seq_cut() to anything but 0 */
    bool        apart;         /* each row has memory for itself: a copy takes its own; a step of rows side by side is
                                * one pass over the weights, of others several */
    uint64_t    bytes;         /* of the weights */
    const char *note;          /* what load() decided, for the operator: "24 of 33 layers are on CUDA0"; "": nothing */
};

/* One token of a step. */
struct perilune_engine_token {
    int32_t  token;
    uint32_t seq, at;  /* at: its position: the length of the row */
    bool     wanted;   /* logits() will be asked for what comes behind it */
};

struct perilune_engine_model;   /* the engine's own */

enum {
    PERILUNE_ENGINE_SPECIAL = 1, /* tokenize: texts of control tokens are these tokens; piece: they have a text */
    PERILUNE_ENGINE_BEGIN = 2    /* tokenize: what the model wants in front of and behind a text is put there */
};

enum { /* what step() and embed() answer besides errors */
    PERILUNE_ENGINE_FULL = 1,    /* no memory for these positions: nothing has changed */
    PERILUNE_ENGINE_CANCELED = 2, /* cancel() came: rows are of unknown length, start them again */
    PERILUNE_ENGINE_SHORT = 3     /* no memory to compute so much at once: nothing has changed, less may work */
};

struct perilune_engine {
    uint32_t    version; /* PERILUNE_ENGINE_VERSION */
    const char *name;

    /* Loads a model; takes as long as it takes.  On failure `why` gets a sentence for the operator: what, where, and
     * how to fix it; PERILUNE_ERR_NOMEM: of the machine, or of a GPU. */
    int  (*load)(const struct perilune_engine_options *options, struct perilune_engine_model **out, char *why,
                 size_t why_size);
    void (*free)(struct perilune_engine_model *m); /* NULL is fine */
    const struct perilune_engine_facts *(*facts)(const struct perilune_engine_model *m);

    /* The tokens of a text.  Returns how many there are (more than `room`: out says nothing), or an error. */
    int64_t (*tokenize)(const struct perilune_engine_model *m, const char *text, size_t len, unsigned flags,
                        int32_t *out, size_t room);
    /* The same of a question and a text, as a model that ranks wants them.  NULL: the engine knows no such models. */
    int64_t (*tokenize_pair)(const struct perilune_engine_model *m, const char *question, size_t question_len,
                             const char *text, size_t len, int32_t *out, size_t room);
    /* The bytes that a token stands for: at most facts.longest.  Returns how many, 0 for one without. */
    size_t (*piece)(const struct perilune_engine_model *m, int32_t token, unsigned flags, char *out, size_t room);
    /* Does an answer end with this token? */
    bool   (*is_end)(const struct perilune_engine_model *m, int32_t token);

    /* Row `seq` is empty. */
    int  (*seq_start)(struct perilune_engine_model *m, uint32_t seq);
    /* Row `to`, which is empty, becomes the first n positions of row `from`. */
    int  (*seq_copy)(struct perilune_engine_model *m, uint32_t from, uint32_t to, uint32_t n);
    /* Row `seq` keeps its first n positions. */
    int  (*seq_cut)(struct perilune_engine_model *m, uint32_t seq, uint32_t n);
    /* Computes count (1 ... facts.batch) tokens.  0, PERILUNE_ENGINE_FULL, _CANCELED, _SHORT, or an error, after which
     * the model is of no use any more until it recovers. */
    int  (*step)(struct perilune_engine_model *m, const struct perilune_engine_token *tokens, size_t count);
    /* What comes behind the i-th token of the last step, which was `wanted`: facts.vocab numbers, which the caller may
     * change.  Borrowed until the next step.  NULL: there is no such thing. */
    float *(*logits)(struct perilune_engine_model *m, size_t i);

    /* Vectors of `count` texts (facts.sequences at most) whose tokens stand one behind the other, lens[i] of each, in
     * all at most facts.batch: count * facts.width numbers into out.  0, PERILUNE_ENGINE_CANCELED, _SHORT, or an
     * error. */
    int  (*embed)(struct perilune_engine_model *m, const int32_t *tokens, const uint32_t *lens, size_t count,
                  float *out);

    /* The model is as it was loaded: all rows are empty, facts are the same ones.  Other threads ask for tokens and
     * pieces meanwhile.  0, PERILUNE_ERR_AGAIN (under way: ask again in some milliseconds), or another error, with a
     * sentence.  NULL: such an engine stays as it is. */
    int  (*recover)(struct perilune_engine_model *m, char *why, size_t why_size);

    /* [any] */
    void (*cancel)(struct perilune_engine_model *m);
};

#ifdef __cplusplus
}
#endif

#endif
