/* process_wire.h -- messages between Perilune and an engine in a process of its own. See process_wire.c. */
#ifndef PERILUNE_LOCAL_PROCESS_WIRE_H
#define PERILUNE_LOCAL_PROCESS_WIRE_H

#include <stdbool.h>

#include "base/buf.h"
#include "include/perilune_engine.h"

#define PROCESS_VERSION   2
#define PROCESS_COMMAND   "engine-process" /* of perilune; people are not told of it */
#define PROCESS_MESSAGE   (64u << 20)      /* most bytes of a message */
#define PROCESS_SIDE_TEXT (32u << 20)      /* most bytes of a text to be cut into tokens */
#define PROCESS_WHY       600              /* most bytes of a sentence */

/* Descriptors that the process is started with, behind the standard streams. */
enum { PROCESS_WORK = 3, PROCESS_SIDE, PROCESS_MEMORY, PROCESS_FIRST_FREE };

/* value: as it says here; in answers what the function returned. */
enum process_op {
    PROCESS_HELLO = 1,    /* from the process: value is its PROCESS_VERSION */
    PROCESS_LOAD,         /* struct process_wish, texts --> PROCESS_LOADED: facts and pieces, or a sentence */
    PROCESS_LOADED,
    PROCESS_MAP,          /* value: bytes of the shared memory.  No answer, as to the next three */
    PROCESS_SEQ_START,    /* struct process_row */
    PROCESS_SEQ_COPY,
    PROCESS_SEQ_CUT,
    PROCESS_STEP,         /* struct perilune_engine_token ... */
    PROCESS_EMBED,        /* value: count; lens, tokens */
    PROCESS_TOKENIZE,     /* [side] value: flags; struct process_room, the text --> tokens */
    PROCESS_PAIR,         /* [side] struct process_room, count: bytes of the question; question, text --> tokens */
    PROCESS_ANSWER
};

struct process_head {
    uint32_t op, len; /* len: bytes behind it */
    int64_t  value;
};

#define PROCESS_SPLIT 16 /* GPUs of a model at most */

struct process_wish {
    uint32_t threads, context, context_each, sequences, batch;
    int32_t  gpu_layers, flash_attention;
    uint32_t split_count;
    float    split[PROCESS_SPLIT];
    /* Behind it: the model's path, the library's, names of devices, the type of positions, each with its NUL. */
    uint32_t has_library, has_device, has_kv_type;
};

struct process_row {
    uint32_t seq, to, n;
};

struct process_room {
    uint64_t room, count;
};

/* Monotonic milliseconds. */
uint64_t process_now_ms(void);

/* 0, or PERILUNE_ERR_IO: nobody is at the other end, _TIMEOUT: until_ms (0: for ever) is over.  Part of it may have
 * gone then: the connection is of no use any more. */
int process_send(int fd, const void *bytes, size_t len, uint64_t until_ms);
/* The next message; its bytes are what is in `in` then.  The same errors; PERILUNE_ERR_INVAL: it says that it has more
 * than `most`; _NOMEM. */
int process_receive(int fd, struct process_head *h, struct buf *in, size_t most, uint64_t until_ms);

/* Appends a message, for process_send(). */
void process_put(struct buf *out, enum process_op op, int64_t value, const void *bytes, size_t len);

/* -- A model, told ---------------------------------------------------------------- */

struct process_token {
    uint32_t at;    /* of its texts in the message: with control tokens' one, then without */
    uint16_t special, plain;
    uint8_t  is_end;
};

/* Facts, and what every token stands for. */
void process_put_facts(struct buf *out, const struct perilune_engine *e, const struct perilune_engine_model *m);
/* Whose strings lead into `said`, and tokens, which are the caller's then (mem_free).  0, PERILUNE_ERR_INVAL: it is
 * broken, or has facts that cannot be; or _NOMEM. */
int  process_read_facts(struct slice said, struct perilune_engine_facts *f, struct process_token **tokens);

/* Bytes of the shared memory: logits of a whole batch, or vectors. */
size_t process_memory_size(const struct perilune_engine_facts *f);

#endif
