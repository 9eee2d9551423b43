/* llama.c -- libllama as an engine (include/perilune_engine.h).
 *
 *     file --facts_vet()--> llama_model (weights, mapped) --> llama_context (rows in one memory)
 *                                        |                                |
 *                                        +-- tokens, pieces               +-- step, logits, vectors
 *
 * The library ends the process when it is asked for something impossible (GGML_ASSERT, which no callback can stop), so
 * nothing reaches it that was not compared with what it said of itself: tokens with the vocabulary, rows and positions
 * with `len`, which repeats what the library knows, batches with their sizes.
 *
 * All rows live in one memory ("unified KV"): a beginning that rows share is shared for nothing, while busy, and how
 * much a row takes is decided by who runs the model.  But every token of a step looks at every position of that memory,
 * be it only to see that it is another row's.  With context_each rows are apart: a token sees its own row alone, which
 * is faster with many, and a beginning is copied.  A row of a model with a recurrent state cannot be cut or shared in
 * the middle; facts.shares says so.
 *
 * What it does not do: sampling and grammars, which are the same for every engine (sampler.c, grammar.c). */
#include "local/llama.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "local/facts.h"
#include "local/llama_library.h"

#define DEFAULT_CELLS 8192 /* positions: enough for several chats, and 200 MB of a small model */
#define ROWS_MAX 256       /* LLAMA_MAX_SEQ */
#define OUT_OF_MEMORY (-2) /* what llama_decode() and llama_encode() return then */
#define PIECE 512          /* tokens that are computed at once: the library's own default */

struct perilune_engine_model {
    const struct llama_calls   *c;
    struct llama_model         *model;
    struct llama_context       *context;
    const struct llama_vocab   *vocab;
    struct llama_memory        *memory; /* NULL: it keeps nothing between calls */
    struct perilune_engine_facts facts;
    struct llama_batch          batch;
    uint32_t                   *len;    /* of each row, in positions */
    size_t                      stepped; /* tokens of the last step */
    bool                        broken; /* an error left the memory in an unknown state, or the file was cut */
    const struct llama_library *library;
    struct llama_context_wish   wish;   /* of the context */
    int                         file;   /* the model's, to see when somebody cuts it; -1: it cannot be looked at */
    off_t                       file_size;
    atomic_bool                 canceled;
    char                        name[160], bos[64], eos[64], note[300];
};

/* -- The file ------------------------------------------------------------------------------ */

static int refuse(char *why, size_t size, const char *path, const char *what) {
    snprintf(why, size, "%s: %s", path, what);
    return PERILUNE_ERR_ENGINE;
}

/* -- Facts --------------------------------------------------------------------------------- */

/* How vectors are made of a text, as the file says: 0 not at all, 4 as a rank. */
static int pooling_of(const struct llama_calls *c, const struct llama_model *m) {
    char arch[64], key[128], value[32];
    if (c->llama_model_meta_val_str(m, "general.architecture", arch, sizeof(arch)) <= 0) return 0;
    snprintf(key, sizeof(key), "%s.pooling_type", arch);
    if (c->llama_model_meta_val_str(m, key, value, sizeof(value)) <= 0) return 0;
    int n = 0;
    return sscanf(value, "%d", &n) == 1 && n >= 0 && n <= 4 ? n : 0;
}

static void read_text(const struct llama_calls *c, const struct llama_vocab *v, int32_t token, char *out, size_t size) {
    const char *text = token >= 0 ? c->llama_vocab_get_text(v, token) : NULL;
    snprintf(out, size, "%s", text ? text : "");
}

static uint32_t longest_piece(struct perilune_engine_model *m) {
    char piece[4096];
    int32_t most = 1;
    for (uint32_t t = 0; t < m->facts.vocab; t++) {
        int32_t n = m->c->llama_token_to_piece(m->vocab, (int32_t)t, piece, sizeof(piece), 0, true);
        if (n > most) most = n;
    }
    return (uint32_t)most;
}

