/* spans.h -- the parts of a text that nobody may cut or reword. See spans.c. */
#ifndef PERILUNE_TEXT_SPANS_H
#define PERILUNE_TEXT_SPANS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

/* Longest text that the functions of text_*.h take: offsets are 32 bits, and what
 * they allocate is at most some twenty times the text. */
#define TEXT_MAX (64u << 20)

/* ORDER text_span_names. */
enum text_span_type {
    TEXT_FENCE,      /* ``` or ~~~ to the closing line, or to the end: both lines included */
    TEXT_INDENTED,   /* lines indented by four columns behind an empty line, not in a list */
    TEXT_INLINE,     /* `code`, the ticks included */
    TEXT_JSON,       /* an object or array that parses */
    TEXT_TABLE,      /* markdown: head, delimiter row, rows */
    TEXT_DIFF,       /* unified: from "diff ", "--- " or "@@ " through the last hunk line */
    TEXT_MATH,       /* $x$, $$x$$, \(x\), \[x\] */
    TEXT_TAG,        /* <name ...>, </name> */
    TEXT_URL,
    TEXT_EMAIL,
    TEXT_PATH,       /* /a/b, ./a, ~/a, C:\a, a/b.c, b.c */
    TEXT_NUMBER,     /* sign, currency and unit included; dates, times, IP addresses, 三十万 */
    TEXT_ID,         /* letters and digits, or an underscore: UUID, 3f2a9c1, ABC-123, v1.2, a_b */
    TEXT_QUOTE,      /* "", '', “”, ‘’, «», 「」, 『』, 《》, 〈〉, on one line; marks included */
    TEXT_NEGATION,   /* not, never, n't, without ... 不 没 勿 未 非 无 别 ... */
    TEXT_QUANTIFIER, /* only, all, every, unless, except ... 仅 只 所有 每 除非 ... */
    TEXT_MODAL,      /* must, cannot, required ... 必须 禁止 应当 ... */
    TEXT_SPAN_TYPES
};

#define TEXT_QUOTE_MAX 512 /* bytes between the marks; longer is no span */
#define TEXT_ALL_TYPES ((1u << TEXT_SPAN_TYPES) - 1)

struct text_span {
    uint32_t start, end; /* byte offsets; end is behind the last byte */
    uint32_t type;
};

/* "fence", "inline" ...; by type. */
extern const char *const text_span_names[TEXT_SPAN_TYPES];

/* Appends a struct text_span to spans for each span whose type is in the mask
 * (1 << type), by start; of two with the same start the longer first.  Spans nest or
 * are disjoint; only quotes and tables have others inside.  Nothing in a type that is
 * left out of the mask becomes something else: numbers in code are code.
 *
 * spans holds nothing else (its data is aligned for them).  Linear in the text,
 * whatever it holds.  Returns 0; PERILUNE_ERR_INVAL: ill-formed UTF-8, text_error_offset()
 * says where; PERILUNE_ERR_LIMITED: longer than TEXT_MAX; PERILUNE_ERR_NOMEM.  On failure
 * spans is as long as it was. */
int text_spans(struct slice text, unsigned mask, struct buf *spans);

/* The projection: spans that overlap become one, with the type of the outer one, so
 * that what remains is sorted and disjoint.  In place. */
void text_spans_merge(struct buf *spans);

/* The offset of the first byte that is not UTF-8; text.len when there is none. */
size_t text_error_offset(struct slice text);

static inline struct text_span *text_spans_of(const struct buf *spans, size_t *n) {
    struct slice s = buf_get(spans);
    *n = s.len / sizeof(struct text_span);
    return (struct text_span *)(void *)(uintptr_t)s.ptr;
}

#endif
