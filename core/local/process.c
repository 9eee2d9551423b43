/* process.c -- an engine in a process of its own: what runs a model does not know the difference.
 *
 *     resident --step()--> [ rows' lengths ] --work: rows ..., step--> process_child.c --> engine
 *              <--logits-- [ shared memory ] <------------------------------'
 *     others --tokenize(), prompt()--------------side----------------> second thread of it
 *     others --piece(), is_end(), facts()--> told once, when it had loaded
 *
 * What ends a process in a library that was written for programs of one user (an assertion, a broken file, memory that
 * is gone, a mapped file that was cut) ends a child here, and costs the answers under way.  step() tells; recover()
 * has the next one started, by a thread that also sees how each one ends (process_keeper.c).
 *
 * Rows are changed without waiting for an answer: their lengths are repeated here, so what the engine would refuse is
 * known, and the changes go with the next step.  Logits and vectors are in memory that both sides have: it was sealed
 * at its size, because a file that shrinks under a mapping ends who reads it.
 *
 * Facts and pieces stay where they are for as long as the model: other threads have them.  So a process that comes back
 * with others (its file has been replaced) is refused; a reload loads that as another model.
 *
 * Each wait has a deadline: a step options.step_ms, anything else ANSWER_MS or less.  Who does not answer is killed. */
#include "local/process.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "local/process_keeper.h"

#define STEP_MS   60000
#define ANSWER_MS 20000   /* at most, whatever a step may take */
#define HOLD      65536   /* bytes that wait for the next step, at most */

struct perilune_engine_model {
    struct keeper keeper;
    struct perilune_engine_facts facts;
    struct buf    said;      /* facts and pieces, as the process told them */
    struct process_token *tokens;
    char         *model, *library, *program, *device, *kv_type;
    float         split[PROCESS_SPLIT];
    uint64_t      step_ms;
    int           memory_fd;
    float        *memory;
    size_t        memory_size;
    /* The model's thread: */
    struct buf    out, in;
    uint32_t     *len;       /* of each row */
    int32_t      *slot;      /* of each token of the last step: its row of the shared memory, or -1 */
    size_t        stepped;
    bool          failed;    /* until recover() */
    bool          starting;  /* recover() has begun */
    atomic_bool   canceled;
};

/* -- Asking ------------------------------------------------------------------------------ */

static int lose(struct perilune_engine_model *m, int rc, uint64_t ms) {
    char reason[80];
    m->failed = true;
    m->stepped = 0;
    buf_clear(&m->out);
    if (rc == PERILUNE_ERR_TIMEOUT)
        snprintf(reason, sizeof(reason), "gave no answer for %.3g seconds", (double)ms / 1e3);
    else snprintf(reason, sizeof(reason), "broke its connection, or said what nobody understands");
    if (rc != PERILUNE_ERR_IO) keeper_kill(&m->keeper, reason);
    return atomic_load(&m->canceled) ? PERILUNE_ENGINE_CANCELED : PERILUNE_ERR_ENGINE;
}

/* Sends what is held, and this, whose answer is awaited: *value, and m->in.  0, or what to return. */
static int ask(struct perilune_engine_model *m, uint64_t ms, int64_t *value) {
    struct process_head h = { .op = 0 };
    uint64_t until = process_now_ms() + ms;
    struct slice s = buf_get(&m->out);
    if (buf_failed(&m->out)) {
        lose(m, PERILUNE_ERR_NOMEM, 0);
        return PERILUNE_ERR_NOMEM;
    }
    int rc = process_send(m->keeper.work, s.ptr, s.len, until);
    buf_clear(&m->out);
    if (rc == 0) rc = process_receive(m->keeper.work, &h, &m->in, PROCESS_MESSAGE, until);
    if (rc == 0 && h.op != PROCESS_ANSWER) rc = PERILUNE_ERR_INVAL;
    if (rc != 0) return lose(m, rc, ms);
    *value = h.value;
    return 0;
}

/* Is held until the next question. */
static int tell(struct perilune_engine_model *m, enum process_op op, const void *bytes, size_t len) {
    if (m->failed) return PERILUNE_ERR_ENGINE;
    process_put(&m->out, op, 0, bytes, len);
    if (buf_len(&m->out) < HOLD && !buf_failed(&m->out)) return 0;
    struct slice s = buf_get(&m->out);
    int rc = buf_failed(&m->out) ? PERILUNE_ERR_NOMEM
                                 : process_send(m->keeper.work, s.ptr, s.len, process_now_ms() + ANSWER_MS);
    buf_clear(&m->out);
    return rc == 0 ? 0 : lose(m, rc, ANSWER_MS);
}

