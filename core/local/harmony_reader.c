/* harmony_reader.c -- what a model says in channels: thoughts, text and calls.
 *
 * gpt-oss answers in messages, each with a head that says for whom it is:
 *
 *     <|channel|>analysis<|message|>The user asks ...<|end|>                                           a thought
 *     <|start|>assistant<|channel|>commentary<|message|>Let me look that up.<|end|>                    text
 *     <|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>    a call
 *     <|start|>assistant<|channel|>final<|message|>It is warm.<|return|>                               text
 *
 * The recipient may stand in front of the channel, too (" to=functions.f<|channel|>commentary json<|message|>"): the
 * model's template writes it there.  The question ends with "<|start|>assistant", so an answer begins in a head.
 *
 *     HEAD --<|message|>--> THOUGHT, TEXT or CALL --<|end|>, <|return|>, <|call|>, or the next head--> HEAD
 *       +--no head--------> TEXT
 *
 * Thoughts and text go on as they come; what is held back may begin a mark.  A call is given when it is complete: only
 * then is it known to be one.  Two messages of a kind are parted by a line's end, which neither has.
 *
 * Invariants: every byte is in a head, a mark, a thought, a call that was given, or text.  What has the head of a call
 * and no JSON object behind it is text, head included; so is a call where no functions may be called.  A call that is
 * cut off is dropped.
 *
 * Thread: its owner's. */
#include "local/harmony_reader.h"

#include <string.h>

#include "base/json.h"
#include "include/perilune.h"

#define HEAD_MAX 512 /* bytes of a head; more is text */

enum { HEAD, THOUGHT, TEXT, CALL };

static const struct slice start = { "<|start|>", 9 }, channel = { "<|channel|>", 11 }, message = { "<|message|>", 11 };
static const struct slice ends[] = { /* the first three are over with it, the others begin a head */
    { "<|end|>", 7 }, { "<|return|>", 10 }, { "<|call|>", 8 }, { "<|start|>", 9 }, { "<|channel|>", 11 } };
#define ENDS (sizeof(ends) / sizeof(ends[0]))
#define EATEN 3

void harmony_reader_init(struct harmony_reader *r, enum harmony_start at, bool tools, const struct harmony_sink *sink) {
    *r = (struct harmony_reader){ .state = at == HARMONY_IN_TEXT ? TEXT : HEAD, .tools = tools, .sink = *sink };
    buf_init(&r->held, 0);
}

void harmony_reader_deinit(struct harmony_reader *r) { buf_deinit(&r->held); }

static const char *find(struct slice s, struct slice what) {
    return s.len > 0 ? memmem(s.ptr, s.len, what.ptr, what.len) : NULL;
}

/* Is one the beginning of the other? */
static bool agrees(struct slice s, struct slice with) {
    return memcmp(s.ptr, with.ptr, s.len < with.len ? s.len : with.len) == 0;
}

/* -- Giving -------------------------------------------------------------------------------- */

static int give(struct harmony_reader *r, struct slice s) {
    bool thought = r->state == THOUGHT, *before = thought ? &r->thought : &r->said;
    int (*to)(void *, struct slice) = thought ? r->sink.on_thought : r->sink.on_text;
    int rc = 0;
    if (s.len == 0) return 0;
    if (*before && !r->begun) rc = to(r->sink.ud, SLICE("\n"));
    *before = r->begun = true;
    return rc == 0 ? to(r->sink.ud, s) : rc;
}

/* The first n bytes of what is held. */
static int give_held(struct harmony_reader *r, size_t n) {
    int rc = give(r, slice_of(buf_get(&r->held).ptr, n));
    buf_consume(&r->held, n);
    return rc;
}

static void become(struct harmony_reader *r, int state) {
    r->state = state;
    r->begun = false;
}

/* -- Heads ---------------------------------------------------------------------------------- */

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static struct slice skip_blanks(struct slice s) {
    while (s.len > 0 && is_blank(*s.ptr)) s.ptr++, s.len--;
    return s;
}

/* May a head begin so? */
static bool is_head(struct slice s) {
    s = skip_blanks(s);
    return s.len == 0 || agrees(s, start) || agrees(s, channel) || agrees(s, message) || agrees(s, SLICE("to="));
}

/* The word behind `what`, up to a blank or a mark; empty: there is none. */
static struct slice word_behind(struct slice s, struct slice what) {
    const char *at = find(s, what);
    struct slice w = SLICE("");
    if (at == NULL) return w;
    w.ptr = at + what.len;
    for (const char *p = w.ptr; p < s.ptr + s.len && !is_blank(*p) && *p != '<'; p++) w.len++;
    return w;
}

/* The function that the message is for; empty: it is for a person. */
static struct slice function_of(struct slice head) {
    static const struct slice space = { "functions.", 10 };
    struct slice to = word_behind(head, SLICE("to="));
    if (slice_eq(to, SLICE("assistant")) || slice_eq(to, SLICE("user")) || slice_eq(to, SLICE("all"))) return SLICE("");
    return slice_starts(to, space) ? slice_of(to.ptr + space.len, to.len - space.len) : to;
}