static void read_facts(struct perilune_engine_model *m, enum perilune_engine_kind kind, bool apart) {
    const struct llama_calls *c = m->c;
    struct perilune_engine_facts *f = &m->facts;
    int32_t trained = c->llama_model_n_ctx_train(m->model);
    c->llama_model_desc(m->model, m->name, sizeof(m->name));
    read_text(c, m->vocab, c->llama_vocab_bos(m->vocab), m->bos, sizeof(m->bos));
    read_text(c, m->vocab, c->llama_vocab_eos(m->vocab), m->eos, sizeof(m->eos));
    f->kind = kind;
    f->name = m->name;
    f->bos = m->bos;
    f->eos = m->eos;
    f->chat_template = c->llama_model_chat_template(m->model, NULL);
    f->vocab = (uint32_t)c->llama_vocab_n_tokens(m->vocab);
    f->cells = c->llama_n_ctx(m->context);
    f->row = c->llama_n_ctx_seq(m->context);
    if (trained > 0 && f->row > (uint32_t)trained) f->row = (uint32_t)trained;
    f->sequences = c->llama_n_seq_max(m->context);
    f->batch = c->llama_n_batch(m->context);
    f->width = kind == PERILUNE_ENGINE_RANK ? c->llama_model_n_cls_out(m->model)
                                            : (uint32_t)c->llama_model_n_embd_out(m->model);
    f->longest = longest_piece(m);
    f->shares = m->memory != NULL && !c->llama_model_is_recurrent(m->model) && !c->llama_model_is_hybrid(m->model);
    f->bytes = c->llama_model_size(m->model);
    f->apart = apart;
    f->note = m->note;
}

/* -- Life ------------------------------------------------------------------------------------ */

static bool should_stop(void *ud) { return atomic_load_explicit((atomic_bool *)ud, memory_order_relaxed); }

static void model_free(struct perilune_engine_model *m) {
    if (m == NULL) return;
    if (m->context != NULL) m->c->llama_free(m->context);
    if (m->model != NULL) m->c->llama_model_free(m->model);
    mem_free(m->batch.token);
    mem_free(m->batch.pos);
    mem_free(m->batch.n_seq_id);
    mem_free(m->batch.seq_id);
    mem_free(m->batch.logits);
    mem_free(m->len);
    if (m->file >= 0) close(m->file);
    mem_free(m);
}

static bool make_batch(struct perilune_engine_model *m, size_t n, size_t rows) {
    struct llama_batch *b = &m->batch;
    b->token = mem_alloc(n * sizeof(*b->token));
    b->pos = mem_alloc(n * sizeof(*b->pos));
    b->n_seq_id = mem_alloc(n * sizeof(*b->n_seq_id));
    b->seq_id = mem_alloc(n * sizeof(*b->seq_id) + n * sizeof(**b->seq_id));
    b->logits = mem_alloc(n * sizeof(*b->logits));
    m->len = mem_zalloc(rows * sizeof(*m->len));
    if (!b->token || !b->pos || !b->n_seq_id || !b->seq_id || !b->logits || !m->len) return false;
    int32_t *ids = (int32_t *)(void *)(b->seq_id + n);
    for (size_t i = 0; i < n; i++) {
        b->n_seq_id[i] = 1;
        b->seq_id[i] = &ids[i];
    }
    return true;
}

static uint32_t cells_for(uint64_t trained, const struct perilune_engine_options *o, uint32_t rows) {
    if (o->context_each > UINT32_MAX / 2 / rows) return UINT32_MAX / 2; /* nobody has that: the library says so */
    if (o->context_each != 0) return o->context_each * rows;
    if (o->context != 0) return o->context;
    return trained > 0 && trained < DEFAULT_CELLS ? (uint32_t)trained : DEFAULT_CELLS;
}

static uint32_t rows_for(const struct perilune_engine_options *o) {
    return o->sequences == 0 ? 1 : o->sequences > ROWS_MAX ? ROWS_MAX : o->sequences;
}

/* -1: the library's own; -2: there is no such type. */
static int kv_type_of(const char *name) {
    static const struct { const char *name; int type; } types[] = {
        { "f32", 0 }, { "f16", 1 }, { "bf16", 30 }, { "q8_0", 8 }, { "q5_1", 7 }, { "q5_0", 6 }, { "q4_1", 3 },
        { "q4_0", 2 }, { "iq4_nl", 20 } };
    for (size_t i = 0; name != NULL && i < sizeof(types) / sizeof(*types); i++)
        if (strcmp(types[i].name, name) == 0) return types[i].type;
    return name == NULL ? -1 : -2;
}

