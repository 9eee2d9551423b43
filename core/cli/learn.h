/* learn.h -- what `perilune train` and `perilune eval` share. See learn.c. */
#ifndef PERILUNE_CLI_LEARN_H
#define PERILUNE_CLI_LEARN_H

#include "cli/outcomes.h"
#include "learn/curve.h"
#include "learn/fit.h"

struct learn {
    const char       *command, *file, *small, *big, *svg;
    long              folds, draws, epochs, bits;
    double            words;     /* below 0: chosen */
    struct outcomes   in;
    unsigned          outputs;   /* 1 for a route, else as many as labels */
    uint32_t          pair[2];   /* of a route: the models' numbers */
    unsigned          skipped;   /* lines without one of the two */
    struct fit_item  *items;     /* one for each line that counts */
    uint32_t         *lines;     /* of each item */
    float            *targets;   /* outputs for each */
    size_t            count;
    unsigned          groups;    /* of these items, numbered anew */
    float            *scores;    /* outputs for each */
    struct fit_options fit;
};

void learn_defaults(struct learn *l, const char *command);
/* Reads the file and makes items of its lines.  0, or 1 after saying what is wrong. */
int  learn_open(struct learn *l);
void learn_close(struct learn *l);
int  learn_fail(const struct learn *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Scores of a model that has not seen them.  0, or 1 after saying what is wrong. */
int  learn_cross_validate(struct learn *l);
/* Prints what the scores are worth, and draws the curve.  threshold: of labels, from which on one is told. */
int  learn_report(struct learn *l, const struct calibrated *values);
/* Isotonic regression of each output. values: as many as outputs.  0, or 1 after saying so. */
int  learn_calibrate(struct learn *l, struct calibrated *values);

/* The curve as a picture.  NULL, or why it could not be written. */
const char *curve_svg_write(const char *path, const struct curve *c, const char *small, const char *big);

#endif
