/* outcomes.h -- what became of prompts: the lines that `perilune train` and `perilune eval` read. See outcomes.c. */
#ifndef PERILUNE_CLI_OUTCOMES_H
#define PERILUNE_CLI_OUTCOMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"

#define OUTCOMES_MODELS 16
#define OUTCOMES_LABELS 64
#define OUTCOMES_NAME   64 /* bytes, NUL included */
#define OUTCOMES_NONE   UINT32_MAX

enum outcomes_kind { OUTCOMES_UNKNOWN, OUTCOMES_OF_MODELS, OUTCOMES_OF_LABELS };

struct outcome_mark { /* what a model made of a prompt */
    bool  known;
    float quality, cost;
};

struct outcome {
    struct slice         text;  /* of the last message of the user */
    unsigned             turns;
    uint32_t             group; /* OUTCOMES_NONE while lines are read: none was said */
    uint32_t             label; /* OUTCOMES_NONE: belongs to none */
    struct outcome_mark *marks; /* by model; NULL with labels */
};

struct outcomes_place;

struct outcomes {
    const char        *command, *file; /* for messages */
    enum outcomes_kind kind;
    struct outcome    *list;
    unsigned           count, cap;
    unsigned           groups;        /* each line without one is its own */
    bool               grouped;       /* a line has said one */
    unsigned           models, labels;
    char               model[OUTCOMES_MODELS][OUTCOMES_NAME], label[OUTCOMES_LABELS][OUTCOMES_NAME];
    struct arena       arena;
    struct outcomes_place *places;    /* a hash table of names of groups */
    unsigned           place_bits, named;
};

/* Reads the file ("-": standard input).  0, or 1 after saying what is wrong, with file:line. */
int  outcomes_read(struct outcomes *o, const char *command, const char *file);
void outcomes_deinit(struct outcomes *o);
/* The model's number, or OUTCOMES_NONE. */
uint32_t outcomes_model(const struct outcomes *o, const char *name);

#endif
