/* cache.c -- perilune cache: what the semantic cache has to learn of one's own traffic.
 *
 *     perilune cache calibrate FILE.jsonl [options]
 *
 *     lines --> questions, each once --> normal form --> n-grams counted --> embedded (table; or vectors of a URL)
 *                                                                                 |
 *     curve <-- pair_model_train() <-- pairs of questions <-----------------------+
 *
 * Lines are pairs that people have judged, or questions as they came.  From judged pairs a model is trained.
 * Questions alone do not say which of them are the same; only that most neighbours are not: for these the model
 * that ships stays as it is, and gets the curve of what it says of each question's nearest other one.
 *
 * Thread: one, a program of its own. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/args.h"
#include "cli/files.h"
#include "cli/table.h"
#include "cli/vectors.h"
#include "semantic/normal.h"
#include "semantic/pair.h"
#include "semantic/semantic.h"
#include "store/index.h"

#define MAX_FILE  (1u << 30)
#define NEIGHBOURS 4
#define GRAM_BITS 20

struct calibrating {
    const char *file, *output, *embedder, *model, *key_env, *prefix;
    double      max_false;
    bool        is_url, fresh;
    struct buf  bytes;               /* of the file; questions are decoded into `texts` */
    struct arena arena;
    struct question *questions;      /* each once */
    unsigned    count, cap;
    uint32_t   *places;              /* a hash table of questions, twice as large at least: index + 1 */
    unsigned    place_bits;
    struct pair_line *lines;
    unsigned    line_count, line_cap;
    unsigned    alone;               /* lines with a question, not a pair */
    unsigned    repeats;             /* of questions that had been asked before */
    struct buf  table_bytes;
    struct static_table *table;      /* of a file, or NULL */
    struct gram_counts *counts;
    float      *vectors;
    unsigned    dims;
};

struct question {
    struct slice         text, normal;
    struct embedded_text embedded;
};

struct pair_line {
    uint32_t a, b;
    float    same;
};

static int fail(const struct calibrating *c, unsigned line, const char *what) {
    if (line > 0) fprintf(stderr, "perilune cache calibrate: %s:%u: %s\n", c->file, line, what);
    else fprintf(stderr, "perilune cache calibrate: %s: %s\n", c->file, what);
    return 1;
}

/* -- Progress ------------------------------------------------------------------------------------ */