/* -- Coming and going ---------------------------------------------------------------------------- */

/* The memory gets the size that it keeps. */
static bool make_memory(struct perilune_engine_model *m) {
    size_t size = process_memory_size(&m->facts);
    if (ftruncate(m->memory_fd, (off_t)size) != 0 ||
        fcntl(m->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return false;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->memory_fd, 0);
    if (at == MAP_FAILED) return false;
    m->memory = at;
    m->memory_size = size;
    return true;
}

static int set_up(struct perilune_engine_model *m, char *why, size_t size) {
    struct buf *loaded = &m->keeper.loaded;
    m->said = *loaded;
    buf_init(loaded, 0);
    int rc = process_read_facts(buf_get(&m->said), &m->facts, &m->tokens);
    if (rc == 0) {
        m->len = mem_zalloc(m->facts.sequences * sizeof(*m->len));
        m->slot = mem_alloc(m->facts.batch * sizeof(*m->slot));
        if (m->len == NULL || m->slot == NULL) rc = PERILUNE_ERR_NOMEM;
    }
    if (rc == PERILUNE_ERR_NOMEM) snprintf(why, size, "out of memory");
    else if (rc != 0) snprintf(why, size, "%s: the engine's process told nonsense of it", m->model);
    else if (!make_memory(m)) {
        snprintf(why, size, "%s: no memory to be shared with the engine's process: %s", m->model, strerror(errno));
        rc = PERILUNE_ERR_ENGINE;
    }
    return rc;
}

/* A process that has loaded becomes the one that is asked. */
static int take_up(struct perilune_engine_model *m) {
    m->failed = m->starting = false;
    m->stepped = 0;
    memset(m->len, 0, m->facts.sequences * sizeof(*m->len));
    buf_clear(&m->out);
    process_put(&m->out, PROCESS_MAP, (int64_t)m->memory_size, NULL, 0); /* goes with the first question */
    return buf_failed(&m->out) ? PERILUNE_ERR_NOMEM : 0;
}

static void free_parts(struct perilune_engine_model *m) {
    if (m->memory != NULL) munmap(m->memory, m->memory_size);
    if (m->memory_fd >= 0) close(m->memory_fd);
    buf_deinit(&m->said);
    buf_deinit(&m->out);
    buf_deinit(&m->in);
    mem_free(m->tokens);
    mem_free(m->len);
    mem_free(m->slot);
    mem_free(m->model);
    mem_free(m->library);
    mem_free(m->program);
    mem_free(m->device);
    mem_free(m->kv_type);
    mem_free(m);
}

static void model_free(struct perilune_engine_model *m) {
    if (m == NULL) return;
    keeper_deinit(&m->keeper);
    free_parts(m);
}

static bool keep(char **to, const char *text) { return text == NULL || (*to = mem_strdup(text)) != NULL; }

/* With a keeper, which has started nothing yet. */
static struct perilune_engine_model *model_new(const struct perilune_engine_options *o, char *why, size_t size) {
    struct perilune_engine_model *m = mem_zalloc(sizeof(*m));
    snprintf(why, size, "out of memory");
    if (m == NULL) return NULL;
    buf_init(&m->said, 0);
    buf_init(&m->out, 0);
    buf_init(&m->in, 0);
    m->step_ms = o->step_ms ? o->step_ms : STEP_MS;
    m->memory_fd = memfd_create("perilune-engine", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool ok = keep(&m->model, o->model) && keep(&m->library, o->library) && keep(&m->program, o->program) &&
              keep(&m->device, o->device) && keep(&m->kv_type, o->kv_type);
    struct perilune_engine_options mine = *o;
    mine.model = m->model;
    mine.library = m->library;
    mine.program = m->program;
    mine.device = m->device;
    mine.kv_type = m->kv_type;
    if (mine.split_count > PROCESS_SPLIT) mine.split_count = PROCESS_SPLIT;
    if (mine.split_count > 0) memcpy(m->split, o->split, mine.split_count * sizeof(*m->split));
    mine.split = m->split;
    if (m->memory_fd < 0 && ok) snprintf(why, size, "no shared memory (memfd_create): %s", strerror(errno));
    /* A number that the process does not get in the way of with its own. */
    int up = m->memory_fd >= 0 ? fcntl(m->memory_fd, F_DUPFD_CLOEXEC, PROCESS_FIRST_FREE + 8) : -1;
    if (m->memory_fd >= 0) close(m->memory_fd);
    m->memory_fd = up;
    if (ok && up >= 0 && keeper_init(&m->keeper, &mine, up) == 0) return m;
    free_parts(m);
    return NULL;
}

static int load(const struct perilune_engine_options *o, struct perilune_engine_model **out, char *why, size_t size) {
    *out = NULL;
    struct perilune_engine_model *m = model_new(o, why, size);
    if (m == NULL) return PERILUNE_ERR_ENGINE;
    keeper_start(&m->keeper);
    int rc = keeper_wait(&m->keeper, why, size) == KEEPER_UP ? set_up(m, why, size) : PERILUNE_ERR_ENGINE;
    if (rc == 0) rc = take_up(m);
    if (rc == 0) *out = m;
    else model_free(m);
    return rc;
}

static int recover(struct perilune_engine_model *m, char *why, size_t size) {
    if (!m->failed && keeper_look(&m->keeper, why, size) == KEEPER_UP) {
        m->failed = true; /* somebody does not like what it said */
        keeper_kill(&m->keeper, "is not wanted any more");
    }
    m->failed = true;
    enum keeper_state s = keeper_look(&m->keeper, why, size);
    if (!m->starting) {
        if (s != KEEPER_DOWN) { /* it ends just now */
            keeper_kill(&m->keeper, NULL);
            return PERILUNE_ERR_AGAIN;
        }
        m->starting = true;
        keeper_start(&m->keeper);
        return PERILUNE_ERR_AGAIN;
    }
    if (s == KEEPER_STARTING) return PERILUNE_ERR_AGAIN;
    struct slice now = buf_get(&m->keeper.loaded), first = buf_get(&m->said);
    bool same = s == KEEPER_UP && slice_eq(now, first);
    if (same) {
        int rc = take_up(m);
        buf_deinit(&m->keeper.loaded);
        return rc;
    }
    m->starting = false;
    if (s == KEEPER_UP) {
        keeper_kill(&m->keeper, NULL);
        snprintf(why, size, "%s is another model now: reload the configuration", m->model);
    }
    return PERILUNE_ERR_ENGINE;
}

static void cancel(struct perilune_engine_model *m) {
    atomic_store(&m->canceled, true);
    keeper_kill(&m->keeper, NULL);
}

static const struct perilune_engine_facts *facts(const struct perilune_engine_model *m) { return &m->facts; }

/* -- Texts and tokens ------------------------------------------------------------------------------- */

/* Asks on the side.  *value, and in: the answer.  0, PERILUNE_ERR_IO: it is not up; or another error. */
static int ask_aside(const struct perilune_engine_model *cm, const struct buf *question, uint64_t ms, int64_t *value,
                     struct buf *in) {
    struct perilune_engine_model *m = (struct perilune_engine_model *)(uintptr_t)cm;
    struct process_head h = { .op = 0 };
    uint64_t until = process_now_ms() + ms;
    struct slice s = buf_get(question);
    if (buf_failed(question)) return PERILUNE_ERR_NOMEM;
    pthread_mutex_lock(&m->keeper.side_lock);
    int fd = m->keeper.side, rc = fd < 0 ? PERILUNE_ERR_IO : process_send(fd, s.ptr, s.len, until);
    if (rc == 0) rc = process_receive(fd, &h, in, PROCESS_MESSAGE, until);
    if (rc == 0 && h.op != PROCESS_ANSWER) rc = PERILUNE_ERR_INVAL;
    if (rc != 0 && fd >= 0) {
        m->keeper.side = -1; /* an answer may still be on its way there */
        if (rc != PERILUNE_ERR_IO) keeper_kill(&m->keeper, "gave no answer about a text");
    }
    pthread_mutex_unlock(&m->keeper.side_lock);
    *value = h.value;
    return rc == 0 || rc == PERILUNE_ERR_NOMEM ? rc : PERILUNE_ERR_IO;
}

/* How long an answer about so many bytes may take: tokens of a megabyte take less than a second, and who is silent for
 * the time of a step besides hangs. */
static uint64_t aside_ms(const struct perilune_engine_model *m, size_t len) {
    uint64_t ms = m->step_ms + len / 1000;
    return ms < ANSWER_MS ? ms : ANSWER_MS;
}

/* Tokens of one text or two. */
static int64_t ask_tokens(const struct perilune_engine_model *m, enum process_op op, unsigned flags,
                          const struct process_room *r, struct slice first, struct slice second, int32_t *out) {
    struct buf question, in;
    int64_t n = 0;
    size_t len = first.len + second.len;
    if (first.len > PROCESS_SIDE_TEXT || second.len > PROCESS_SIDE_TEXT || len > PROCESS_MESSAGE / sizeof(*out) - 64)
        return PERILUNE_ERR_INVAL;
    buf_init(&question, 0);
    buf_init(&in, 0);
    process_put(&question, op, flags, r, sizeof(*r));
    buf_slice(&question, first);
    buf_slice(&question, second);
    if (!buf_failed(&question)) ((struct process_head *)(void *)question.data)->len += (uint32_t)len;
    int rc = ask_aside(m, &question, aside_ms(m, len), &n, &in);
    bool fits = rc == 0 && n > 0 && (uint64_t)n <= r->room;
    if (fits && buf_len(&in) == (size_t)n * sizeof(*out)) memcpy(out, buf_get(&in).ptr, buf_len(&in));
    else if (fits) rc = PERILUNE_ERR_IO;
    for (int64_t i = 0; rc == 0 && fits && i < n; i++)
        if (out[i] < 0 || (uint32_t)out[i] >= m->facts.vocab) rc = PERILUNE_ERR_IO;
    buf_deinit(&question);
    buf_deinit(&in);
    return rc != 0 ? rc : n;
}

static int64_t tokenize(const struct perilune_engine_model *m, const char *text, size_t len, unsigned flags,
                        int32_t *out, size_t room) {
    struct process_room r = { .room = room };
    return ask_tokens(m, PROCESS_TOKENIZE, flags, &r, slice_of(text, len), SLICE(""), out);
}

static int64_t tokenize_pair(const struct perilune_engine_model *m, const char *question, size_t question_len,
                             const char *text, size_t len, int32_t *out, size_t room) {
    struct process_room r = { .room = room, .count = question_len };
    return ask_tokens(m, PROCESS_PAIR, 0, &r, slice_of(question, question_len), slice_of(text, len), out);
}

static size_t piece(const struct perilune_engine_model *m, int32_t token, unsigned flags, char *out, size_t room) {
    if (token < 0 || (uint32_t)token >= m->facts.vocab) return 0;
    const struct process_token *t = &m->tokens[token];
    bool special = (flags & PERILUNE_ENGINE_SPECIAL) != 0;
    size_t len = special ? t->special : t->plain;
    if (len > room) return 0;
    memcpy(out, buf_get(&m->said).ptr + t->at + (special ? 0 : t->special), len);
    return len;
}

static bool is_end(const struct perilune_engine_model *m, int32_t token) {
    return token >= 0 && (uint32_t)token < m->facts.vocab && m->tokens[token].is_end;
}

/* -- Rows --------------------------------------------------------------------------------------------- */

static bool is_row(const struct perilune_engine_model *m, uint32_t seq) {
    return m->facts.kind == PERILUNE_ENGINE_CHAT && seq < m->facts.sequences;
}

static int seq_start(struct perilune_engine_model *m, uint32_t seq) {
    if (!is_row(m, seq)) return PERILUNE_ERR_INVAL;
    bool is_empty = m->len[seq] == 0;
    m->len[seq] = 0;
    return is_empty && !m->failed ? 0 : tell(m, PROCESS_SEQ_START, &(struct process_row){ .seq = seq },
                                             sizeof(struct process_row));
}

static int seq_copy(struct perilune_engine_model *m, uint32_t from, uint32_t to, uint32_t n) {
    if (!m->facts.shares || !is_row(m, from) || !is_row(m, to) || from == to || n > m->len[from] || m->len[to] != 0)
        return PERILUNE_ERR_INVAL;
    m->len[to] = n;
    return tell(m, PROCESS_SEQ_COPY, &(struct process_row){ from, to, n }, sizeof(struct process_row));
}

static int seq_cut(struct perilune_engine_model *m, uint32_t seq, uint32_t n) {
    if (!is_row(m, seq) || n > m->len[seq] || (n > 0 && n < m->len[seq] && !m->facts.shares)) return PERILUNE_ERR_INVAL;
    if (n == 0) return seq_start(m, seq);
    if (n == m->len[seq]) return 0;
    m->len[seq] = n;
    return tell(m, PROCESS_SEQ_CUT, &(struct process_row){ .seq = seq, .n = n }, sizeof(struct process_row));
}

/* -- Steps ------------------------------------------------------------------------------------------------ */

static void take_back(struct perilune_engine_model *m, const struct perilune_engine_token *tokens, size_t count) {
    for (size_t i = 0; i < count; i++) m->len[tokens[i].seq]--;
    m->stepped = 0;
}

/* Lengths as they will be, and where logits will be.  False: no such token, row or position. */
static bool note(struct perilune_engine_model *m, const struct perilune_engine_token *tokens, size_t count) {
    int32_t slots = 0;
    for (size_t i = 0; i < count; i++) {
        const struct perilune_engine_token *t = &tokens[i];
        if (t->token < 0 || (uint32_t)t->token >= m->facts.vocab || !is_row(m, t->seq) || t->at != m->len[t->seq] ||
            t->at >= m->facts.row) {
            take_back(m, tokens, i);
            return false;
        }
        m->len[t->seq]++;
        m->slot[i] = t->wanted ? slots++ : -1;
    }
    return true;
}

static int step(struct perilune_engine_model *m, const struct perilune_engine_token *tokens, size_t count) {
    int64_t value = 0;
    if (m->failed) return PERILUNE_ERR_ENGINE;
    if (m->facts.kind != PERILUNE_ENGINE_CHAT || count == 0 || count > m->facts.batch || !note(m, tokens, count))
        return PERILUNE_ERR_INVAL;
    process_put(&m->out, PROCESS_STEP, 0, tokens, count * sizeof(*tokens));
    int rc = ask(m, m->step_ms, &value);
    if (rc != 0) return rc;
    m->stepped = count;
    bool unchanged = value == PERILUNE_ENGINE_FULL || value == PERILUNE_ENGINE_SHORT;
    if (unchanged) take_back(m, tokens, count);
    if (value == 0 || unchanged) return (int)value;
    m->stepped = 0;
    if (value == PERILUNE_ENGINE_CANCELED) return PERILUNE_ENGINE_CANCELED;
    m->failed = true;
    return PERILUNE_ERR_ENGINE;
}

static float *logits(struct perilune_engine_model *m, size_t i) {
    return i < m->stepped && m->slot[i] >= 0 ? m->memory + (size_t)m->slot[i] * m->facts.vocab : NULL;
}

static int embed(struct perilune_engine_model *m, const int32_t *tokens, const uint32_t *lens, size_t count,
                 float *out) {
    const struct perilune_engine_facts *f = &m->facts;
    uint64_t sum = 0;
    int64_t value = 0;
    if (m->failed) return PERILUNE_ERR_ENGINE;
    if (f->kind == PERILUNE_ENGINE_CHAT || count == 0 || count > f->sequences) return PERILUNE_ERR_INVAL;
    for (size_t i = 0; i < count; i++) {
        if (lens[i] == 0 || lens[i] > f->row) return PERILUNE_ERR_INVAL;
        sum += lens[i];
    }
    if (sum > f->batch) return PERILUNE_ERR_INVAL;
    size_t bytes = count * sizeof(*lens) + sum * sizeof(*tokens);
    struct process_head h = { PROCESS_EMBED, (uint32_t)bytes, (int64_t)count };
    buf_put(&m->out, &h, sizeof(h));
    buf_put(&m->out, lens, count * sizeof(*lens));
    buf_put(&m->out, tokens, sum * sizeof(*tokens));
    int rc = ask(m, m->step_ms, &value);
    if (rc != 0) return rc;
    if (value == 0) memcpy(out, m->memory, count * f->width * sizeof(*out));
    bool unbroken = value == PERILUNE_ENGINE_CANCELED || value == PERILUNE_ENGINE_SHORT || value == PERILUNE_ERR_INVAL;
    if (value == 0 || unbroken) return (int)value;
    m->failed = true;
    return PERILUNE_ERR_ENGINE;
}

const struct perilune_engine process_engine = {
    .version = PERILUNE_ENGINE_VERSION, .name = "process",
    .load = load, .free = model_free, .facts = facts,
    .tokenize = tokenize, .tokenize_pair = tokenize_pair, .piece = piece, .is_end = is_end,
    .seq_start = seq_start, .seq_copy = seq_copy, .seq_cut = seq_cut, .step = step, .logits = logits,
    .embed = embed, .recover = recover, .cancel = cancel,
};
