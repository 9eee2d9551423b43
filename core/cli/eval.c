/* eval.c -- perilune eval: what a classifier is worth on outcomes.
 *
 * With a MODEL it is the judge of lines that it should not have seen; without one, models are trained on some folds
 * of the lines and judge the others: what `perilune train` would get out of such lines.
 *
 * Thread: one, a program of its own. */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/files.h"
#include "cli/learn.h"

static int read_file(const struct learn *l, const char *path, struct buf *to) {
    char text[FILES_WHY];
    const char *why = files_read(path, to, text);
    return why != NULL ? learn_fail(l, "%s: %s", path, why) : 0;
}

static int check(const struct learn *l, const struct model *m, const char *path) {
    bool route = l->in.kind == OUTCOMES_OF_MODELS;
    if ((model_kind(m) == MODEL_ROUTE) != route)
        return learn_fail(l, "%s is a model of %s, these lines have %s", path, route ? "labels" : "models",
                          route ? "models" : "labels");
    for (unsigned k = 0; !route && k < l->outputs; k++) {
        unsigned i = 0;
        while (i < model_outputs(m) && strcmp(model_name(m, i), l->in.label[k]) != 0) i++;
        if (i == model_outputs(m)) return learn_fail(l, "%s has no label '%s'", path, l->in.label[k]);
    }
    return 0;
}

/* The model's output for an output of the lines. */
static unsigned output_of(const struct learn *l, const struct model *m, unsigned k) {
    unsigned i = 0;
    if (l->in.kind == OUTCOMES_OF_MODELS) return 0;
    while (strcmp(model_name(m, i), l->in.label[k]) != 0) i++;
    return i;
}

static int ask(struct learn *l, const struct model *m) {
    struct features *f = mem_alloc(sizeof(*f));
    float scores[MODEL_OUTPUTS];
    double off = 0;
    if (f == NULL) return learn_fail(l, "out of memory");
    for (size_t i = 0; i < l->count; i++) {
        features_read(f, l->items[i].text, l->items[i].turns);
        model_scores(m, f, scores);
        for (unsigned k = 0; k < l->outputs; k++) l->scores[i * l->outputs + k] = scores[output_of(l, m, k)];
        off += (double)(model_value(m, 0, scores[0]) - (2 * l->targets[i] - 1));
    }
    mem_free(f);
    if (l->in.kind == OUTCOMES_OF_MODELS)
        printf("judged by the model, which expects %+.4f of quality lost by the small one more than there is\n",
               off / (double)l->count);
    return 0;
}

static int with_model(struct learn *l, const char *path) {
    struct model *m = NULL;
    struct calibrated values[MODEL_OUTPUTS];
    struct buf bytes;
    struct failure why;
    failure_init(&why);
    buf_init(&bytes, 64u << 20);
    int rc = read_file(l, path, &bytes);
    if (rc == 0 && (rc = model_open(&m, buf_get(&bytes), &why)) != 0)
        fprintf(stderr, "%s: %s: %s\n", l->command, path, rc == PERILUNE_ERR_INVAL ? why.message : "out of memory");
    if (rc == 0) rc = check(l, m, path);
    if (rc == 0) rc = ask(l, m);
    for (unsigned k = 0; rc == 0 && k < l->outputs; k++) model_calibration(m, output_of(l, m, k), &values[k]);
    if (rc == 0) rc = learn_report(l, values);
    model_close(m);
    failure_deinit(&why);
    buf_deinit(&bytes);
    return rc != 0;
}

static int without_model(struct learn *l) {
    struct calibrated values[MODEL_OUTPUTS];
    int rc = learn_cross_validate(l);
    if (rc == 0) rc = learn_calibrate(l, values);
    if (rc != 0) return rc;
    printf("judged by what the other %u of %u folds taught%s:\n", l->fit.folds - 1, l->fit.folds,
           l->in.grouped ? ", groups kept together" : "");
    return learn_report(l, values);
}

PERILUNE_API int perilune_tool_eval(int argc, char **argv) {
    struct learn l;
    const char *words[2] = { NULL, NULL };
    learn_defaults(&l, "perilune eval");
    const struct arg table[] = {
        { "small", 0, ARG_STRING, &l.small, "NAME", "the small model's name in the lines", 0, 0 },
        { "big", 0, ARG_STRING, &l.big, "NAME", "the big one's (default: of two the dearer one)", 0, 0 },
        { "folds", 0, ARG_INT, &l.folds, "N", "of the cross-validation, 2 to 20 (5)", 2, FIT_FOLDS },
        { "epochs", 0, ARG_INT, &l.epochs, "N", "passes over the lines, 1 to 50 (5)", 1, 50 },
        { "words", 0, ARG_NUMBER, &l.words, "X",
          "what words count against length and form, 0 to 10 (default: tried out)", 0, 10 },
        { "bits", 0, ARG_INT, &l.bits, "N", "2^N buckets, 8 to 18 (18; with labels 14)", 8, MODEL_BITS },
        { "draws", 0, ARG_INT, &l.draws, "N", "of the bootstrap, 0 to 100000 (1000)", 0, 100000 },
        { "svg", 0, ARG_STRING, &l.svg, "FILE", "the curve as a picture", 0, 0 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    struct args a = {
        .command = l.command,
        .usage = "[options] FILE.jsonl [MODEL]",
        .about = "Prints what choosing between a small and a big model is worth on outcomes (the lines of\n"
                 "`perilune train`): quality and cost for each share of prompts that goes to the big one, and\n"
                 "APGR, the mean part of the gap between both that is recovered, with a 95 % interval (groups\n"
                 "are drawn as wholes).  Of labels, how many are right.  With a MODEL that one judges; without,\n"
                 "each fold of the lines is judged by what the others teach.\n"
                 "Exit status 0: printed, 1: could not be read or written, 2: wrong usage.",
        .table = table,
        .words = words,
        .max_words = 2,
    };
    int rc = args_parse(&a, argc, argv);
    if (rc != ARGS_OK) return args_status(rc);
    if (a.word_count == 0) return args_fail(&a, "give it a FILE.jsonl, or - for the standard input");
    l.file = words[0];
    rc = learn_open(&l);
    if (rc == 0) rc = words[1] != NULL ? with_model(&l, words[1]) : without_model(&l);
    learn_close(&l);
    return rc;
}