static void say(void *ud, const char *what, unsigned done, unsigned of) {
    (void)ud;
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[K%s %u of %u%s", what, done, of, done == of ? "\n" : "");
    else if (done == of) fprintf(stderr, "%s: %u of %u\n", what, done, of);
}

static void say_vectors(void *ud, size_t done, size_t of) {
    say(ud, "embedding the questions", (unsigned)done, (unsigned)of);
}

/* -- Files ----------------------------------------------------------------------------------------- */

static int read_file(const char *path, struct buf *to) {
    char text[FILES_WHY];
    const char *why = files_read(path, to, text);
    if (why != NULL) fprintf(stderr, "perilune cache calibrate: %s: %s\n", path, why);
    return why != NULL;
}

/* Beside its place first: what exists is whole. */
static int write_file(const char *path, const struct buf *from) {
    char temp[1100];
    snprintf(temp, sizeof(temp), "%s.new", path);
    const char *why = files_write(temp, from);
    if (why == NULL && rename(temp, path) == 0) return 0;
    fprintf(stderr, "perilune cache calibrate: %s: %s\n", path, why != NULL ? why : strerror(errno));
    if (why == NULL) unlink(temp);
    return 1;
}

/* -- Lines -------------------------------------------------------------------------------------------- */

static uint64_t hash_of(struct slice s) {
    static const struct hash_key key = { 3, 4 };
    return hash64(&key, s);
}

static int grow_places(struct calibrating *c) {
    unsigned bits = c->place_bits + (c->place_bits == 0 ? 12 : 1);
    uint32_t *places = mem_zalloc(((size_t)1 << bits) * sizeof(*places));
    if (places == NULL) return PERILUNE_ERR_NOMEM;
    for (uint32_t i = 0; i < c->count; i++) {
        uint64_t at = hash_of(c->questions[i].text);
        while (places[at & ((1u << bits) - 1)] != 0) at++;
        places[at & ((1u << bits) - 1)] = i + 1;
    }
    mem_free(c->places);
    c->places = places;
    c->place_bits = bits;
    return 0;
}

/* The number of a question, which is new or not. */
static int find_question(struct calibrating *c, struct slice text, uint32_t *number) {
    if ((c->place_bits == 0 || c->count * 2 >= 1u << c->place_bits) && grow_places(c) != 0) return PERILUNE_ERR_NOMEM;
    uint64_t at = hash_of(text), mask = ((uint64_t)1 << c->place_bits) - 1;
    for (; c->places[at & mask] != 0; at++) {
        *number = c->places[at & mask] - 1;
        if (slice_eq(c->questions[*number].text, text)) return 0;
    }
    if (!mem_grow((void **)&c->questions, c->count, &c->cap, sizeof(*c->questions))) return PERILUNE_ERR_NOMEM;
    char *copy = arena_dup(&c->arena, text);
    if (copy == NULL) return PERILUNE_ERR_NOMEM;
    struct question *q = &c->questions[c->count];
    *q = (struct question){ .text = slice_of(copy, text.len) };
    embedded_text_init(&q->embedded);
    *number = c->count++;
    c->places[at & mask] = c->count;
    return 0;
}

/* A question out of a line; NULL, or what is wrong with it. */
static const char *take_question(struct calibrating *c, const struct json_doc *doc, struct slice key,
                                 uint32_t *number) {
    uint32_t i = json_get(doc, 0, key);
    struct buf text;
    if (!json_is(doc, i, JSON_STRING)) return "";
    buf_init(&text, 0);
    json_decode_string(doc, i, &text);
    const char *why = NULL;
    if (buf_len(&text) == 0) why = "a question is empty";
    if (buf_len(&text) > SEMANTIC_MAX_TEXT)
        why = "a question has over 4096 bytes, which is never compared: take it out";
    if (why == NULL && (buf_failed(&text) || find_question(c, buf_get(&text), number) != 0)) why = "out of memory";
    buf_deinit(&text);
    return why;
}

static const char wanted[] =
    "needs {\"a\": \"...\", \"b\": \"...\", \"same\": true or false}, or {\"question\": \"...\"}";

static const char *take_pair(struct calibrating *c, const struct json_doc *doc) {
    struct pair_line l = { 0 };
    const char *why = take_question(c, doc, SLICE("a"), &l.a);
    if (why == NULL) why = take_question(c, doc, SLICE("b"), &l.b);
    if (why != NULL) return why[0] != '\0' ? why : wanted;
    uint32_t same = json_get(doc, 0, SLICE("same"));
    if (json_is(doc, same, JSON_TRUE)) l.same = 1;
    else if (json_is(doc, same, JSON_NUMBER)) l.same = (float)json_number(doc, same);
    else if (!json_is(doc, same, JSON_FALSE)) return "\"same\" must be true, false, or how sure it is, 0 to 1";
    if (!(l.same >= 0 && l.same <= 1)) return "\"same\" must be true, false, or how sure it is, 0 to 1";
    if (!mem_grow((void **)&c->lines, c->line_count, &c->line_cap, sizeof(*c->lines))) return "out of memory";
    c->lines[c->line_count++] = l;
    return NULL;
}

static const char *take_line(struct calibrating *c, struct slice line) {
    struct json_doc doc = { .text = line };
    struct json_error bad;
    static char message[200];
    const char *why = NULL;
    if (json_parse(&doc, line, &bad) != 0) {
        snprintf(message, sizeof(message), "is no JSON: %s at byte %zu", bad.message, bad.offset + 1);
        why = message;
    } else if (!json_is(&doc, 0, JSON_OBJECT)) {
        why = wanted;
    } else if (json_get(&doc, 0, SLICE("question")) != JSON_NONE) {
        uint32_t number, before = c->count;
        why = take_question(c, &doc, SLICE("question"), &number);
        if (why != NULL && why[0] == '\0') why = "\"question\" must be a string";
        c->alone++;
        c->repeats += why == NULL && number < before;
    } else {
        why = take_pair(c, &doc);
    }
    json_deinit(&doc);
    if (why == NULL && c->alone > 0 && c->line_count > 0)
        why = "has a pair where others have a question, or the other way round; a file has one kind";
    return why;
}

static int read_lines(struct calibrating *c) {
    struct slice rest = json_without_bom(buf_get(&c->bytes));
    for (unsigned number = 1; rest.len > 0; number++) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        struct slice line = slice_of(rest.ptr, len);
        rest = end != NULL ? slice_of(end + 1, rest.len - len - 1) : slice_of(NULL, 0);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
        if (slice_trim(line).len == 0) continue;
        const char *why = take_line(c, line);
        if (why != NULL) return fail(c, number, why);
    }
    if (c->line_count + c->alone > 0) return 0;
    char message[200];
    snprintf(message, sizeof(message), "is empty; a line %s", wanted);
    return fail(c, 0, message);
}

