/* process_child.c -- an engine in a process of its own: the inner side.
 *
 *     work --> main thread: load, rows, steps, vectors      logits --> shared memory
 *     side --> second thread: tokens of texts, prompts                it also hears that nobody is left
 *
 * Calls of the work connection are done in the order in which they came, so those without an answer (rows) need
 * none: one that fails makes the next step fail.
 *
 * It ends when its connections do, which is also how a parent dies, or is killed by the kernel then.  It is deaf to the
 * signals of a terminal or a service manager: those are for the parent, which may let answers end before it goes.
 *
 * What it does not do: check.  Its parent is the same program, and the engine refuses what it must not be asked. */
#include "local/process_child.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "local/process_wire.h"
#include "sys/mailbox.h"

#define FIRST_WORD_MS 60000 /* until somebody says what to load */

struct child {
    const struct perilune_engine *engine;
    _Atomic(struct perilune_engine_model *) model; /* NULL: not loaded yet */
    const struct perilune_engine_facts *facts;
    struct buf  in, out;
    float      *memory;
    size_t      memory_size;
    int         failed; /* of a call without an answer */
};

/* -- Descriptors and signals ------------------------------------------------------------- */

/* Only ours are left: what the parent had open at that moment is none of our business. */
static void close_others(void) {
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)PROCESS_FIRST_FREE, ~0u, 0u) == 0) return;
#endif
    struct rlimit lim;
    int most = getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < 65536 ? (int)lim.rlim_cur : 65536;
    for (int fd = PROCESS_FIRST_FREE; fd < most; fd++) close(fd);
}

static void settle_in(void) {
    static const int deaf[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGUSR1, SIGUSR2 };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "perilune-engine");
    close_others();
    for (int fd = PROCESS_WORK; fd < PROCESS_FIRST_FREE; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
    for (size_t i = 0; i < sizeof(deaf) / sizeof(*deaf); i++) signal(deaf[i], SIG_IGN);
}

/* -- Answers --------------------------------------------------------------------------------- */

static bool answer(struct child *c, int64_t value, const void *bytes, size_t len) {
    buf_clear(&c->out);
    process_put(&c->out, PROCESS_ANSWER, value, bytes, len);
    struct slice s = buf_get(&c->out);
    return !buf_failed(&c->out) && process_send(PROCESS_WORK, s.ptr, s.len, 0) == 0;
}

/* -- Loading ----------------------------------------------------------------------------------- */

static bool tell_loaded(struct child *c, int rc, const char *why) {
    struct buf facts;
    buf_init(&facts, PROCESS_MESSAGE);
    if (rc == 0) process_put_facts(&facts, c->engine, c->model);
    if (rc == 0 && buf_failed(&facts)) {
        rc = facts.error == PERILUNE_ERR_NOMEM ? PERILUNE_ERR_NOMEM : PERILUNE_ERR_ENGINE;
        why = rc == PERILUNE_ERR_NOMEM ? "out of memory" : "the model has more or longer tokens than can be told";
        buf_deinit(&facts);
    }
    if (rc != 0) buf_puts(&facts, why);
    struct slice s = buf_get(&facts);
    buf_clear(&c->out);
    process_put(&c->out, PROCESS_LOADED, rc, s.ptr, s.len);
    buf_deinit(&facts);
    s = buf_get(&c->out);
    return !buf_failed(&c->out) && process_send(PROCESS_WORK, s.ptr, s.len, 0) == 0 && rc == 0;
}

static bool load(struct child *c) {
    struct process_head h;
    struct process_wish w;
    char why[PROCESS_WHY] = "out of memory";
    if (process_receive(PROCESS_WORK, &h, &c->in, 1 << 16, process_now_ms() + FIRST_WORD_MS) != 0) return false;
    struct slice s = buf_get(&c->in);
    if (h.op != PROCESS_LOAD || s.len < sizeof(w) + 2 || s.ptr[s.len - 1] != '\0') return false;
    memcpy(&w, s.ptr, sizeof(w));
    const char *texts[4], *at = s.ptr + sizeof(w); /* the last byte is a NUL */
    for (size_t i = 0; i < 4; at += strlen(at) + 1) {
        if (at >= s.ptr + s.len) return false;
        texts[i++] = at;
    }
    if (w.split_count > PROCESS_SPLIT) return false;
    struct perilune_engine_options o = { .model = texts[0], .library = w.has_library ? texts[1] : NULL,
                                         .threads = w.threads, .context = w.context, .context_each = w.context_each,
                                         .sequences = w.sequences, .batch = w.batch, .gpu_layers = w.gpu_layers,
                                         .device = w.has_device ? texts[2] : NULL, .split = w.split,
                                         .split_count = w.split_count, .flash_attention = w.flash_attention,
                                         .kv_type = w.has_kv_type ? texts[3] : NULL };
    struct perilune_engine_model *m = NULL;
    int rc = c->engine->load(&o, &m, why, sizeof(why));
    atomic_store(&c->model, m);
    if (rc == 0) c->facts = c->engine->facts(m);
    return tell_loaded(c, rc, why);
}

