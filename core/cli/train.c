/* train.c -- perilune train: from outcomes to a model for route_smart or route_intent.
 *
 *     FILE.jsonl --> cross-validated (what it is worth, printed) --> trained on all --> calibrated --> MODEL
 *
 * A score of the model that was trained on all means what scores out of fold meant: those were of prompts that were
 * not learned from, as all prompts of the service will be.
 *
 * --from MODEL goes on with a model, one pass, without forgetting it: so outcomes may come in day by day.  Then the
 * new lines are judged by the model as it was, before it learns from them.
 *
 * Thread: one, a program of its own. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/files.h"
#include "cli/learn.h"

struct training {
    struct learn      l;
    const char       *output, *from;
    struct buf        bytes;   /* of `from` */
    struct model     *model;   /* the same, open */
    struct trainer   *trainer;
    struct calibrated values[MODEL_OUTPUTS], rank;
};

static int read_model(struct training *t) {
    char text[FILES_WHY];
    struct failure f;
    const char *why = files_read(t->from, &t->bytes, text);
    if (why != NULL) return learn_fail(&t->l, "--from %s: %s", t->from, why);
    failure_init(&f);
    int rc = model_open(&t->model, buf_get(&t->bytes), &f);
    if (rc != 0)
        fprintf(stderr, "%s: %s: %s\n", t->l.command, t->from,
                rc == PERILUNE_ERR_INVAL ? f.message : "out of memory");
    failure_deinit(&f);
    return rc != 0;
}

/* Does it tell apart the same as the lines do? */
static int check_model(struct training *t) {
    struct learn *l = &t->l;
    bool route = l->in.kind == OUTCOMES_OF_MODELS;
    if ((model_kind(t->model) == MODEL_ROUTE) != route || model_outputs(t->model) != l->outputs)
        return learn_fail(l, "--from %s is a model of something else (%s, %u outputs)", t->from,
                          model_kind(t->model) == MODEL_ROUTE ? "models" : "labels", model_outputs(t->model));
    for (unsigned i = 0; i < (route ? 2 : l->outputs); i++) {
        const char *is = model_name(t->model, i), *name = route ? l->in.model[l->pair[i]] : l->in.label[i];
        if (strcmp(is, name) != 0)
            return learn_fail(l, "--from %s has '%s' where these lines have '%s'; train anew, or order them alike",
                              t->from, is, name);
    }
    return 0;
}

static int go_on(struct training *t) {
    struct learn *l = &t->l;
    struct features *f = mem_alloc(sizeof(*f));
    if (f == NULL) return learn_fail(l, "out of memory");
    for (size_t i = 0; i < l->count; i++) {
        features_read(f, l->items[i].text, l->items[i].turns);
        model_scores(t->model, f, l->scores + i * l->outputs);
    }
    mem_free(f);
    l->fit.epochs = 1;
    t->trainer = trainer_from(t->model, 0);
    int rc = t->trainer != NULL ? fit_more(t->trainer, l->items, l->count, &l->fit) : PERILUNE_ERR_NOMEM;
    return rc == 0 ? 0 : learn_fail(l, "out of memory");
}

/* Scores out of fold are told from the average of what was learned; this model's begins somewhere else. */
static int begin(struct training *t) {
    struct learn *l = &t->l;
    double means[MODEL_OUTPUTS];
    int rc = learn_cross_validate(l);
    if (rc != 0) return rc;
    rc = l->fit.words < 0 ? fit_choose(&l->fit, l->items, l->count) : 0;
    if (rc == 0) rc = fit_train(&t->trainer, l->items, l->count, &l->fit);
    if (rc == 0) rc = fit_means(means, t->trainer, l->items, l->count, l->outputs);
    if (rc != 0) return learn_fail(l, "out of memory");
    for (size_t i = 0; i < l->count * l->outputs; i++) l->scores[i] += (float)means[i % l->outputs];
    return 0;
}

static int save(struct training *t) {
    struct learn *l = &t->l;
    char names[MODEL_OUTPUTS][MODEL_NAME] = { { 0 } }, temp[1100];
    bool route = l->in.kind == OUTCOMES_OF_MODELS;
    struct buf file;
    for (unsigned i = 0; i < (route ? 2 : l->outputs); i++)
        snprintf(names[i], MODEL_NAME, "%s", route ? l->in.model[l->pair[i]] : l->in.label[i]);
    struct model_parts p = { .kind = route ? MODEL_ROUTE : MODEL_INTENT, .names = (const char (*)[MODEL_NAME])names,
                             .value = t->values, .rank = route ? &t->rank : NULL,
                             .examples = (uint32_t)l->count + (t->model != NULL ? model_examples(t->model) : 0) };
    trainer_parts(t->trainer, &p);
    buf_init(&file, 0);
    model_write(&p, &file);
    snprintf(temp, sizeof(temp), "%s.new", t->output);
    const char *why = buf_failed(&file) ? "out of memory" : files_write(temp, &file);
    if (why == NULL && rename(temp, t->output) != 0) {
        why = "cannot be moved to its place";
        unlink(temp);
    }
    if (why != NULL) fprintf(stderr, "%s: %s: %s\n", l->command, t->output, why);
    else printf("%s: %zu bytes; words count %g.  Use it with\n    %s, model = \"%s\" }\n", t->output, buf_len(&file),
                (double)p.words, route ? "{ \"route_smart\", small = UPSTREAM, big = UPSTREAM"
                                       : "{ \"route_intent\", intents = { ... }", t->output);
    buf_deinit(&file);
    return why != NULL;
}