/* What the library says when an allocation fails. */
static bool is_about_memory(const char *complaint) {
    return strstr(complaint, "allocate") != NULL || strstr(complaint, "out of memory") != NULL ||
           strstr(complaint, "bad_alloc") != NULL;
}

static int no_context(const struct perilune_engine_options *o, uint32_t cells, char *why, size_t size) {
    const char *said = llama_library_complaint();
    bool memory = is_about_memory(said);
    snprintf(why, size, memory ? "%s: no memory for a context of %u tokens: make engine.context, context_each or "
                                 "gpu_layers smaller (%s)"
                               : "%s: the library makes no context of %u tokens with these settings: %s",
             o->model, cells, said[0] ? said : "it does not say why");
    return memory ? PERILUNE_ERR_NOMEM : PERILUNE_ERR_ENGINE;
}

static int make_context(struct perilune_engine_model *m, const struct llama_library *l,
                        const struct perilune_engine_options *o, uint64_t trained, char *why, size_t size) {
    int pooling = pooling_of(m->c, m->model);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t rows = rows_for(o);
    uint32_t batch = o->batch == 0 ? PIECE : o->batch < rows ? rows : o->batch;
    uint32_t cells = cells_for(trained, o, rows);
    if (pooling != 0) { /* the library makes room for equal parts of a batch, one for each row, and asserts that */
        batch = (batch + rows - 1) / rows * rows;
        cells = cells < batch ? batch : cells;
    }
    m->library = l;
    m->wish = (struct llama_context_wish){ .cells = cells, .batch = batch, .rows = rows,
                                    .piece = pooling == 0 && batch > PIECE ? PIECE : batch,
                                    .threads = (int32_t)(o->threads ? o->threads : cores > 0 ? cores : 1),
                                    .embeddings = pooling != 0, .apart = pooling == 0 && o->context_each != 0,
                                    .flash_attention = o->flash_attention, .kv_type = kv_type_of(o->kv_type),
                                    .abort = should_stop, .abort_ud = &m->canceled };
    if (m->wish.kv_type == -2) return refuse(why, size, o->model, "engine.kv_type is none that libllama knows");
    llama_library_forget_complaint();
    m->context = llama_library_context(l, m->model, &m->wish);
    if (m->context == NULL) return no_context(o, m->wish.cells, why, size);
    m->memory = m->c->llama_get_memory(m->context);
    if (pooling == 0 && m->memory == NULL)
        return refuse(why, size, o->model, "is a model that says no next token, and says not how to make vectors");
    read_facts(m, pooling == 0 ? PERILUNE_ENGINE_CHAT : pooling == 4 ? PERILUNE_ENGINE_RANK : PERILUNE_ENGINE_EMBED,
               m->wish.apart);
    return make_batch(m, m->facts.batch, m->facts.sequences) ? 0 : refuse(why, size, o->model, "out of memory");
}

/* Kinds of models that are not run one token at a time. */
static const char *problem_with(const struct llama_calls *c, const struct llama_model *m) {
    if (c->llama_model_is_diffusion(m)) return "is a diffusion model, which libllama does not run token by token";
    if (c->llama_model_has_encoder(m) && c->llama_model_has_decoder(m))
        return "has an encoder and a decoder: only models of one kind can be used";
    return NULL;
}

/* Weights are mapped: a file that is cut while they are ends the process when its missing part is read.  One that is
 * overwritten in place is cut first, so most of the time it is seen here, before a step; a step under way is not saved.
 * Who wants that has engine.process. */
static void look_after_file(struct perilune_engine_model *m, const char *path) {
    struct stat st;
    m->file = open(path, O_RDONLY | O_CLOEXEC);
    m->file_size = m->file >= 0 && fstat(m->file, &st) == 0 ? st.st_size : 0;
}

static bool is_cut(struct perilune_engine_model *m) {
    struct stat st;
    if (m->file >= 0 && fstat(m->file, &st) == 0 && st.st_size < m->file_size) m->broken = true;
    return m->broken;
}

static double memory_of_machine(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (double)pages * (double)page : 0;
}