static int in_head(struct harmony_reader *r, bool *again) {
    struct slice s = buf_get(&r->held);
    const char *end = find(s, message);
    *again = end != NULL || !is_head(s) || s.len > HEAD_MAX;
    if (!is_head(s)) become(r, TEXT);
    if (r->state == TEXT) return 0;
    if ((size_t)((end ? end : s.ptr + s.len) - s.ptr) > HEAD_MAX) { /* whose mark would be the next head's */
        become(r, TEXT);
        return give_held(r, 1);
    }
    if (end == NULL) return 0;
    struct slice head = slice_of(s.ptr, (size_t)(end - s.ptr)), function = function_of(head);
    become(r, slice_eq(word_behind(head, channel), SLICE("analysis")) ? THOUGHT : TEXT);
    if (function.len > 0 && r->tools) {
        become(r, CALL);
        r->body = r->seen = head.len + message.len;
        r->name = (size_t)(function.ptr - s.ptr);
        r->name_len = function.len;
    } else if (function.len > 0) {
        r->state = TEXT;
        return give_held(r, head.len + message.len);
    } else {
        buf_consume(&r->held, head.len + message.len);
    }
    return 0;
}

/* -- Bodies ---------------------------------------------------------------------------------- */

/* The first end in s: where, and how much of it is over with it.  False: there is none; *at: what is surely none. */
static bool find_end(struct slice s, size_t *at, size_t *eaten) {
    for (size_t i = 0; i < s.len; i++) {
        struct slice rest = slice_of(s.ptr + i, s.len - i);
        const char *next = memchr(rest.ptr, '<', rest.len);
        if (next == NULL) break;
        i = (size_t)(next - s.ptr);
        rest = slice_of(next, s.len - i);
        for (unsigned k = 0; k < ENDS; k++) {
            if (!agrees(rest, ends[k])) continue;
            *at = i;
            *eaten = k < EATEN ? ends[k].len : 0;
            return rest.len >= ends[k].len;
        }
    }
    *at = s.len;
    return false;
}

static int in_body(struct harmony_reader *r, bool *again) {
    size_t at, eaten;
    *again = find_end(buf_get(&r->held), &at, &eaten);
    int rc = give_held(r, at);
    if (!*again) return rc;
    buf_consume(&r->held, eaten);
    become(r, HEAD);
    return rc;
}

/* The call that is held, with arguments up to `end`.  *none: it is none. */
static int give_call(struct harmony_reader *r, size_t end, bool *none) {
    struct slice s = buf_get(&r->held), args = slice_trim(skip_blanks(slice_of(s.ptr + r->body, end - r->body)));
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    if (args.len == 0) args = SLICE("{}");
    int rc = json_parse(&doc, args, &err);
    *none = rc != 0 || json_type(&doc, 0) != JSON_OBJECT;
    json_deinit(&doc);
    if (rc == PERILUNE_ERR_NOMEM || *none) return rc == PERILUNE_ERR_NOMEM ? rc : 0;
    const struct call_said call = { r->calls++, slice_of(s.ptr + r->name, r->name_len), args, SLICE("") };
    return r->sink.on_call(r->sink.ud, &call);
}

static int in_call(struct harmony_reader *r, bool *again) {
    struct slice s = buf_get(&r->held);
    size_t at, eaten;
    bool none = false;
    *again = find_end(slice_of(s.ptr + r->seen, s.len - r->seen), &at, &eaten);
    r->seen += at;
    if (!*again && s.len <= CALL_READER_MAX) return 0;
    int rc = *again ? give_call(r, r->seen, &none) : 0;
    if (!*again || none) { /* its head is text, and the rest is looked at as such */
        become(r, TEXT);
        *again = true;
        return rc == 0 ? give_held(r, r->body) : rc;
    }
    buf_consume(&r->held, r->seen + eaten);
    become(r, HEAD);
    return rc;
}

/* -- The answer as it comes --------------------------------------------------------------------- */

int harmony_reader_push(struct harmony_reader *r, struct slice piece) {
    int rc = 0;
    buf_slice(&r->held, piece);
    if (buf_failed(&r->held)) return PERILUNE_ERR_NOMEM;
    for (bool again = true; again && rc == 0;) {
        if (r->state == HEAD) rc = in_head(r, &again);
        else if (r->state == CALL) rc = in_call(r, &again);
        else rc = in_body(r, &again);
    }
    return rc;
}

/* A head that is cut off is no text; a beginning of one may be. */
static bool is_cut_head(struct slice s) {
    s = skip_blanks(s);
    return slice_starts(s, start) || slice_starts(s, channel) || slice_starts(s, SLICE("to="));
}

int harmony_reader_finish(struct harmony_reader *r) {
    struct slice s = buf_get(&r->held);
    bool none = true;
    int rc = r->state == CALL ? give_call(r, s.len, &none) : 0;
    bool half = r->state == CALL && none && call_json_is_cut(slice_of(s.ptr + r->body, s.len - r->body));
    bool dropped = r->state == CALL ? !none || half : r->state == HEAD && is_cut_head(s);
    if (r->state == CALL || r->state == HEAD) become(r, TEXT);
    if (rc == 0 && !dropped) rc = give_held(r, s.len);
    buf_clear(&r->held);
    become(r, HEAD);
    return rc;
}