static int train(struct training *t) {
    struct learn *l = &t->l;
    int rc = learn_open(l);
    if (rc == 0 && t->from != NULL) rc = read_model(t);
    if (rc == 0 && t->from != NULL) rc = check_model(t);
    if (rc == 0) rc = t->from != NULL ? go_on(t) : begin(t);
    if (rc == 0) rc = learn_calibrate(l, t->values);
    if (rc == 0 && l->in.kind == OUTCOMES_OF_MODELS && calibrated_fit_quantiles(&t->rank, l->scores, l->count) != 0)
        rc = learn_fail(l, "out of memory");
    if (rc == 0) printf("judged by %s:\n", t->from != NULL ? "the model as it was" : "what the other folds taught");
    if (rc == 0) rc = learn_report(l, t->values);
    return rc == 0 ? save(t) : rc;
}

PERILUNE_API int perilune_tool_train(int argc, char **argv) {
    static struct training t; /* some hundred kilobytes: not on the stack */
    learn_defaults(&t.l, "perilune train");
    const struct arg table[] = {
        { "output", 'o', ARG_STRING, &t.output, "MODEL", "where the model goes", 0, 0 },
        { "small", 0, ARG_STRING, &t.l.small, "NAME", "the small model's name in the lines", 0, 0 },
        { "big", 0, ARG_STRING, &t.l.big, "NAME", "the big one's (default: of two the dearer one)", 0, 0 },
        { "from", 0, ARG_STRING, &t.from, "MODEL", "go on with this model instead of beginning anew", 0, 0 },
        { "folds", 0, ARG_INT, &t.l.folds, "N", "of the cross-validation, 2 to 20 (5)", 2, FIT_FOLDS },
        { "epochs", 0, ARG_INT, &t.l.epochs, "N", "passes over the lines, 1 to 50 (5)", 1, 50 },
        { "words", 0, ARG_NUMBER, &t.l.words, "X",
          "what words count against length and form, 0 to 10 (default: tried out)", 0, 10 },
        { "bits", 0, ARG_INT, &t.l.bits, "N", "2^N buckets, 8 to 18 (18; with labels 14)", 8, MODEL_BITS },
        { "svg", 0, ARG_STRING, &t.l.svg, "FILE", "the curve as a picture", 0, 0 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    struct args a = {
        .command = t.l.command,
        .usage = "[options] FILE.jsonl -o MODEL",
        .about = "Trains the classifier of route_smart, or of route_intent, on outcomes (-: standard input).\n"
                 "A line is what models made of a prompt,\n"
                 "    {\"prompt\": \"...\", \"models\": {\"small\": {\"quality\": 0.4, \"cost\": 0.0001},\n"
                 "     \"big\": {\"quality\": 1, \"cost\": 0.004}}, \"group\": \"law\"}\n"
                 "quality from 0 to 1, cost in USD; or what a prompt is,\n"
                 "    {\"prompt\": \"...\", \"label\": \"greeting\"}      null: none of the labels\n"
                 "\"messages\" may stand in the place of \"prompt\".  Lines of one group (a subject, a user) are\n"
                 "never on both sides of the cross-validation, which says what the model is worth.\n"
                 "Exit status 0: written, 1: could not be read or written, 2: wrong usage.",
        .table = table,
        .words = &t.l.file,
        .max_words = 1,
    };
    int rc = args_parse(&a, argc, argv);
    if (rc != ARGS_OK) return args_status(rc);
    if (a.word_count == 0) return args_fail(&a, "give it a FILE.jsonl, or - for the standard input");
    if (t.output == NULL) return args_fail(&a, "say where the model goes: -o MODEL");
    if (strlen(t.output) > 1000) return args_fail(&a, "--output is too long");
    buf_init(&t.bytes, 64u << 20);
    rc = train(&t);
    trainer_free(t.trainer);
    model_close(t.model);
    buf_deinit(&t.bytes);
    learn_close(&t.l);
    return rc;
}