static bool map(struct child *c, const struct process_head *h) {
    c->memory_size = process_memory_size(c->facts);
    if (h->value < 0 || (size_t)h->value != c->memory_size) return false;
    void *at = mmap(NULL, c->memory_size, PROT_READ | PROT_WRITE, MAP_SHARED, PROCESS_MEMORY, 0);
    if (at == MAP_FAILED) return false;
    c->memory = at;
    return true;
}

/* -- Work -------------------------------------------------------------------------------------- */

static void do_row(struct child *c, enum process_op op, struct slice s) {
    struct process_row r;
    int rc = PERILUNE_ERR_INVAL;
    if (s.len == sizeof(r)) {
        memcpy(&r, s.ptr, sizeof(r));
        if (op == PROCESS_SEQ_START) rc = c->engine->seq_start(c->model, r.seq);
        else if (op == PROCESS_SEQ_COPY) rc = c->engine->seq_copy(c->model, r.seq, r.to, r.n);
        else rc = c->engine->seq_cut(c->model, r.seq, r.n);
    }
    if (rc != 0) c->failed = rc;
}

/* Logits of wanted tokens stand one behind the other. */
static void hand_out(struct child *c, const struct perilune_engine_token *tokens, size_t n) {
    uint32_t vocab = c->facts->vocab;
    float *to = c->memory;
    for (size_t i = 0; i < n; i++) {
        if (!tokens[i].wanted) continue;
        const float *l = c->engine->logits(c->model, i);
        if (l != NULL) memcpy(to, l, vocab * sizeof(*to));
        else for (uint32_t t = 0; t < vocab; t++) to[t] = NAN;
        to += vocab;
    }
}

static bool do_step(struct child *c, struct slice s) {
    const struct perilune_engine_token *tokens = (const void *)s.ptr;
    size_t n = s.len / sizeof(*tokens);
    int rc = c->failed;
    if (rc == 0 && (c->memory == NULL || n > c->facts->batch)) rc = PERILUNE_ERR_INVAL;
    if (rc == 0) rc = c->engine->step(c->model, tokens, n);
    if (rc == 0) hand_out(c, tokens, n);
    return answer(c, rc, NULL, 0);
}

static bool do_embed(struct child *c, int64_t value, struct slice s) {
    size_t count = value > 0 && (uint64_t)value <= c->facts->sequences ? (size_t)value : 0;
    const uint32_t *lens = (const void *)s.ptr;
    uint64_t sum = 0;
    int rc = c->failed;
    if (rc == 0 && (c->memory == NULL || count == 0 || s.len < count * sizeof(*lens))) rc = PERILUNE_ERR_INVAL;
    for (size_t i = 0; rc == 0 && i < count; i++) sum += lens[i];
    if (rc == 0 && s.len != count * sizeof(*lens) + sum * sizeof(int32_t)) rc = PERILUNE_ERR_INVAL;
    if (rc == 0) rc = c->engine->embed(c->model, (const int32_t *)(const void *)(lens + count), lens, count, c->memory);
    return answer(c, rc, NULL, 0);
}

static bool serve_one(struct child *c) {
    struct process_head h;
    if (process_receive(PROCESS_WORK, &h, &c->in, PROCESS_MESSAGE, 0) != 0) return false;
    struct slice s = buf_get(&c->in);
    switch (h.op) {
    case PROCESS_MAP: return map(c, &h);
    case PROCESS_SEQ_START:
    case PROCESS_SEQ_COPY:
    case PROCESS_SEQ_CUT: do_row(c, (enum process_op)h.op, s); return true;
    case PROCESS_STEP: return do_step(c, s);
    case PROCESS_EMBED: return do_embed(c, h.value, s);
    default: return false;
    }
}

