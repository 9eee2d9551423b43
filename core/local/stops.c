/* stops.c -- stop strings in a text that comes in pieces.
 *
 * Stops "</s>" and "<end>", and the pieces "yes <", "/", "b", "</s", ">x":
 *
 *     piece    text          held back
 *     yes <    yes           <            may begin either
 *     /                      </           may still be </s>
 *     b        </b                        can be neither
 *     </s                    </s
 *     >x                     (found 0: </s> and what is behind are no text)
 *
 * An automaton of Aho and Corasick: the strings as a tree of bytes, and for each node the node of the longest
 * end of it that also begins a string.  A node's depth is how many bytes have to be held back, so text is never
 * held longer than that, and each byte is looked at once however many strings there are.
 *
 *     root -<-> 1 -/-> 2 -s-> 3 ->-> (0)
 *                \-e-> 5 ...
 *
 * The string that is complete first ends the text; of several that end with the same byte the longest, so that
 * the least is said.
 *
 * Invariants: held holds as many bytes as the node is deep.  Strings begin with whole characters, so what is
 * before a held beginning is whole characters, too.
 *
 * Thread: a struct stops any, a reader its owner's.  Does not: undo the framing of tokens (utf8_hold.c). */
#include "local/stops.h"

#include "base/json.h"
#include "base/mem.h"
#include "include/perilune.h"

struct node {
    uint32_t child, sibling; /* 0: none */
    uint32_t fail;           /* the longest end that begins a string */
    uint32_t depth;
    uint32_t length;         /* of the longest string that ends here; 0: none */
    int32_t  which;
    unsigned char byte;
};

struct stops {
    uint32_t    len;
    struct node nodes[];
};

static uint32_t child_of(const struct stops *s, uint32_t node, unsigned char byte) {
    uint32_t i = s->nodes[node].child;
    while (i != 0 && s->nodes[i].byte != byte) i = s->nodes[i].sibling;
    return i;
}

static void add(struct stops *s, struct slice string, int which) {
    uint32_t at = 0;
    for (size_t i = 0; i < string.len; i++) {
        unsigned char byte = (unsigned char)string.ptr[i];
        uint32_t to = child_of(s, at, byte);
        if (to == 0) {
            to = s->len++;
            s->nodes[to] = (struct node){ .sibling = s->nodes[at].child, .depth = s->nodes[at].depth + 1,
                .byte = byte, .which = -1 };
            s->nodes[at].child = to;
        }
        at = to;
    }
    if (s->nodes[at].length != 0) return; /* said twice */
    s->nodes[at].length = (uint32_t)string.len;
    s->nodes[at].which = which;
}

static uint32_t step(const struct stops *s, uint32_t node, unsigned char byte) {
    for (;;) {
        uint32_t to = child_of(s, node, byte);
        if (to != 0 || node == 0) return to;
        node = s->nodes[node].fail;
    }
}

/* In order of depth, so that a node's fail is done before the node is.  queue: room for all nodes. */
static void link_fails(struct stops *s, uint32_t *queue) {
    uint32_t from = 0, to = 0;
    queue[to++] = 0;
    while (from < to) {
        uint32_t at = queue[from++];
        for (uint32_t i = s->nodes[at].child; i != 0; i = s->nodes[i].sibling) {
            queue[to++] = i;
            s->nodes[i].fail = at == 0 ? 0 : step(s, s->nodes[at].fail, s->nodes[i].byte);
            const struct node *end = &s->nodes[s->nodes[i].fail];
            if (s->nodes[i].length == 0 && end->length != 0) s->nodes[i].length = end->length,
                s->nodes[i].which = end->which;
        }
    }
}

int stops_new(struct stops **out, const struct slice *strings, unsigned n, const char **why) {
    size_t bytes = 0;
    *out = NULL;
    *why = NULL;
    if (n > STOPS_MAX) *why = "more than 64 stop strings";
    for (unsigned i = 0; i < n && *why == NULL; i++) {
        bytes += strings[i].len;
        if (strings[i].len == 0) *why = "an empty stop string: it would end every text at once";
        else if (strings[i].len > STOPS_MAX_BYTES || bytes > STOPS_MAX_BYTES)
            *why = "stop strings of more than 16384 bytes";
        else if (utf8_valid_prefix(strings[i]) != strings[i].len) *why = "a stop string that is not UTF-8";
    }
    if (*why) return PERILUNE_ERR_INVAL;
    struct stops *s = mem_zalloc(sizeof(*s) + (bytes + 1) * sizeof(struct node));
    uint32_t *queue = mem_alloc((bytes + 1) * sizeof(*queue));
    if (s != NULL && queue != NULL) {
        s->len = 1;
        s->nodes[0].which = -1;
        for (unsigned i = 0; i < n; i++) add(s, strings[i], (int)i);
        link_fails(s, queue);
        *out = s;
    } else {
        mem_free(s);
    }
    mem_free(queue);
    return *out ? 0 : PERILUNE_ERR_NOMEM;
}

void stops_free(struct stops *s) { mem_free(s); }

/* -- Reading ------------------------------------------------------------------------- */

void stops_init(struct stops_reader *r, const struct stops *s) {
    *r = (struct stops_reader){ .stops = s, .which = -1 };
    buf_init(&r->held, 0);
}

void stops_deinit(struct stops_reader *r) { buf_deinit(&r->held); }

static int give(struct stops_reader *r, size_t n, struct buf *out) {
    buf_put(out, buf_get(&r->held).ptr, n);
    buf_consume(&r->held, n);
    return buf_failed(&r->held) || buf_failed(out) ? PERILUNE_ERR_NOMEM : 0;
}

int stops_push(struct stops_reader *r, struct slice piece, struct buf *out) {
    const struct stops *s = r->stops;
    if (r->which >= 0 || piece.len == 0) return 0;
    size_t before = buf_len(&r->held);
    buf_slice(&r->held, piece);
    if (buf_failed(&r->held)) return PERILUNE_ERR_NOMEM;
    for (size_t i = 0; i < piece.len; i++) {
        r->node = step(s, r->node, (unsigned char)piece.ptr[i]);
        const struct node *at = &s->nodes[r->node];
        if (at->length == 0) continue;
        r->which = at->which;
        int rc = give(r, before + i + 1 - at->length, out);
        buf_clear(&r->held);
        return rc;
    }
    return give(r, buf_len(&r->held) - s->nodes[r->node].depth, out);
}

int stops_finish(struct stops_reader *r, struct buf *out) {
    if (r->which >= 0) return 0;
    r->node = 0;
    return give(r, buf_len(&r->held), out);
}
