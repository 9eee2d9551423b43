/* pair.c -- do two questions ask the same: what is found, what is mistaken, for pair.lua.
 *
 *     bench_pair PAIRS.tsv WHAT [VECTORS.f32 TEXTS]
 *
 * PAIRS: question, tab, question, tab, 1 (the same) or 0.  WHAT is "plain": cosines and the model that ships,
 * which was trained on nothing of this; "calibrated": each fifth judged by what the others taught, on top of the
 * model that ships; or "fresh": the same on top of nothing.  VECTORS: of another embedder, a row for each line of
 * TEXTS.
 *
 * A line for each way to judge: its name ("alone" is the model, "shipped" the same steadied, as the cache has it),
 * then how many per mille of those that are the same are found when at most 5, 10, 20 and 50 per mille of those that
 * are different are taken for the same. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "semantic/normal.h"
#include "semantic/pair.h"
#include "semantic/steady.h"

struct question {
    char                *text; /* as it is written */
    struct buf           normal;
    struct embedded_text embedded;
    const float         *vector;
};

struct pairs {
    struct question     *questions; /* two for each pair */
    struct pair_example *examples;
    size_t               count, cap;
};

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void add(struct pairs *p, char *a, char *b, float same) {
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 1024;
        p->questions = realloc(p->questions, 2 * p->cap * sizeof(*p->questions));
        p->examples = realloc(p->examples, p->cap * sizeof(*p->examples));
        if (p->questions == NULL || p->examples == NULL) exit(1);
    }
    memset(&p->questions[2 * p->count], 0, 2 * sizeof(*p->questions));
    p->questions[2 * p->count].text = strdup(a);
    p->questions[2 * p->count + 1].text = strdup(b);
    p->examples[p->count++] = (struct pair_example){ .same = same };
}

static void read_pairs(struct pairs *p, const char *path) {
    char line[1 << 16];
    FILE *f = fopen(path, "r");
    if (f == NULL) exit(1);
    while (fgets(line, sizeof(line), f) != NULL) {
        char *b = strchr(line, '\t'), *label = b != NULL ? strchr(b + 1, '\t') : NULL;
        if (label == NULL) continue;
        *b = *label = '\0';
        add(p, line, b + 1, label[1] == '1' ? 1 : 0);
    }
    fclose(f);
}

/* Returns who made them. */
static struct embedder *embed(struct pairs *p) {
    static struct gram_counts *counts;
    counts = gram_counts_new(20);
    struct embedder *e = embedder_new(NULL, counts);
    if (e == NULL) exit(1);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < 2 * p->count; i++) {
            struct question *q = &p->questions[i];
            if (pass == 0) normal_write(slice_str(q->text), &q->normal);
            if (embedder_embed(e, 1, buf_get(&q->normal), &q->embedded) != 0) exit(1);
            struct grams g;
            grams_init(&g);
            if (pass == 0 && grams_read(&g, buf_get(&q->normal)) == 0) gram_counts_add(counts, 1, &g, 1);
            grams_deinit(&g);
        }
    }
    for (size_t i = 0; i < p->count; i++) {
        p->examples[i].a = &p->questions[2 * i].embedded;
        p->examples[i].b = &p->questions[2 * i + 1].embedded;
    }
    return e;
}

/* -- Vectors of another embedder ------------------------------------------------------------- */

struct line {
    char  *text;
    size_t row;
};

static int by_text(const void *a, const void *b) {
    const struct line *x = a, *y = b;
    return strcmp(x->text, y->text);
}

static unsigned read_vectors(struct pairs *p, const char *vectors, const char *texts) {
    char text[1 << 16];
    struct line *lines = NULL;
    size_t count = 0;
    FILE *f = fopen(texts, "r"), *v = fopen(vectors, "rb");
    if (f == NULL || v == NULL) exit(1);
    while (fgets(text, sizeof(text), f) != NULL) {
        text[strcspn(text, "\n")] = '\0';
        if (count % 4096 == 0) lines = realloc(lines, (count + 4096) * sizeof(*lines));
        lines[count] = (struct line){ strdup(text), count };
        count++;
    }
    fclose(f);
    fseek(v, 0, SEEK_END);
    size_t size = (size_t)ftell(v), dims = count > 0 ? size / 4 / count : 0;
    float *all = malloc(size + 1);
    rewind(v);
    if (all == NULL || dims == 0 || fread(all, 1, size, v) != size) exit(1);
    fclose(v);
    qsort(lines, count, sizeof(*lines), by_text);
    for (size_t i = 0; i < 2 * p->count; i++) {
        struct line key = { p->questions[i].text, 0 }, *hit = bsearch(&key, lines, count, sizeof(*lines), by_text);
        if (hit == NULL) {
            fprintf(stderr, "no vector for: %s\n", key.text);
            exit(1);
        }
        p->questions[i].vector = all + hit->row * dims;
    }
    for (size_t i = 0; i < p->count; i++) {
        p->examples[i].va = p->questions[2 * i].vector;
        p->examples[i].vb = p->questions[2 * i + 1].vector;
    }
    return (unsigned)dims;
}