static int place(const struct llama_library *l, const struct perilune_engine_options *o, const struct facts *f,
                 struct device_plan *out, char *why, size_t size) {
    struct device all[DEVICES_MAX];
    char text[400];
    int kv_type = kv_type_of(o->kv_type);
    const struct gguf_tensor_type *type = gguf_tensor_type(kv_type >= 0 ? (uint32_t)kv_type : 1);
    uint32_t cells = cells_for(f->context, o, rows_for(o));
    uint64_t numbers = f->kv_per_token * cells;
    struct device_need need = { .layers = f->layers, .weights = f->weight_bytes,
                                .memory = type ? numbers / type->block * type->bytes : numbers * 2 };
    if (cells < rows_for(o)) { /* GGML_ASSERT */
        snprintf(text, sizeof(text), "a context of %u tokens is less than one for each of %u rows: make engine.context "
                 "larger, or engine.sequences smaller (there are two rows for each)", cells, rows_for(o));
        return refuse(why, size, o->model, text);
    }
    unsigned devices = llama_library_devices(l, all, DEVICES_MAX);
    double bytes = (double)f->kv_per_token * cells * (type != NULL ? (double)type->bytes / type->block : 2);
    if (!devices_could_hold(all, devices, memory_of_machine(), cells, bytes)) {
        snprintf(why, size, "%s: no memory for a context of %u tokens: this machine has not that much in all: make "
                 "engine.context or context_each smaller", o->model, cells);
        return PERILUNE_ERR_NOMEM;
    }
    int rc = devices_plan(all, devices, o, &need, out, text, sizeof(text));
    return rc == 0 ? 0 : refuse(why, size, o->model, text);
}

static int load_weights(struct perilune_engine_model *m, const struct llama_library *l,
                        const struct perilune_engine_options *o, const struct device_plan *plan, char *why,
                        size_t size) {
    llama_library_forget_complaint();
    m->model = llama_library_load(l, o->model, plan);
    if (m->model != NULL) return 0;
    const char *said = llama_library_complaint();
    if (!is_about_memory(said)) {
        snprintf(why, size, "%s: libllama cannot load it: %s", o->model, said[0] ? said : "it does not say why");
        return PERILUNE_ERR_ENGINE;
    }
    if (plan->layers == 0)
        snprintf(why, size, "%s: no memory for its weights: take a smaller model or quantization (%s)", o->model, said);
    else
        snprintf(why, size, "%s: no memory for %d layers on the GPU: make engine.gpu_layers smaller, or say \"auto\" "
                 "(%s)", o->model, plan->layers, said);
    return PERILUNE_ERR_NOMEM;
}

static int load(const struct perilune_engine_options *o, struct perilune_engine_model **out, char *why, size_t size) {
    const struct llama_library *l;
    struct facts f;
    struct device_plan plan;
    *out = NULL;
    /* A file that the library would not survive is refused before it sees it. */
    if (facts_vet_numbers(o->model, &f, why, size) != 0) return PERILUNE_ERR_ENGINE;
    int rc = llama_library_get(&l, o->library, why, size);
    if (rc == 0) rc = place(l, o, &f, &plan, why, size);
    if (rc != 0) return rc;
    struct perilune_engine_model *m = mem_zalloc(sizeof(*m));
    if (m == NULL) return refuse(why, size, o->model, "out of memory");
    m->c = llama_library_calls(l);
    look_after_file(m, o->model);
    snprintf(m->note, sizeof(m->note), "%s", plan.note);
    llama_library_busy_with(o->model);
    rc = load_weights(m, l, o, &plan, why, size);
    const char *problem = rc == 0 ? problem_with(m->c, m->model) : NULL;
    if (problem != NULL) rc = refuse(why, size, o->model, problem);
    if (rc == 0) {
        m->vocab = m->c->llama_model_get_vocab(m->model);
        rc = make_context(m, l, o, f.context, why, size);
    }
    llama_library_busy_with(NULL);
    if (rc == 0) *out = m;
    else model_free(m);
    return rc;
}

