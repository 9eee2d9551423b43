/* tally.c -- what policies count for operators.
 *
 *     rows: [ kind  label label label  sum ] [ ... ]      in the order in which they were first seen
 *     the first TALLY_KINDS rows are those of what found no room: "other"
 *
 * Names of upstreams and reasons are few, but nobody promises it: rows are bounded, and what comes when all are taken
 * is counted all the same, under no name.  Looked for one by one: a policy counts once or twice a request, and
 * there are a dozen rows.  Rows stay until the process ends, through reloads, as counters must.
 *
 * Thread: any; one lock, held for a look through the rows. */
#include "store/tally.h"

#include <pthread.h>

#include "base/mem.h"

struct row {
    enum tally_kind kind;
    char            labels[TALLY_LABELS][TALLY_LABEL];
    double          value;
    int             used;
};

struct tally {
    pthread_mutex_t lock;
    unsigned        count;
    struct row      rows[TALLY_KINDS + TALLY_ROWS];
};

struct tally *tally_new(void) {
    struct tally *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return NULL;
    if (pthread_mutex_init(&t->lock, NULL) != 0) {
        mem_free(t);
        return NULL;
    }
    t->count = TALLY_KINDS;
    for (int k = 0; k < TALLY_KINDS; k++) t->rows[k].kind = (enum tally_kind)k;
    return t;
}

void tally_free(struct tally *t) {
    if (t == NULL) return;
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

static void make_row(struct row *r, enum tally_kind kind, const char *const *labels) {
    *r = (struct row){ .kind = kind };
    for (int i = 0; i < TALLY_LABELS; i++)
        slice_copy(r->labels[i], TALLY_LABEL, slice_str(labels[i] != NULL ? labels[i] : ""));
}

static struct row *find(struct tally *t, const struct row *wanted) {
    for (unsigned i = TALLY_KINDS; i < t->count; i++) {
        struct row *r = &t->rows[i];
        if (r->kind == wanted->kind && strcmp(r->labels[0], wanted->labels[0]) == 0 &&
            strcmp(r->labels[1], wanted->labels[1]) == 0 && strcmp(r->labels[2], wanted->labels[2]) == 0)
            return r;
    }
    if (t->count < TALLY_KINDS + TALLY_ROWS) {
        t->rows[t->count] = *wanted;
        return &t->rows[t->count++];
    }
    for (int i = 0; i < TALLY_LABELS; i++)
        if (wanted->labels[i][0] != '\0') slice_copy(t->rows[wanted->kind].labels[i], TALLY_LABEL, SLICE("other"));
    return &t->rows[wanted->kind];
}

void tally_add(struct tally *t, enum tally_kind kind, const char *const *labels, double value) {
    struct row wanted;
    make_row(&wanted, kind, labels);
    pthread_mutex_lock(&t->lock);
    struct row *r = find(t, &wanted);
    r->value += value;
    r->used = 1;
    pthread_mutex_unlock(&t->lock);
}

void tally_each(struct tally *t, enum tally_kind kind,
                void (*fn)(void *ud, const char (*labels)[TALLY_LABEL], double value), void *ud) {
    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < t->count; i++)
        if (t->rows[i].kind == kind && t->rows[i].used)
            fn(ud, (const char (*)[TALLY_LABEL])t->rows[i].labels, t->rows[i].value);
    pthread_mutex_unlock(&t->lock);
}