/* -- Embedding -------------------------------------------------------------------------------------------- */

static int open_table(struct calibrating *c) {
    struct failure f;
    if (c->is_url || strcmp(c->embedder, "builtin") == 0) return 0;
    if (read_file(c->embedder, &c->table_bytes) != 0) return 1;
    failure_init(&f);
    int rc = static_table_open(&c->table, buf_get(&c->table_bytes), &f);
    if (rc != 0) fprintf(stderr, "perilune cache calibrate: %s: %s\n", c->embedder, f.message);
    failure_deinit(&f);
    return rc == 0 ? 0 : 1;
}

static int normalize(struct calibrating *c, struct question *q) {
    struct buf normal;
    buf_init(&normal, 0);
    normal_write(q->text, &normal);
    char *copy = buf_failed(&normal) ? NULL : arena_dup(&c->arena, buf_get(&normal));
    q->normal = slice_of(copy, copy != NULL ? buf_len(&normal) : 0);
    buf_deinit(&normal);
    return copy != NULL ? 0 : PERILUNE_ERR_NOMEM;
}

/* Twice: how rare an n-gram is, is known when all have been counted. */
static int embed_all(struct calibrating *c) {
    struct grams g;
    grams_init(&g);
    c->counts = gram_counts_new(GRAM_BITS);
    struct embedder *e = c->counts != NULL ? embedder_new(c->table, c->counts) : NULL;
    int rc = e != NULL ? 0 : PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; rc == 0 && i < c->count; i++) {
        rc = normalize(c, &c->questions[i]);
        if (rc == 0) rc = grams_read(&g, c->questions[i].normal);
        if (rc == 0) gram_counts_add(c->counts, 1, &g, 1);
    }
    for (unsigned i = 0; rc == 0 && i < c->count; i++)
        rc = embedder_embed(e, 1, c->questions[i].normal, &c->questions[i].embedded);
    grams_deinit(&g);
    embedder_free(e);
    return rc == 0 ? 0 : fail(c, 0, "out of memory");
}

static int fetch_vectors(struct calibrating *c) {
    if (!c->is_url) return 0;
    struct vectors_ask ask = { .url = c->embedder, .model = c->model, .key_env = c->key_env, .prefix = c->prefix,
                               .progress = say_vectors };
    char err[1024] = "out of memory";
    struct slice *texts = mem_alloc(c->count * sizeof(*texts));
    int rc = texts != NULL ? 0 : PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; rc == 0 && i < c->count; i++) texts[i] = c->questions[i].text;
    if (rc == 0) rc = vectors_fetch(&ask, texts, c->count, &c->vectors, &c->dims, err, sizeof(err));
    mem_free(texts);
    if (rc != 0) fprintf(stderr, "perilune cache calibrate: %s\n", err);
    return rc == 0 ? 0 : 1;
}

/* -- From questions alone ------------------------------------------------------------------------------------ */

static struct hash128 key_of(uint32_t n) { return (struct hash128){ n + 1, ~(uint64_t)n }; }