/* The weights are read only, so they are as they were; what an error may have left half done is the context. */
static int recover(struct perilune_engine_model *m, char *why, size_t size) {
    m->broken = false;
    if (is_cut(m)) {
        snprintf(why, size, "the model's file has been cut since it was loaded: put a whole one there by renaming it, "
                 "and reload");
        return PERILUNE_ERR_ENGINE;
    }
    m->broken = true;
    if (m->context != NULL) m->c->llama_free(m->context);
    m->memory = NULL;
    m->stepped = 0;
    memset(m->len, 0, m->facts.sequences * sizeof(*m->len));
    llama_library_forget_complaint();
    m->context = llama_library_context(m->library, m->model, &m->wish);
    if (m->context == NULL) {
        snprintf(why, size, "no memory for a context of %u tokens (%s)", m->wish.cells, llama_library_complaint());
        return PERILUNE_ERR_ENGINE;
    }
    m->memory = m->c->llama_get_memory(m->context);
    m->broken = false;
    return 0;
}

static const struct perilune_engine_facts *facts(const struct perilune_engine_model *m) { return &m->facts; }

/* -- Texts and tokens ---------------------------------------------------------------------------- */

static int64_t tokenize(const struct perilune_engine_model *m, const char *text, size_t len, unsigned flags,
                        int32_t *out, size_t room) {
    if (len > INT32_MAX / 2) return PERILUNE_ERR_INVAL;
    bool special = (flags & PERILUNE_ENGINE_SPECIAL) != 0, begin = (flags & PERILUNE_ENGINE_BEGIN) != 0;
    int32_t n = m->c->llama_tokenize(m->vocab, text, (int32_t)len, out,
                                     (int32_t)(room > INT32_MAX ? INT32_MAX : room), begin, special);
    if (n == INT32_MIN) return PERILUNE_ERR_INVAL;
    return n < 0 ? -(int64_t)n : n;
}

/* Tokens that come in parts.  n: how many there are, whether there was room for them or not. */
struct parts {
    const struct perilune_engine_model *m;
    int32_t *out;
    size_t   room;
    int64_t  n;
};

static void add_token(struct parts *p, int32_t token) {
    if (p->n < 0 || token < 0) return;
    if ((uint64_t)p->n < p->room) p->out[p->n] = token;
    p->n++;
}

static void add_text(struct parts *p, const char *text, size_t len, unsigned flags) {
    size_t at = p->n >= 0 && (uint64_t)p->n < p->room ? (size_t)p->n : p->room;
    int64_t n = p->n < 0 || len == 0 ? 0 : tokenize(p->m, text, len, flags, p->out + at, p->room - at);
    p->n = n < 0 ? n : p->n + n;
}

/* The template's own tokens are control tokens; those of the two texts are text, whatever they look like. */
static void add_by_template(struct parts *p, const char *t, const char *question, size_t question_len, const char *text,
                            size_t len) {
    static const char q[] = "{query}", d[] = "{document}";
    while (*t != '\0') {
        const char *a = strstr(t, q), *b = strstr(t, d);
        const char *at = a != NULL && (b == NULL || a < b) ? a : b;
        add_text(p, t, at != NULL ? (size_t)(at - t) : strlen(t), PERILUNE_ENGINE_SPECIAL);
        if (at == NULL) return;
        if (at == a) add_text(p, question, question_len, 0);
        else add_text(p, text, len, 0);
        t = at + (at == a ? sizeof(q) : sizeof(d)) - 1;
    }
}

/* [CLS] question [SEP] text [SEP], or <s> question </s></s> text </s>, as the vocabulary says; or by a template. */
static int64_t tokenize_pair(const struct perilune_engine_model *m, const char *question, size_t question_len,
                             const char *text, size_t len, int32_t *out, size_t room) {
    const struct llama_calls *c = m->c;
    struct parts p = { m, out, room, 0 };
    const char *named = c->llama_model_chat_template(m->model, "rerank");
    int32_t eos = c->llama_vocab_eos(m->vocab), sep = c->llama_vocab_sep(m->vocab);
    bool ends = c->llama_vocab_get_add_eos(m->vocab), parted = c->llama_vocab_get_add_sep(m->vocab);
    if (named != NULL) {
        add_by_template(&p, named, question, question_len, text, len);
        return p.n;
    }
    if (c->llama_vocab_get_add_bos(m->vocab)) add_token(&p, c->llama_vocab_bos(m->vocab));
    add_text(&p, question, question_len, 0);
    if (ends) add_token(&p, eos >= 0 ? eos : sep);
    if (parted) add_token(&p, sep);
    add_text(&p, text, len, 0);
    if (ends || parted) add_token(&p, ends && eos >= 0 ? eos : sep);
    return p.n;
}