/* -- Side ---------------------------------------------------------------------------------------- */

/* The answer has its head in front: room for both. */
static int64_t tokenize(struct child *c, struct perilune_engine_model *m, unsigned flags, struct slice s,
                        struct process_room r, struct buf *out) {
    size_t room = r.room < s.len + 16 ? (size_t)r.room : s.len + 16;
    char *to = buf_reserve(out, room * sizeof(int32_t) + 1);
    if (to == NULL) return PERILUNE_ERR_NOMEM;
    int64_t n = c->engine->tokenize(m, s.ptr, s.len, flags, (int32_t *)(void *)to, room);
    if (n > 0 && (uint64_t)n <= room) buf_advance(out, (size_t)n * sizeof(int32_t));
    return n;
}

static int64_t tokenize_pair(struct child *c, struct perilune_engine_model *m, struct slice s, struct process_room r,
                             struct buf *out) {
    if (r.count > s.len || c->engine->tokenize_pair == NULL) return PERILUNE_ERR_INVAL;
    const char *text = s.ptr + r.count;
    size_t len = s.len - (size_t)r.count;
    size_t room = r.room < s.len + 64 ? (size_t)r.room : s.len + 64; /* a template may have tokens of its own */
    char *to = buf_reserve(out, room * sizeof(int32_t) + 1);
    if (to == NULL) return PERILUNE_ERR_NOMEM;
    int64_t n = c->engine->tokenize_pair(m, s.ptr, r.count, text, len, (int32_t *)(void *)to, room);
    if (n > (int64_t)room && (uint64_t)n <= r.room && (uint64_t)n < PROCESS_MESSAGE / sizeof(int32_t)) {
        to = buf_reserve(out, (size_t)n * sizeof(int32_t) + 1);
        room = (size_t)n;
        if (to == NULL) return PERILUNE_ERR_NOMEM;
        n = c->engine->tokenize_pair(m, s.ptr, r.count, text, len, (int32_t *)(void *)to, room);
    }
    if (n > 0 && (uint64_t)n <= room) buf_advance(out, (size_t)n * sizeof(int32_t));
    return n;
}

static bool side_one(struct child *c, struct buf *in, struct buf *said, struct buf *out) {
    struct process_head h;
    struct process_room r;
    if (process_receive(PROCESS_SIDE, &h, in, PROCESS_MESSAGE, 0) != 0) return false;
    struct slice s = buf_get(in);
    struct perilune_engine_model *m = atomic_load(&c->model);
    if (s.len < sizeof(r) || m == NULL) return false;
    memcpy(&r, s.ptr, sizeof(r));
    s = slice_of(s.ptr + sizeof(r), s.len - sizeof(r));
    buf_clear(said);
    buf_clear(out);
    if (h.op != PROCESS_TOKENIZE && h.op != PROCESS_PAIR) return false;
    int64_t n = h.op == PROCESS_PAIR ? tokenize_pair(c, m, s, r, said) : tokenize(c, m, (unsigned)h.value, s, r, said);
    struct slice all = buf_get(said);
    process_put(out, PROCESS_ANSWER, n, all.ptr, all.len);
    all = buf_get(out);
    return !buf_failed(out) && process_send(PROCESS_SIDE, all.ptr, all.len, 0) == 0;
}

static void *side_main(void *arg) {
    struct buf in, said, out;
    buf_init(&in, 0);
    buf_init(&said, PROCESS_MESSAGE);
    buf_init(&out, 0);
    while (side_one(arg, &in, &said, &out)) continue;
    _exit(0); /* nobody is left; the main thread may be in a step */
    return NULL;
}

/* -- All of it ------------------------------------------------------------------------------------- */

int process_child_main(const struct perilune_engine *engine) {
    struct child c = { .engine = engine };
    pthread_t side;
    settle_in();
    buf_init(&c.in, 0);
    buf_init(&c.out, 0);
    struct process_head hello = { .op = PROCESS_HELLO, .value = PROCESS_VERSION };
    if (process_send(PROCESS_WORK, &hello, sizeof(hello), 0) != 0) {
        fputs("perilune " PROCESS_COMMAND ": this command is for perilune itself (engine.process = true)\n", stderr);
        return 2;
    }
    if (thread_start(&side, "side", side_main, &c) != 0) return 1;
    if (load(&c))
        while (serve_one(&c)) continue;
    _exit(0); /* the other thread is not waited for; memory goes with the process */
}