/* A pair of each question and its nearest other one. */
static int pair_neighbours(struct calibrating *c) {
    static const struct hash128 part = { 1, 2 };
    struct index_hit hits[NEIGHBOURS];
    struct embedder *e = embedder_new(c->table, NULL);
    unsigned dims = e != NULL ? embedder_dims(e) : 0;
    struct index *x = e != NULL ? index_new(dims, (size_t)4 << 30) : NULL;
    int rc = x != NULL ? 0 : PERILUNE_ERR_NOMEM;
    for (uint32_t i = 0; rc == 0 && i < c->count; i++)
        rc = index_add(x, part, key_of(i), c->questions[i].embedded.vector);
    for (uint32_t i = 0; rc == 0 && i < c->count; i++) {
        unsigned n = index_search(x, part, c->questions[i].embedded.vector, hits, NEIGHBOURS), k = 0;
        while (k < n && slice_eq(c->questions[hits[k].key.low - 1].normal, c->questions[i].normal)) k++;
        if (k == n) continue;
        uint32_t other = (uint32_t)hits[k].key.low - 1;
        if (!mem_grow((void **)&c->lines, c->line_count, &c->line_cap, sizeof(*c->lines))) rc = PERILUNE_ERR_NOMEM;
        else c->lines[c->line_count++] = (struct pair_line){ i, other, 0 };
    }
    index_free(x);
    embedder_free(e);
    return rc == 0 ? 0 : fail(c, 0, "out of memory");
}

/* -- Results ---------------------------------------------------------------------------------------------------- */

static const char *output_of(const struct calibrating *c, char *path, size_t size) {
    if (c->output != NULL) return c->output;
    size_t len = strlen(c->file);
    if (len > 6 && strcmp(c->file + len - 6, ".jsonl") == 0) len -= 6;
    snprintf(path, size, "%.*s.pair", (int)len, strcmp(c->file, "-") == 0 ? "questions" : c->file);
    return path;
}

static void print_curve(const struct pair_curve *curve, double max_false) {
    static const double shown[] = { 0.005, 0.01, 0.02, 0.05 };
    printf("different taken for the same   score from   same found\n");
    for (unsigned i = 0; i < PAIR_CURVE; i++) {
        const struct pair_point *p = &curve->points[i];
        for (unsigned k = 0; k < 4; k++) {
            if (fabs((double)p->share - shown[k]) > 1e-6) continue;
            printf("%27.1f %%   %10.4f   ", 100 * shown[k], (double)p->threshold);
            if (curve->same > 0) printf("%8.1f %%", 100 * (double)p->found);
            else printf("%10s", "-");
            printf("%s\n", fabs(shown[k] - max_false) < 1e-6 ? "   <- --max-false" : "");
        }
    }
}

/* What to write.  The score is none for the option `threshold`, which is of the similarity. */
static void print_usage(const struct calibrating *c, const struct pair_model *m, const char *to, size_t bytes) {
    printf("%s: answers are given from a score of %.4f on, at %g %% false; %zu bytes.  Use it with\n", to,
           (double)pair_threshold(m, c->max_false), 100 * c->max_false, bytes);
    printf("    { \"cache_semantic\", ");
    if (c->table != NULL) printf("embedder = \"%s\", ", c->embedder);
    if (c->is_url) printf("embedder = UPSTREAM, ");
    if (c->prefix[0] != '\0') printf("prefix = \"%s\", ", c->prefix);
    printf("calibration = \"%s\", threshold = \"auto\", max_false = %g }\n", to, c->max_false);
}

static int finish(const struct calibrating *c, const struct pair_model *m) {
    char path[1024];
    struct buf file;
    const struct pair_curve *curve = pair_model_curve(m);
    const char *to = output_of(c, path, sizeof(path));
    print_curve(curve, c->max_false);
    if (curve->different * c->max_false < 5)
        fprintf(stderr, "warning: of %u different pairs %g %% are %.1f, too few to be sure of the threshold\n",
                curve->different, 100 * c->max_false, curve->different * c->max_false);
    buf_init(&file, 0);
    pair_model_write(m, &file);
    int rc = buf_failed(&file) ? fail(c, 0, "out of memory") : write_file(to, &file);
    if (rc == 0) print_usage(c, m, to, buf_len(&file));
    buf_deinit(&file);
    return rc;
}