static size_t piece(const struct perilune_engine_model *m, int32_t token, unsigned flags, char *out, size_t room) {
    if (token < 0 || (uint32_t)token >= m->facts.vocab) return 0;
    int32_t n = m->c->llama_token_to_piece(m->vocab, token, out, (int32_t)(room > INT32_MAX ? INT32_MAX : room), 0,
                                           (flags & PERILUNE_ENGINE_SPECIAL) != 0);
    return n > 0 ? (size_t)n : 0;
}

static bool is_end(const struct perilune_engine_model *m, int32_t token) {
    return token >= 0 && (uint32_t)token < m->facts.vocab && m->c->llama_vocab_is_eog(m->vocab, token);
}

/* -- Rows ---------------------------------------------------------------------------------------- */

static bool is_row(const struct perilune_engine_model *m, uint32_t seq) {
    return m->memory != NULL && seq < m->facts.sequences;
}

static int seq_start(struct perilune_engine_model *m, uint32_t seq) {
    if (!is_row(m, seq)) return PERILUNE_ERR_INVAL;
    m->c->llama_memory_seq_rm(m->memory, (int32_t)seq, -1, -1); /* a whole row: never fails */
    m->len[seq] = 0;
    return 0;
}

/* Of rows that are apart the library copies whole ones only. */
static void copy_apart(struct perilune_engine_model *m, int32_t from, int32_t to, int32_t n) {
    m->c->llama_memory_seq_cp(m->memory, from, to, -1, -1);
    m->c->llama_memory_seq_rm(m->memory, to, n, -1);
}

static int seq_copy(struct perilune_engine_model *m, uint32_t from, uint32_t to, uint32_t n) {
    if (!m->facts.shares || !is_row(m, from) || !is_row(m, to) || from == to || n > m->len[from] || m->len[to] != 0)
        return PERILUNE_ERR_INVAL;
    if (n > 0 && !m->facts.apart) m->c->llama_memory_seq_cp(m->memory, (int32_t)from, (int32_t)to, 0, (int32_t)n);
    else if (n > 0) copy_apart(m, (int32_t)from, (int32_t)to, (int32_t)n);
    m->len[to] = n;
    return 0;
}

static int seq_cut(struct perilune_engine_model *m, uint32_t seq, uint32_t n) {
    if (!is_row(m, seq) || n > m->len[seq]) return PERILUNE_ERR_INVAL;
    if (n == 0) return seq_start(m, seq);
    if (n == m->len[seq]) return 0;
    if (!m->facts.shares || !m->c->llama_memory_seq_rm(m->memory, (int32_t)seq, (int32_t)n, -1))
        return PERILUNE_ERR_INVAL;
    m->len[seq] = n;
    return 0;
}

/* -- Steps ------------------------------------------------------------------------------------------ */

/* Appends to the batch, and to the lengths as they will be. False: no such token, row or position. */
static bool put(struct perilune_engine_model *m, const struct perilune_engine_token *t) {
    struct llama_batch *b = &m->batch;
    if (t->token < 0 || (uint32_t)t->token >= m->facts.vocab || !is_row(m, t->seq)) return false;
    if (t->at != m->len[t->seq] || t->at >= m->facts.row) return false;
    size_t i = (size_t)b->n_tokens++;
    b->token[i] = t->token;
    b->pos[i] = (int32_t)t->at;
    *b->seq_id[i] = (int32_t)t->seq;
    b->logits[i] = t->wanted;
    m->len[t->seq]++;
    return true;
}

static void take_back(struct perilune_engine_model *m) {
    for (int32_t i = 0; i < m->batch.n_tokens; i++) m->len[*m->batch.seq_id[i]]--;
}

static int outcome(struct perilune_engine_model *m, int32_t rc) {
    if (rc == 0) return 0;
    m->stepped = 0;
    if (rc == 1) {
        take_back(m);
        return PERILUNE_ENGINE_FULL;
    }
    if (rc == 2) return PERILUNE_ENGINE_CANCELED;
    m->broken = true;
    return PERILUNE_ERR_ENGINE;
}

/* It could not allocate what computing takes.  Parts of the batch may have been computed: their positions go.  A row
 * that cannot be cut (of a recurrent model) is lost. */