/* -- Judging ------------------------------------------------------------------------------------ */

static void show(const char *name, const struct pairs *p, const float *scores) {
    struct pair_curve c;
    if (pair_curve_of(scores, p->examples, p->count, &c) != 0) exit(1);
    printf("%s", name);
    for (unsigned i = 0; i < PAIR_CURVE; i++) {
        unsigned mille = (unsigned)lround((double)c.points[i].share * 1000);
        if (mille == 5 || mille == 10 || mille == 20 || mille == 50) printf(" %.0f", (double)c.points[i].found * 1000);
    }
    printf("\n");
}

static float dot(const float *a, const float *b, unsigned n) {
    float sum = 0;
    for (unsigned i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* As the cache does it, of a pair without neighbours. */
static float steadied(const struct pair_model *m, const struct embedder *e, const struct pair_example *x) {
    return steady_score(pair_score(m, x->a, x->b, NULL, NULL, 0), embedder_similarity(e, x->a, x->b), 0,
                        x->a->normal.len, x->b->normal.len);
}

static void plain(const struct pairs *p, const struct embedder *e, float *scores) {
    unsigned dims = static_table_dims(static_table_builtin());
    for (size_t i = 0; i < p->count; i++) scores[i] = grams_cosine(&p->examples[i].a->grams, &p->examples[i].b->grams);
    show("n-grams", p, scores);
    for (size_t i = 0; i < p->count; i++) scores[i] = dot(p->examples[i].a->meaning, p->examples[i].b->meaning, dims);
    show("table", p, scores);
    const struct pair_model *m = pair_model_builtin();
    if (m == NULL) exit(1);
    double start = now_us();
    for (size_t i = 0; i < p->count; i++)
        scores[i] = pair_score(m, p->examples[i].a, p->examples[i].b, NULL, NULL, 0);
    show("alone", p, scores);
    start = now_us();
    for (size_t i = 0; i < p->count; i++) scores[i] = steadied(m, e, &p->examples[i]);
    double us = (now_us() - start) / (double)p->count;
    show("shipped", p, scores);
    size_t over = 0, same = 0, found = 0;
    float threshold = pair_threshold(m, 0.01);
    for (size_t i = 0; i < p->count; i++) {
        bool is_same = p->examples[i].same >= 0.5f, taken = scores[i] >= threshold;
        same += is_same;
        over += !is_same && taken;
        found += is_same && taken;
    }
    printf("microseconds %.1f\n", us);
    printf("threshold %.4f found %.0f wrong %.0f\n", (double)threshold, 1000.0 * (double)found / (double)same,
           1000.0 * (double)over / (double)(p->count - same));
}

static void say(void *ud, const char *what, unsigned done, unsigned of) {
    (void)ud;
    fprintf(stderr, "%s %u of %u\n", what, done, of);
}

static void calibrated(const struct pairs *p, float *scores, unsigned dims, bool fresh) {
    struct pair_training how = { .embedder = dims > 0 ? "another" : NULL, .dims = dims,
                                 .base = fresh ? NULL : pair_model_builtin(),
                                 .progress = getenv("VERBOSE") != NULL ? say : NULL };
    struct pair_model *m;
    struct failure f;
    failure_init(&f);
    double start = now_us();
    if (pair_model_train(&m, p->examples, p->count, &how, scores, &f) != 0) {
        fprintf(stderr, "%s\n", f.message);
        exit(1);
    }
    printf("seconds %.1f\n", (now_us() - start) / 1e6);
    show(dims > 0 ? "vectors" : fresh ? "fresh" : "calibrated", p, scores);
    pair_model_close(m);
}

int main(int argc, char **argv) {
    struct pairs p = { 0 };
    if (argc < 3) return 1;
    read_pairs(&p, argv[1]);
    struct embedder *e = embed(&p);
    float *scores = malloc((p.count + 1) * sizeof(*scores));
    unsigned dims = argc > 4 ? read_vectors(&p, argv[3], argv[4]) : 0;
    if (strcmp(argv[2], "plain") == 0) plain(&p, e, scores);
    else calibrated(&p, scores, dims, strcmp(argv[2], "fresh") == 0);
    return 0;
}