static struct pair_example *examples_of(const struct calibrating *c) {
    struct pair_example *out = mem_alloc((c->line_count + 1) * sizeof(*out));
    for (unsigned i = 0; out != NULL && i < c->line_count; i++) {
        const struct pair_line *l = &c->lines[i];
        out[i] = (struct pair_example){ .a = &c->questions[l->a].embedded, .b = &c->questions[l->b].embedded,
                                        .same = l->same };
        if (c->vectors == NULL) continue;
        out[i].va = c->vectors + (size_t)l->a * c->dims;
        out[i].vb = c->vectors + (size_t)l->b * c->dims;
    }
    return out;
}

/* What the embedder is called in the model. */
static void name_embedder(const struct calibrating *c, char *out, size_t size) {
    const char *slash = strrchr(c->embedder, '/');
    if (c->is_url) snprintf(out, size, "%s", c->model);
    else if (c->table != NULL) snprintf(out, size, "%s", slash != NULL ? slash + 1 : c->embedder);
    else out[0] = '\0';
}

static int train(const struct calibrating *c, const struct pair_example *examples) {
    char name[PAIR_NAME_MAX];
    struct failure f;
    struct pair_model *m = NULL;
    name_embedder(c, name, sizeof(name));
    struct pair_training how = { .embedder = name, .dims = c->dims, .base = c->fresh ? NULL : pair_model_builtin(),
                                 .progress = say };
    unsigned same = 0;
    for (unsigned i = 0; i < c->line_count; i++) same += examples[i].same >= 0.5f;
    printf("%u pairs of %u questions: %u the same, %u different\n", c->line_count, c->count, same,
           c->line_count - same);
    failure_init(&f);
    int rc = pair_model_train(&m, examples, c->line_count, &how, NULL, &f);
    if (rc == 0) {
        printf("judged by what the other four fifths taught, connected questions together:\n");
        rc = finish(c, m);
    } else {
        rc = fail(c, 0, rc == PERILUNE_ERR_INVAL ? f.message : "out of memory");
    }
    pair_model_close(m);
    failure_deinit(&f);
    return rc;
}

/* The model that ships, with the curve of what came. */
static int recalibrate(const struct calibrating *c, const struct pair_example *examples) {
    const struct pair_model *builtin = pair_model_builtin();
    struct pair_model *m = NULL;
    float *scores = mem_alloc((c->line_count + 1) * sizeof(*scores));
    printf("%u questions, %u different ones, %u repeats.  Questions alone do not say which ask the same: the\n"
           "model that ships is kept, a repeat is the same, and each question's nearest other one is taken for\n"
           "different.  So the thresholds are rather too high than too low.\n", c->alone, c->count, c->repeats);
    int rc = builtin != NULL && scores != NULL ? 0 : PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; rc == 0 && i < c->line_count; i++)
        scores[i] = pair_score(builtin, examples[i].a, examples[i].b, NULL, NULL, 0);
    if (rc == 0) rc = pair_model_recalibrate(&m, builtin, scores, examples, c->line_count);
    mem_free(scores);
    rc = rc == 0 ? finish(c, m) : fail(c, 0, "out of memory");
    pair_model_close(m);
    return rc;
}

static int calibrate(struct calibrating *c) {
    int rc = read_file(c->file, &c->bytes);
    if (rc == 0) rc = read_lines(c);
    if (rc == 0 && c->alone > 0 && strcmp(c->embedder, "builtin") != 0)
        rc = fail(c, 0, "has questions and no pairs; another embedder than the built-in one needs pairs");
    if (rc == 0) rc = open_table(c);
    if (rc == 0) rc = embed_all(c);
    if (rc == 0) rc = fetch_vectors(c);
    if (rc == 0 && c->alone > 0) rc = pair_neighbours(c);
    if (rc != 0) return rc;
    if (c->line_count == 0) return fail(c, 0, "has no two different questions");
    struct pair_example *examples = examples_of(c);
    if (examples == NULL) return fail(c, 0, "out of memory");
    rc = c->alone > 0 ? recalibrate(c, examples) : train(c, examples);
    mem_free(examples);
    return rc;
}

static void calibrating_deinit(struct calibrating *c) {
    for (unsigned i = 0; i < c->count; i++) embedded_text_deinit(&c->questions[i].embedded);
    mem_free(c->questions);
    mem_free(c->places);
    mem_free(c->lines);
    mem_free(c->vectors);
    static_table_close(c->table);
    gram_counts_free(c->counts);
    buf_deinit(&c->table_bytes);
    buf_deinit(&c->bytes);
    arena_deinit(&c->arena);
    pair_model_forget_builtin();
}