static int fall_short(struct perilune_engine_model *m) {
    m->stepped = 0;
    take_back(m);
    for (int32_t i = 0; i < m->batch.n_tokens && !m->broken; i++) {
        int32_t seq = *m->batch.seq_id[i];
        uint32_t len = m->len[seq];
        if (i > 0 && seq == *m->batch.seq_id[i - 1]) continue;
        m->broken = !m->c->llama_memory_seq_rm(m->memory, seq, len > 0 ? (int32_t)len : -1, -1);
    }
    return m->broken ? PERILUNE_ERR_NOMEM : PERILUNE_ENGINE_SHORT;
}

static int step(struct perilune_engine_model *m, const struct perilune_engine_token *tokens, size_t count) {
    if (is_cut(m)) return PERILUNE_ERR_ENGINE;
    if (m->memory == NULL || count == 0 || count > m->facts.batch) return PERILUNE_ERR_INVAL;
    m->batch.n_tokens = 0;
    m->stepped = 0;
    for (size_t i = 0; i < count; i++) {
        if (put(m, &tokens[i])) continue;
        take_back(m);
        return PERILUNE_ERR_INVAL;
    }
    m->stepped = count;
    int32_t rc = m->c->llama_decode(m->context, m->batch);
    return rc == OUT_OF_MEMORY ? fall_short(m) : outcome(m, rc);
}

static float *logits(struct perilune_engine_model *m, size_t i) {
    return i < m->stepped && m->batch.logits[i] ? m->c->llama_get_logits_ith(m->context, (int32_t)i) : NULL;
}

static void cancel(struct perilune_engine_model *m) { atomic_store(&m->canceled, true); }

/* -- Vectors ------------------------------------------------------------------------------------------- */

static bool put_texts(struct perilune_engine_model *m, const int32_t *tokens, const uint32_t *lens, size_t count) {
    struct llama_batch *b = &m->batch;
    b->n_tokens = 0;
    for (size_t s = 0; s < count; s++) {
        if (lens[s] == 0 || lens[s] > m->facts.row || lens[s] > m->facts.batch - (uint32_t)b->n_tokens) return false;
        for (uint32_t i = 0; i < lens[s]; i++, b->n_tokens++) {
            int32_t t = *tokens++;
            if (t < 0 || (uint32_t)t >= m->facts.vocab) return false;
            b->token[b->n_tokens] = t;
            b->pos[b->n_tokens] = (int32_t)i;
            *b->seq_id[b->n_tokens] = (int32_t)s;
            b->logits[b->n_tokens] = 1;
        }
    }
    return true;
}

static int embed(struct perilune_engine_model *m, const int32_t *tokens, const uint32_t *lens, size_t count,
                 float *out) {
    if (is_cut(m)) return PERILUNE_ERR_ENGINE;
    if (m->facts.kind == PERILUNE_ENGINE_CHAT || count == 0 || count > m->facts.sequences ||
        !put_texts(m, tokens, lens, count)) return PERILUNE_ERR_INVAL;
    if (m->memory != NULL) m->c->llama_memory_clear(m->memory, true);
    int32_t said = m->memory == NULL ? m->c->llama_encode(m->context, m->batch)
                                     : m->c->llama_decode(m->context, m->batch);
    if (said == OUT_OF_MEMORY) return PERILUNE_ENGINE_SHORT; /* nothing is kept from one call to the next */
    int rc = outcome(m, said);
    if (rc != 0) return rc == PERILUNE_ENGINE_FULL ? PERILUNE_ERR_INVAL : rc;
    for (size_t s = 0; s < count; s++) {
        const float *v = m->c->llama_get_embeddings_seq(m->context, (int32_t)s);
        if (v == NULL) return PERILUNE_ERR_ENGINE;
        memcpy(out + s * m->facts.width, v, m->facts.width * sizeof(*v));
    }
    return 0;
}

const struct perilune_engine llama_engine = {
    .version = PERILUNE_ENGINE_VERSION, .name = "libllama",
    .load = load, .free = model_free, .facts = facts,
    .tokenize = tokenize, .tokenize_pair = tokenize_pair, .piece = piece, .is_end = is_end,
    .seq_start = seq_start, .seq_copy = seq_copy, .seq_cut = seq_cut, .step = step, .logits = logits,
    .embed = embed, .recover = recover, .cancel = cancel,
};