/* -- Arguments ---------------------------------------------------------------------------------------------- */

static int cmd_calibrate(int argc, char **argv) {
    struct calibrating c = { .embedder = "builtin", .prefix = "", .max_false = 0.01 };
    const struct arg table[] = {
        { "embedder", 'e', ARG_STRING, &c.embedder, "WHICH",
          "builtin (default), a file of a table, or the base URL of an upstream (https://.../v1)", 0, 0 },
        { "model", 'm', ARG_STRING, &c.model, "NAME", "of the embedder at that URL", 0, 0 },
        { "key-env", 'k', ARG_STRING, &c.key_env, "VAR", "the environment variable that holds its key", 0, 0 },
        { "prefix", 'p', ARG_STRING, &c.prefix, "TEXT",
          "put before each question, as some models want (\"query: \")", 0, 0 },
        { "max-false", 'f', ARG_NUMBER, &c.max_false, "SHARE",
          "of different pairs that may be taken for the same, 0.001 to 0.5 (0.01)", 0.001, 0.5 },
        { "fresh", 0, ARG_FLAG, &c.fresh, NULL, "begin with nothing, not with the model that ships", 0, 0 },
        { "output", 'o', ARG_STRING, &c.output, "FILE", "the model (default: FILE with .pair for .jsonl)", 0, 0 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    struct args a = {
        .command = "perilune cache calibrate",
        .usage = "[options] FILE.jsonl",
        .about = "Fits the pair model of the semantic cache, which judges whether two questions ask the\n"
                 "same, and its thresholds to FILE (-: standard input).  A line is a pair that was judged,\n"
                 "    {\"a\": \"...\", \"b\": \"...\", \"same\": true}\n"
                 "of which there should be some hundreds, the same and different; the different ones best\n"
                 "such as look alike.  Or a line is a question as it came, {\"question\": \"...\"}: then\n"
                 "only thresholds are fitted.  Prints how many are found at which share of errors, among\n"
                 "pairs that were not learned from, and writes the model.\n"
                 "Exit status 0: written, 1: could not be read, fetched or written, 2: wrong usage.",
        .table = table,
        .words = &c.file,
        .max_words = 1,
    };
    int rc = args_parse(&a, argc, argv);
    if (rc != ARGS_OK) return args_status(rc);
    if (a.word_count == 0) return args_fail(&a, "give it a FILE.jsonl, or - for the standard input");
    c.is_url = strstr(c.embedder, "://") != NULL;
    if (c.is_url && c.model == NULL) return args_fail(&a, "--embedder is a URL: say which --model");
    if (!c.is_url && (c.model != NULL || c.key_env != NULL || c.prefix[0] != '\0'))
        return args_fail(&a, "--model, --key-env and --prefix are for an --embedder that is a URL");
    if (c.output != NULL && strlen(c.output) > 1000) return args_fail(&a, "--output is too long");
    buf_init(&c.bytes, MAX_FILE);
    buf_init(&c.table_bytes, MAX_FILE);
    arena_init(&c.arena);
    rc = calibrate(&c);
    calibrating_deinit(&c);
    return rc;
}

PERILUNE_API int perilune_tool_cache(int argc, char **argv) {
    static const char help[] = "usage: perilune cache calibrate [options] FILE.jsonl\n"
                               "       perilune cache table [options] MODEL.safetensors TOKENIZER.json\n\n"
                               "  calibrate   fit the semantic cache to one's own questions\n"
                               "  table       use a static embedding model of one's own (model2vec, wordllama)\n\n"
                               "perilune cache COMMAND --help says more.\n";
    if (argc > 1 && strcmp(argv[1], "calibrate") == 0) return cmd_calibrate(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "table") == 0) return table_command(argc - 1, argv + 1);
    bool asked = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (argc > 1 && !asked) fprintf(stderr, "perilune cache: no command '%s'\n", argv[1]);
    fputs(help, asked ? stdout : stderr);
    return asked ? 0 : 2;
}
